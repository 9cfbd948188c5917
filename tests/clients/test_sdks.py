"""Other people's SDKs, as their registries have them, against a live server."""

from __future__ import annotations

import json
import math

import pytest

from tests.clients.conftest import MODEL, RERANKER, TEXTS, Ran, rank
from tests.clients.table import CLIENTS, Client
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.clients]

TOP = {"top_n": 2}
OWN_WARNINGS = (
    "PydanticDeprecatedSince20: The `dict` method",
    "UserWarning: Item 'summary' on TypedDict class",
)
"""What a client says of itself, whoever answers it."""
ORDER_OF_LIMITED = [1, 4, 2, 0, 3]
"""By the words that a text shares with the query: how the provider behind `limited/` ranks."""
ONLY_ORDER = {"rank_fields"}
LOGITS = {"logits", "raw_scores"}
RANKINGS = {
    *("strings", "objects", "documents", "top_n", "options", "default_model", "versioned_base", "truncation"),
    *("asynchronous", "batches", "bearer", *LOGITS),
}
Pairs = list[tuple[int, float]]


def cases(*names: str) -> pytest.MarkDecorator:
    """Parametrize over the clients that make one of these checks."""
    found = [(client, name) for client in CLIENTS for name in client.checks if name in names]
    return pytest.mark.parametrize(
        ("client", "name"), found, ids=[f"{client.name}-{name}".replace(" ", "_") for client, name in found]
    )


def logit(score: float) -> float:
    return math.log(score / (1 - score))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name.replace(" ", "_"))
def test_program_makes_exactly_the_checks_of_the_table(client: Client, ran: Ran) -> None:
    assert set(ran(client)) == {*client.checks, *client.raises}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name.replace(" ", "_"))
def test_no_warnings(client: Client, ran: Ran) -> None:
    said = {warning for outcome in ran(client).values() for warning in outcome["warnings"]}
    assert {warning for warning in said if not warning.startswith(OWN_WARNINGS)} == set()


@cases(*RANKINGS)
def test_ranking(client: Client, name: str, ran: Ran, ranking: Pairs) -> None:
    outcome = ran(client)[name]

    assert "raised" not in outcome, outcome
    speaks_logits = name in LOGITS or "logits" in client.checks
    expected = [(index, logit(score) if speaks_logits else score) for index, score in ranking][: TOP.get(name)]
    assert [index for index, _ in outcome["pairs"]] == [index for index, _ in expected]
    # Single precision, and logits made of it, are all that some of the wires carry.
    assert [score for _, score in outcome["pairs"]] == pytest.approx([score for _, score in expected], rel=1e-3)


@cases("reranker")
def test_a_reranker_is_called_by_its_key(client: Client, name: str, ran: Ran, gateway: ServerProcess) -> None:
    outcome = ran(client)[name]
    assert "raised" not in outcome, outcome
    expected = rank(gateway, TEXTS, RERANKER)
    assert [index for index, _ in outcome["pairs"]] == [index for index, _ in expected]
    assert [score for _, score in outcome["pairs"]] == pytest.approx([score for _, score in expected], rel=1e-3)


@cases("documents")
def test_documents_come_back(client: Client, name: str, ran: Ran) -> None:
    outcome = ran(client)[name]
    assert outcome["documents"] == [TEXTS[index] for index, _ in outcome["pairs"]]


@cases(*ONLY_ORDER)
def test_order(client: Client, name: str, ran: Ran, ranking: Pairs) -> None:
    assert [index for index, _ in ran(client)[name]["pairs"]] == [index for index, _ in ranking]


@cases("objects_as_json")
def test_objects_that_come_as_json_text(client: Client, name: str, ran: Ran, gateway: ServerProcess) -> None:
    texts = [json.dumps({"text": text}, separators=(",", ":")) for text in TEXTS]
    pairs = ran(client)[name]["pairs"]
    assert [index for index, _ in pairs] == [index for index, _ in rank(gateway, texts)]


@cases("recovers")
def test_one_429_is_retried(client: Client, name: str, ran: Ran) -> None:
    outcome = ran(client)[name]
    assert "raised" not in outcome, outcome
    assert [index for index, _ in outcome["pairs"]] == ORDER_OF_LIMITED


@cases("strings")
def test_ids_and_counts_are_there(client: Client, name: str, ran: Ran) -> None:
    outcome = ran(client)[name]
    for key in ("id", "model", "version"):
        assert outcome.get(key, "absent"), key
    for key in ("tokens", "units"):
        assert isinstance(outcome.get(key, 0), int), key


@cases("empty_document")
def test_a_blank_document_is_last(client: Client, name: str, ran: Ran) -> None:
    contents = ran(client)[name]["contents"]
    assert (len(contents), contents[-1] or "") == (len(TEXTS) + 1, "")


@cases("models")
def test_models_are_listed(client: Client, name: str, ran: Ran) -> None:
    assert MODEL in ran(client)[name]["models"]


@cases("model")
def test_one_model_is_described(client: Client, name: str, ran: Ran) -> None:
    assert ran(client)[name]["models"] == [client.given["model"]]


@cases("key")
def test_key_is_valid(client: Client, name: str, ran: Ran) -> None:
    assert ran(client)[name]["valid"] is True


STATUSES = {"unknown_model": (404, 400), "bad_request": (400, 422), "limited": (429,)}
"""Voyage's API has 400 for an unknown model, TEI's has 422 for a request it cannot use."""
SAYS = {"unknown_model": "no-such-model not found", "limited": "limited/always"}
FAILURES = [(client, name) for client in CLIENTS for name in client.raises]


@pytest.mark.parametrize(
    ("client", "name"), FAILURES, ids=[f"{client.name}-{name}".replace(" ", "_") for client, name in FAILURES]
)
def test_exceptions_are_the_sdks_own(client: Client, name: str, ran: Ran) -> None:
    outcome = ran(client)[name]
    assert client.raises[name] in outcome.get("raised", []), outcome
    assert client.is_mute or SAYS.get(name, "") in outcome["text"], outcome
    assert outcome["status"] in (None, *STATUSES[name]), outcome


def test_every_check_is_judged() -> None:
    judged = {
        *RANKINGS,
        *ONLY_ORDER,
        "objects_as_json",
        "recovers",
        "empty_document",
        "models",
        "model",
        "key",
        "reranker",
    }
    assert {name for client in CLIENTS for name in client.checks} == judged
