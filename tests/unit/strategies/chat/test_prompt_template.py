"""Templates of prompts."""

import pytest

from rerankd.strategies.chat.prompt_template import fill, template_problems


def test_placeholders_are_filled_once_and_other_braces_stay() -> None:
    values = {"query": "{documents} $1 {0} {{", "documents": "{query}"}
    assert fill('{query} | {documents} | {other} {"a": 1}', values) == (
        '{documents} $1 {0} {{ | {query} | {other} {"a": 1}'
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{query} {documents}", []),
        ("{query} {documents} {instruction}", []),
        ("{query}", ["p needs the placeholder {documents}"]),
        (
            "{query} {documents} {queri}",
            ["p has the placeholder {queri}, which nothing fills; there are {query}, {documents}, {instruction}"],
        ),
        ('{query} {documents} {"json": {}}', []),
    ],
)
def test_problems_name_the_placeholder(template: str, expected: list[str]) -> None:
    found = template_problems(template, "p", required=("query", "documents"), optional=("instruction",))
    assert list(found) == expected
