"""Errors with the caller's names of fields."""

from __future__ import annotations

from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.field_paths import as_top_level, rename_fields

OWN = {"top_n": "topN", "documents[3].text": "texts[3]", "query": "queries[0]", "model": "modelArn"}


def rename(field: str) -> str:
    return OWN.get(field, field)


def refusal(field: str, description: str) -> ServiceError:
    return rename_fields(invalid_request([FieldViolation(field, description)]), rename)


def test_fields_are_renamed_in_violations_message_and_metadata() -> None:
    rules = {"top_n": "top_n must be at least 1", "documents[3].text": "documents[3].text is required for rerank"}
    error = rename_fields(invalid_request([FieldViolation(*each) for each in rules.items()]), rename)

    assert error.message == "topN must be at least 1; texts[3] is required for rerank"
    assert [(each.field, each.description) for each in error.violations] == [
        ("topN", "topN must be at least 1"),
        ("texts[3]", "texts[3] is required for rerank"),
    ]
    assert error.metadata == {"fields": "topN,texts[3]"}


def test_words_that_name_no_field_stay() -> None:
    assert refusal("model", "model x not found").message == "model x not found"
    assert refusal("query", "query is required; qury is not a field, did you mean query?").message == (
        "queries[0] is required; qury is not a field, did you mean queries[0]?"
    )
    assert refusal("query", "query: the best query is short").message == "queries[0]: the best query is short"


def test_verbs_have_the_number_of_the_callers_name() -> None:
    names = {"documents": "input", "query": "queries", "top_n": "options"}

    def said(field: str, rule: str) -> str:
        return rename_fields(invalid_request([FieldViolation(field, f"{field} {rule}")]), names.__getitem__).message

    assert said("documents", "are required; docs is not a field, did you mean documents?") == (
        "input is required; docs is not a field, did you mean input?"
    )
    assert said("documents", "have 20 items") == "input has 20 items"
    assert said("query", "is 9 characters long; this server takes 8") == (
        "queries are 9 characters long; this server takes 8"
    )
    assert said("top_n", "must be at least 1") == "options must be at least 1"


def test_an_error_without_other_names_stays_itself() -> None:
    error = invalid_request([FieldViolation("user", "user is 300 characters long; this server takes 256")])

    assert rename_fields(error, rename) is error


def test_paths_in_other_metadata_are_renamed() -> None:
    error = ServiceError(
        Reason.PROVIDER_UNAVAILABLE,
        "all 2 models failed: a: documents[3].text is odd",
        metadata={"failure_0": "documents[3].text is odd", "attempts": "2"},
    )

    renamed = rename_fields(error, rename)
    assert renamed.message == "all 2 models failed: a: texts[3] is odd"
    assert renamed.metadata == {"failure_0": "texts[3] is odd", "attempts": "2"}


def test_a_document_is_renumbered_once() -> None:
    error = invalid_request([FieldViolation("documents[0].text", "documents[0].text is too long")])
    moved = {"documents[0].text": "documents[1].text", "documents[1].text": "documents[2].text"}

    assert rename_fields(error, lambda field: moved.get(field, field)).message == "documents[1].text is too long"


def test_a_recorded_error_stays_recorded() -> None:
    error = invalid_request([FieldViolation("provider_options.truncate", "truncate must be a string")])
    error.is_recorded = True

    renamed = as_top_level(error, ["truncate"])
    assert (renamed.violations[0].field, renamed.is_recorded) == ("truncate", True)
