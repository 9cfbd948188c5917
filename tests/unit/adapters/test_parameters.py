"""Every parameter of a call at every provider: sent, done by the engine, refused by name or warned of by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rerankd_adapters.base import Capabilities, Endpoint, Provider, ProviderCall
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.testing.parameters import PARAMETERS, How, Treatment, treatments
from scripts.generate_provider_docs import list_providers
from scripts.generator.provider_parameters import OTHER_MODEL, found_treatments, variants_of

DIALECTS = [
    pytest.param(provider.name, index, id=f"{provider.name} {variant.title}" if index else provider.name)
    for provider in list_providers()
    if provider.adapter
    for index, variant in enumerate(variants_of(provider))
]


@pytest.mark.parametrize(("name", "variant"), DIALECTS)
def test_nothing_is_left_out_silently(name: str, variant: int) -> None:
    for model, found in found_treatments(name, variant).items():
        assert tuple(found) == tuple(sorted(found, key=PARAMETERS.index))
        assert set(found) == set(PARAMETERS)
        assert [len(each) for each in found.values()] == [4 if each == "truncation" else 1 for each in found]
        dropped = {key: each.text for key, them in found.items() for each in them if each.how is How.DROPPED}
        assert dropped == {}, model


WIRE_NAMES = [
    ("cohere", 0, "rerank-v3.5", "top_n", "`top_n`"),
    ("cohere", 0, "rerank-v3.5", "max_tokens_per_doc", "`max_tokens_per_doc`"),
    ("cohere", 0, "rerank-v3.5", "priority", "`priority`"),
    ("cohere", 1, "rerank-v3.5", "max_chunks_per_doc", "`max_chunks_per_doc`"),
    ("cohere", 1, "rerank-v3.5", "rank_fields", "objects unchanged, with `rank_fields`"),
    ("voyage", 0, "rerank-2.5", "top_n", "`top_k`"),
    ("voyage", 0, "rerank-2.5", "instruction", "before the query"),
    ("voyage", 0, "rerank-2", "instruction", "warning"),
    ("fireworks", 0, OTHER_MODEL, "instruction", "`task`"),
    ("dashscope", 0, "qwen3-rerank", "instruction", "`parameters.instruct`"),
    ("watsonx", 0, OTHER_MODEL, "top_n", "`parameters.return_options.top_n`"),
    ("watsonx", 0, OTHER_MODEL, "max_tokens_per_doc", "`parameters.truncate_input_tokens`"),
    ("pinecone", 0, "cohere-rerank-3.5", "max_chunks_per_doc", "`parameters.max_chunks_per_doc`"),
    ("pinecone", 0, "bge-reranker-v2-m3", "max_chunks_per_doc", "warning"),
    ("siliconflow", 0, "BAAI/bge-reranker-v2-m3", "max_chunks_per_doc", "`max_chunks_per_doc`"),
    ("siliconflow", 0, "Qwen/Qwen3-Reranker-8B", "max_chunks_per_doc", "warning"),
    ("nvidia_nim", 0, OTHER_MODEL, "top_n", "not sent; results are cut by rerankd"),
    ("nvidia_nim", 0, "nvidia/llama-nemotron-rerank-vl-1b-v2", "image", "sent"),
    ("nvidia_nim", 0, "nvidia/llama-nemotron-rerank-1b-v2", "image", "refused"),
    ("kserve", 0, OTHER_MODEL, "provider_options", "any, unchanged"),
    ("vllm", 0, OTHER_MODEL, "instruction", "`instruction`"),
    ("voyage", 0, "rerank-2", "provider_options", "`top_k`; others: warning"),
    ("pinecone", 0, "bge-reranker-v2-m3", "provider_options", "`parameters`, `truncate`; others: warning"),
    ("pinecone", 0, "cohere-rerank-3.5", "provider_options", "`parameters`; others: warning"),
    ("cohere", 1, OTHER_MODEL, "provider_options", "none; others: warning"),
]


@pytest.mark.parametrize(("name", "variant", "model", "parameter", "text"), WIRE_NAMES)
def test_names_of_the_provider(name: str, variant: int, model: str, parameter: str, text: str) -> None:
    assert found_treatments(name, variant)[model][parameter][0].text == text


def test_truncation_is_told_mode_by_mode() -> None:
    assert [each.text for each in found_treatments("tei", 0)[OTHER_MODEL]["truncation"]] == [
        "as end",
        "`truncate: false`",
        "`truncate: true`, `truncation_direction: Right`",
        "`truncate: true`, `truncation_direction: Left`",
    ]


class Careless(JsonDialect):
    """Leaves out what it has no field for, asks for documents, and takes instructions without obeying them."""

    wire = Wire(instruction="instruction", fixed={"return_documents": True})

    def body_of(self, call: ProviderCall) -> dict[str, Any]:
        body = super().body_of(call)
        return {name: body[name] for name in ("model", "query", "documents", "return_documents")}

    def warnings_of(self, call: ProviderCall) -> list[str]:
        return []


def test_a_careless_adapter_is_found_out() -> None:
    provider = Provider(
        name="careless",
        title="Careless",
        adapter="",
        reference="",
        checked="",
        capabilities=Capabilities(takes_instruction=True),
    )
    adapter = Careless(provider)

    def encode(call: ProviderCall) -> Any:
        return json.loads(adapter.build(call, Endpoint(base_url="http://host")).body)

    found = treatments(adapter, encode, "m")
    dropped = {name for name, them in found.items() if any(each.how is How.DROPPED for each in them)}
    assert dropped == {
        *("max_tokens_per_doc", "max_chunks_per_doc", "priority", "instruction", "return_documents"),
        "provider_options",
    }
    assert found["top_n"] == (Treatment(How.EMULATED, "not sent; results are cut by rerankd"),)
