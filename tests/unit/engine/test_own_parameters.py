"""Parameters under providers' own names: taken, sent, refused by name or warned of."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.field_paths import as_top_level
from rerankd.contract.messages import RerankRequest
from rerankd.engine.own_parameters import score_space_of, select_parameters, take_contract_parameters
from rerankd_adapters.base import ScoreSpace
from rerankd_adapters.providers.nvidia_nim import NVIDIA_NIM
from rerankd_adapters.providers.vllm import VLLM


def test_a_known_name_is_sent() -> None:
    assert select_parameters("m", NVIDIA_NIM.parameters, {"truncate": "END"}) == ({"truncate": "END"}, [])


def test_null_is_sent_where_it_means_something() -> None:
    options = {"truncate_prompt_tokens": None, "cache_salt": None, "request_id": None, "colour": None}
    sent, warnings = select_parameters("m", VLLM.parameters, options)
    assert (dict(sent), warnings) == ({"truncate_prompt_tokens": None, "cache_salt": None}, [])


def test_an_api_that_takes_any_is_sent_all() -> None:
    assert select_parameters("m", None, {"colour": 1}) == ({"colour": 1}, [])


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("truncate", "truncate was ignored: m has no such parameter; NVIDIA NIM, Pinecone and others have"),
        (
            "raw_scores",
            "raw_scores was ignored: m has no such parameter; Infinity, "
            "Text Embeddings Inference and Text Embeddings Inference (gRPC) have",
        ),
        ("relevant_spans", "relevant_spans was ignored: m has no such parameter; Azure AI and Cohere have"),
        ("latency", "latency was ignored: m has no such parameter; ZeroEntropy has"),
        ("session_ids", "session_ids was ignored: no provider has such a parameter; did you mean session_id?"),
        ("colour", "colour was ignored: no provider has such a parameter"),
        ("query", "query was ignored: it is a field of the request, not an option"),
        ("x" * 90, f"{'x' * 50} was ignored: no provider has such a parameter"),
    ],
)
def test_others_are_warned_of(name: str, warning: str) -> None:
    assert select_parameters("m", {}, {name: 1}) == ({}, [warning])


def test_warnings_are_bounded() -> None:
    _, warnings = select_parameters("m", {}, {f"name{number}": 1 for number in range(100)})
    assert len(warnings) == 20


def test_wrong_values_are_named() -> None:
    with pytest.raises(ServiceError) as refused:
        select_parameters("m", NVIDIA_NIM.parameters, {"truncate": 5, "colour": 1})
    assert refused.value.reason is Reason.INVALID_REQUEST
    assert refused.value.message == "truncate must be a string, was an integer"
    assert [each.field for each in refused.value.violations] == ["provider_options.truncate"]
    written = as_top_level(refused.value, ["truncate"])
    assert [each.field for each in written.violations] == ["truncate"]
    assert written.metadata == {"fields": "truncate"}
    assert as_top_level(refused.value, ["colour"]).violations[0].field == "provider_options.truncate"


def request(**fields: Any) -> RerankRequest:
    return RerankRequest(query="q", documents=["a"], **fields)


def test_other_names_of_the_contract_s_fields() -> None:
    given = request(provider_options={"top_k": 2.0, "return_text": True, "topN": None, "x": 1})
    taken, warnings = take_contract_parameters(given)
    assert (taken.top_n, taken.return_documents, taken.provider_options) == (2, True, {"x": 1})
    assert (type(taken.top_n), warnings) == (int, [])
    assert given.top_n is None


def test_the_contract_s_own_field_wins() -> None:
    taken, warnings = take_contract_parameters(request(top_n=1, provider_options={"top_k": 2}))
    assert (taken.top_n, taken.provider_options) == (1, None)
    assert warnings == ["top_k was ignored: top_n is set too"]


def test_a_request_without_such_names_is_not_copied() -> None:
    for options in (None, {}, {"x": 1}):
        given = request(provider_options=options)
        assert take_contract_parameters(given) == (given, [])
        assert take_contract_parameters(given)[0] is given


def test_a_wrong_value_of_such_a_name() -> None:
    with pytest.raises(ServiceError, match="top_k must be an integer, was a string"):
        take_contract_parameters(request(provider_options={"top_k": "three"}))


@pytest.mark.parametrize(
    ("options", "space"),
    [
        ({}, ScoreSpace.PROBABILITY),
        ({"use_activation": None}, ScoreSpace.PROBABILITY),
        ({"use_activation": True}, ScoreSpace.PROBABILITY),
        ({"use_activation": False}, ScoreSpace.LOGIT),
        ({"cache_salt": "s"}, ScoreSpace.PROBABILITY),
    ],
)
def test_raw_scores_are_logits(options: dict[str, Any], space: ScoreSpace) -> None:
    assert score_space_of(ScoreSpace.PROBABILITY, VLLM.parameters, options) is space
    assert score_space_of(ScoreSpace.COSINE, VLLM.parameters, options) is ScoreSpace.COSINE


def test_mapped_names_are_warned_of_as_the_dialect_says() -> None:
    mapped = {"use_activation": "", "truncate_prompt_tokens": "its length was not applied"}
    options = {"use_activation": False, "truncate_prompt_tokens": 100}

    assert select_parameters("m", {}, options, mapped) == ({}, ["its length was not applied"])
    assert select_parameters("m", VLLM.parameters, options, mapped) == (options, [])
    assert select_parameters("m", None, {**options, "colour": 1}, mapped) == ({"colour": 1}, [])


def test_a_mapped_name_may_mean_something_else_to_another_service() -> None:
    sent = select_parameters("m", NVIDIA_NIM.parameters, {"truncate": True}, {"truncate": ""})

    assert sent == ({}, [])
