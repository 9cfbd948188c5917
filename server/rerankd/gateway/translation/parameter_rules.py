"""What each dialect does with every parameter of its service's API.

The rows follow the services' documentation as of `docs/providers`; docs/dialects.md is generated from them, and a test
sends every row to a real server with recorded providers. Query, documents and model are left out.

A parameter that the service's adapter declares (`Provider.parameters`) is passed untouched to models of that service;
`sets` says what it does for the others, and without `sets` they warn of it by name. A parameter that nothing declares
sets a field of the contract, is refused, or is named in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final

from rerankd_adapters.parameter import NO_PARAMETERS, Parameter
from rerankd_adapters.registry import find_provider

SERVICES: Final[Mapping[str, str]] = {
    "cohere": "cohere",
    "jina": "jina",
    "vllm": "vllm",
    "vllm-score": "vllm",
    "voyage": "voyage",
    "tei": "tei",
    "nim": "nvidia_nim",
    "together": "together",
    "pinecone": "pinecone",
    "mixedbread": "mixedbread",
    "bedrock": "bedrock",
    "vertex": "vertex",
    "fireworks": "fireworks",
    "infinity": "infinity",
    "sglang": "sglang",
    "siliconflow": "siliconflow",
    "localai": "localai",
    "xinference": "xinference",
    "openrouter": "openrouter",
    "zeroentropy": "zeroentropy",
    "isaacus": "isaacus",
    "deepinfra": "deepinfra",
}
"""Provider whose API a dialect is; a dialect without one has no parameters to pass."""


class Fate(StrEnum):
    """What happens to a parameter."""

    MAPPED = "mapped"
    PASSED = "passed"
    PASSED_OR_MAPPED = "passed or mapped"
    WARNED = "warned"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a dialect does with one parameter."""

    name: str
    """Its path in the body, segments separated by dots."""
    example: Any
    """A valid value."""
    wrong: Any = None
    """An impossible value, which is refused; None if any is possible."""
    sets: str = ""
    """What it does for any model, in Markdown; empty: nothing."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the contract's request that the example leads to."""
    refused: str = ""
    """Why it is refused."""

    def fate(self, dialect: str) -> Fate:
        """Return what `dialect` does with the parameter."""
        if self.refused:
            return Fate.REFUSED
        is_passed = self.name in passed_parameters(dialect)
        if self.sets:
            return Fate.PASSED_OR_MAPPED if is_passed else Fate.MAPPED
        return Fate.PASSED if is_passed else Fate.WARNED


@cache
def passed_parameters(dialect: str) -> Mapping[str, Parameter]:
    """Return the parameters of a dialect's service that are sent to its models, by name."""
    provider = find_provider(SERVICES.get(dialect, ""))
    declared = (provider.parameters if provider is not None else None) or NO_PARAMETERS
    return {name: parameter for name, parameter in declared.items() if not parameter.field}


@cache
def refused_parameters(dialect: str) -> Mapping[str, str]:
    """Return the parameters that a dialect refuses, by name, each with the reason."""
    return {rule.name: rule.refused for rule in RULES.get(dialect, ()) if rule.refused}


def _to(name: str, example: Any, contract: str = "", *, wrong: Any = "x", value: Any = None, note: str = "") -> Rule:
    """Declare a parameter that sets one field of the contract."""
    contract = contract or name
    fields = {contract: example if value is None else value}
    return Rule(name=name, example=example, wrong=wrong, sets=f"`{contract}`{note}", fields=fields)


def _echo(name: str = "return_documents") -> Rule:
    return Rule(name=name, example=True, wrong="perhaps", sets="true: documents in the answer")


def _own(name: str, example: Any, *, wrong: Any = None, sets: str = "") -> Rule:
    return Rule(name=name, example=example, wrong=wrong, sets=sets)


_TOP_N: Final = _to("top_n", 1, wrong=-1)
_ECHO: Final = _echo()
_RANK_FIELDS: Final = _to("rank_fields", ["text"], wrong="text")
_CHUNKS: Final = _to("max_chunks_per_doc", 2, wrong=0)
_TOKENS: Final = _to("max_tokens_per_doc", 10, wrong=-1)
_INSTRUCTION: Final = _to("instruction", "Prefer recent.", wrong=5)
_PRIORITY: Final = _to("priority", 5, wrong=1000)
_RAW_SCORES: Final = _own("raw_scores", True, wrong=5, sets="true: scores as logits")
_CUT_END: Final = {"truncation": "end"}

COMMON: Final = (_TOP_N, _ECHO, _RANK_FIELDS, _CHUNKS, _TOKENS, _PRIORITY, _INSTRUCTION, _to("user", "u", wrong=5))
"""Parameters of every dialect whose body has `query` and `documents`, whether its service has them or not."""

