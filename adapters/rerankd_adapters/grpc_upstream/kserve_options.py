"""Tensor names and formats of a model served over the Open Inference Protocol, from configuration.

Reference: https://docs.nvidia.com/nim/nemo-retriever/text-reranking (reference-grpc, 1.10 and 2.0) for the preset.
Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rerankd_adapters.base import AdapterError, AdapterErrorKind, ScoreSpace
from rerankd_adapters.grpc_upstream.option_values import read_bool, read_choice, read_whole

PRESETS: Final[Mapping[str, Mapping[str, object]]] = {
    "nim": {
        "query_input": "query",
        "document_input": "passage",
        "score_output": "logit",
        "index_output": "index",
        "token_output": "token_count",
        "score_space": "logit",
        "truncate_parameter": "truncate",
        "model_names": "underscores",
        "max_documents": 512,
    },
}
"""Option presets. NIM's input names are from its example; its output names follow the wording of its reference and are
not verified. Configured options override the preset."""

_SPACES: Final = tuple(space.value for space in ScoreSpace)


@dataclass(frozen=True, slots=True, kw_only=True)
class KserveOptions:
    """Validated adapter options; `Provider.options` describes each."""

    query_input: str
    document_input: str
    pair_input: str
    pair_separator: str | None
    input_rank: int
    repeats_query: bool
    has_raw_contents: bool
    score_output: str
    score_column: int | None
    index_output: str
    token_output: str
    score_space: ScoreSpace
    max_documents: int | None
    model_version: str
    has_underscored_names: bool
    truncate_parameter: str
    truncate_end: str
    truncate_none: str


def read_options(given: Mapping[str, object]) -> KserveOptions:
    """Validate adapter options; options that are set override those of the preset.

    Raises:
        AdapterError: `REJECTED`, naming the invalid option.
    """
    options = {**PRESETS.get(read_choice(given, "preset", ("", *PRESETS)), {}), **given}
    if str(options.get("input_datatype") or "BYTES") != "BYTES":
        message = "the option input_datatype is not BYTES; wrap models that take token ids in an ensemble"
        raise AdapterError(AdapterErrorKind.REJECTED, message)
    separator = options.get("pair_separator")
    return KserveOptions(
        query_input=_name(options, "query_input", "query"),
        document_input=_name(options, "document_input", "document"),
        pair_input=_name(options, "pair_input"),
        pair_separator=None if separator is None else str(separator),
        input_rank=int(read_choice(options, "input_rank", ("2", "1"))),
        repeats_query=read_bool(options, "repeats_query", default=True),
        has_raw_contents=read_bool(options, "raw_contents"),
        score_output=_name(options, "score_output", "score"),
        score_column=read_whole(options, "score_column"),
        index_output=_name(options, "index_output"),
        token_output=_name(options, "token_output"),
        score_space=ScoreSpace(read_choice(options, "score_space", _SPACES)),
        max_documents=read_whole(options, "max_documents", least=1),
        model_version=_name(options, "model_version"),
        has_underscored_names=read_choice(options, "model_names", ("as_is", "underscores")) == "underscores",
        truncate_parameter=_name(options, "truncate_parameter"),
        truncate_end=_name(options, "truncate_end", "END"),
        truncate_none=_name(options, "truncate_none", "NONE"),
    )


def _name(options: Mapping[str, object], name: str, default: str = "") -> str:
    value = options.get(name)
    return default if value is None else str(value)
