"""Models served over the Open Inference Protocol (KServe v2): Triton, KServe, OpenVINO Model Server, NVIDIA NIM.

Reference: https://github.com/kserve/open-inference-protocol (specification/protocol). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Truncation,
)
from rerankd_adapters.dialect import Wire, ignored, truncation_of
from rerankd_adapters.failure import printable
from rerankd_adapters.grpc_upstream.kserve_options import read_options
from rerankd_adapters.grpc_upstream.messages import DynamicMessage, find_method
from rerankd_adapters.grpc_upstream.tensors import pack_texts, pick_column, read_numbers
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.wire import bad_response, whole_numbers

_INFER: Final = find_method("inference.GRPCInferenceService", "ModelInfer")
_OUTSIDE_NAMES: Final = re.compile(r"[^A-Za-z0-9_]")
_MAX_TOKENS: Final = 2**53

_Input = tuple[str, Sequence[str], list[int]]
"""Name, texts and shape of an input."""


class KserveGrpc(GrpcUpstream):
    """Sends texts as BYTES tensors and reads scores from a numeric tensor, as configured by `KserveOptions`."""

    method = _INFER
    default_port = 8001

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self._chosen = read_options(self.options)
        knob = chosen.truncate_parameter
        modes = {Truncation.END: {knob: chosen.truncate_end}, Truncation.NONE: {knob: chosen.truncate_none}}
        self._wire = Wire(truncation=modes if knob else {}, always=None)

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities that the options state."""
        facts = super().capabilities(model)
        chosen = self._chosen
        if chosen.max_documents is not None:
            facts = replace(facts, max_documents=chosen.max_documents)
        is_known = chosen.score_space is not ScoreSpace.UNKNOWN
        return replace(facts, score_space=chosen.score_space) if is_known else facts

    def build(self, call: ProviderCall) -> DynamicMessage:
        """Build the request; the call's options become request parameters."""
        chosen = self._chosen
        inputs = self._inputs(call)
        outputs = (chosen.score_output, chosen.index_output, chosen.token_output)
        is_raw = chosen.has_raw_contents
        parameters = {**whole_numbers(dict(call.options)), **self._truncation(call)}
        return _INFER.request(
            model_name=self._model(call.model),
            model_version=chosen.model_version,
            parameters={name: _parameter(name, value) for name, value in parameters.items()},
            inputs=[_tensor(each, is_raw) for each in inputs],
            outputs=[{"name": name} for name in outputs if name],
            raw_input_contents=[pack_texts(texts) for _, texts, _ in inputs] if is_raw else [],
        )

    def _truncation(self, call: ProviderCall) -> dict[str, object]:
        return dict(truncation_of(call, self._wire, self.provider.title))

    def _model(self, model: str) -> str:
        return _OUTSIDE_NAMES.sub("_", model) if self._chosen.has_underscored_names else model

    def _inputs(self, call: ProviderCall) -> list[_Input]:
        chosen, count, query = self._chosen, len(call.documents), self.query_of(call)
        tail = [1] * (chosen.input_rank - 1)
        if not chosen.pair_input:
            repeats = count if chosen.repeats_query else 1
            return [
                (chosen.query_input, [query] * repeats, [repeats, *tail]),
                (chosen.document_input, call.documents, [count, *tail]),
            ]
        if chosen.pair_separator is None:
            return [(chosen.pair_input, [part for text in call.documents for part in (query, text)], [count, 2])]
        joined = [f"{query}{chosen.pair_separator}{text}" for text in call.documents]
        return [(chosen.pair_input, joined, [count, *tail])]

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that the service has no field for."""
        return ignored(call, Wire(), self.provider.title, None)

    def parse(self, call: ProviderCall, response: DynamicMessage) -> ProviderReply:
        """Read the scores, in document order unless the model returns indices."""
        chosen, count = self._chosen, len(call.documents)
        values = read_numbers(response, chosen.score_output)
        scores = [float(value) for value in pick_column(values, count, chosen.score_column, chosen.score_output)]
        indices = list(range(len(scores)))
        if chosen.index_output:
            indices = read_numbers(response, chosen.index_output)
            scores = _aligned(indices, scores)
        return ProviderReply(
            indices=indices,
            scores=scores,
            model=printable(response.model_name[:200]) or None,
            prompt_tokens=self._tokens(response),
            warnings=self.warnings_of(call),
        )

    def _tokens(self, response: DynamicMessage) -> int:
        name = self._chosen.token_output
        if not name or all(output.name != name for output in response.outputs):
            return 0
        counts = read_numbers(response, name)
        is_count = all(type(count) is int and 0 <= count < _MAX_TOKENS for count in counts)
        return sum(counts) if is_count else 0


def _aligned(indices: list[Any], scores: list[float]) -> list[float]:
    """Return the score of each of `indices`.

    Servers document that positions come best first, but not whether scores do too or stay in the order of the
    documents. Scores that only descend when looked up by position are of the second kind.
    """
    if not all(type(index) is int for index in indices):
        raise bad_response("an index is not an integer")
    if sorted(indices) != list(range(len(scores))) or _descends(scores):
        return scores
    looked_up = [scores[index] for index in indices]
    return looked_up if _descends(looked_up) else scores


def _descends(scores: Sequence[float]) -> bool:
    return all(first >= second for first, second in pairwise(scores))


def _tensor(each: _Input, is_raw: bool) -> dict[str, object]:
    name, texts, shape = each
    tensor: dict[str, object] = {"name": name, "datatype": "BYTES", "shape": shape}
    if not is_raw:
        tensor["contents"] = {"bytes_contents": [text.encode() for text in texts]}
    return tensor


def _parameter(name: str, value: object) -> DynamicMessage:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    kind = kinds.get(type(value))
    if kind is None:
        field = f"provider_options.{name[:60]}"
        message = f"{name[:60]} is neither a text nor a number nor a boolean, as parameters are"
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field=field)
    return {kind: value}