_VLLM: Final = (
    _to("max_tokens_per_doc", 10, wrong=-1, note="; 0: unset"),
    _INSTRUCTION,
    _PRIORITY,
    Rule(
        name="truncate_prompt_tokens",
        example=100,
        wrong=-2,
        sets="`truncation`; a warning says that the length is not applied",
        fields=_CUT_END,
    ),
    Rule(
        name="truncation_side",
        example="left",
        wrong="middle",
        sets="`truncation`",
        fields={"truncation": "start"},
    ),
    _own("max_tokens_per_query", 20, wrong=-1),
    _own("use_activation", False, wrong="no", sets="false: scores as logits"),
    _own("chat_template_kwargs", {"a": 1}, wrong=5),
    _own("mm_processor_kwargs", {"a": 1}, wrong=5),
    _own("cache_salt", "s", wrong=5),
    _own("request_id", "r", wrong=5),
    _own("padding", True, wrong=5),
    _to("user", "u", wrong=5),
    Rule(name="normalize", example=True, refused="vLLM removed it; use use_activation"),
)
_BEDROCK: Final = "rerankingConfiguration.bedrockRerankingConfiguration"

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "cohere": (_TOP_N, _RANK_FIELDS, _ECHO, _CHUNKS, _TOKENS, _PRIORITY, _own("relevant_spans", {}, wrong=5)),
    "jina": (_TOP_N, _ECHO),
    "vllm": (_to("top_n", 1, wrong=-1, note="; 0: all"), *_VLLM),
    "vllm-score": _VLLM,
    "voyage": (
        _to("top_k", 1, "top_n", wrong="x"),
        _ECHO,
        _to("truncation", False, value="none", wrong=5, note=": true is end, false none"),
    ),
    "tei": (
        Rule(name="truncate", example=True, wrong="x", sets="`truncation`: true is end, false none", fields=_CUT_END),
        _own("truncation_direction", "Left", wrong="Middle", sets="`truncation: start`, with truncate"),
        _RAW_SCORES,
        _echo("return_text"),
        _TOP_N,
    ),
    "nim": (
        Rule(name="truncate", example="END", wrong="START", sets="`truncation`", fields=_CUT_END),
        _to("top_k", 1, "top_n"),
        _TOP_N,
    ),
    "together": (_TOP_N, _ECHO, _RANK_FIELDS),
    "pinecone": (
        _TOP_N,
        _ECHO,
        _RANK_FIELDS,
        _own("parameters", {"truncate": "END"}, wrong=5, sets="`truncation`; a warning names other parameters"),
        Rule(name="parameters.truncate", example="END", wrong="START", sets="`truncation`", fields=_CUT_END),
    ),
    "mixedbread": (
        _to("top_k", 1, "top_n"),
        _echo("return_input"),
        _RANK_FIELDS,
        _own("rewrite_query", False, wrong=5),
        _INSTRUCTION,
    ),
    "bedrock": (
        _to(f"{_BEDROCK}.numberOfResults", 1, "top_n"),
        Rule(
            name=f"{_BEDROCK}.modelConfiguration.additionalModelRequestFields",
            example={"max_tokens_per_doc": 10},
            wrong=5,
            sets="`max_tokens_per_doc`; other fields are passed to models of Bedrock",
            fields={"max_tokens_per_doc": 10},
        ),
        Rule(name="nextToken", example="t", refused="all results are on the first page"),
    ),
    "vertex": (
        _to("topN", 1, "top_n", note="; less than 1: all"),
        Rule(
            name="ignoreRecordDetailsInResponse",
            example=True,
            wrong="x",
            sets="true: no titles and contents in the answer",
        ),
        _own("userLabels", {"a": "b"}, wrong=5),
    ),
    "fireworks": (_TOP_N, _ECHO, _to("task", "Prefer recent.", "instruction", wrong=5)),
    "infinity": (_TOP_N, _ECHO, _RAW_SCORES),
    "sglang": (_TOP_N, _ECHO, _to("instruct", "Prefer recent.", "instruction", wrong=5)),
    "siliconflow": (_INSTRUCTION, _TOP_N, _ECHO, _CHUNKS, _own("overlap_tokens", 8, wrong=81)),
    "localai": (_TOP_N,),
    "xinference": (_TOP_N, _ECHO, _CHUNKS, _own("return_len", True, wrong=5), _own("kwargs", '{"a": 1}', wrong=5)),
    "openrouter": (
        _TOP_N,
        _own("provider", {"order": ["cohere"]}, wrong=5),
        _to("user", "u", wrong=5),
        _own("session_id", "s", wrong=5),
        _own("trace", {"a": "b"}, wrong=5),
    ),
    "zeroentropy": (_TOP_N, _own("latency", "fast", wrong="medium")),
    "isaacus": (
        _TOP_N,
        _own("is_iql", False, wrong=5),
        _own("scoring_method", "chunk_max", wrong="median"),
        _own("chunking_options", {"size": 100}, wrong=5),
    ),
    "deepinfra": (_INSTRUCTION, _own("service_tier", "default", wrong=5), _own("webhook", "https://host/hook")),
    "weaviate": (Rule(name="property", example="title", wrong=5, sets="`property` of the answer"),),
}
"""Parameters by dialect, in the order of the services' documentation."""
