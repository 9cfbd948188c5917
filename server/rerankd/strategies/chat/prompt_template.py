"""Templates of prompts: text with placeholders such as `{query}`, filled in one pass, whatever the values contain."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each placeholder that has a value; other braces, and those of the values, stay as they are.

    Args:
        template: Text with placeholders.
        values: Value of each placeholder.
    """
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def template_problems(
    template: str, path: str, *, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[str]:
    """Yield what is wrong with a template, one sentence each.

    Args:
        template: Of the settings.
        path: Settings key of the template.
        required: Placeholders that it must have.
        optional: Placeholders that it may have.
    """
    found = set(_PLACEHOLDER.findall(template))
    for name in required:
        if name not in found:
            yield f"{path} needs the placeholder {{{name}}}"
    for name in sorted(found.difference(required, optional)):
        known = ", ".join(f"{{{each}}}" for each in (*required, *optional))
        yield f"{path} has the placeholder {{{name}}}, which nothing fills; there are {known}"
