"""Messages of the Open Inference Protocol for tests."""

from __future__ import annotations

from typing import Any

from rerankd_adapters.grpc_upstream.messages import find_method

INFER = find_method("inference.GRPCInferenceService", "ModelInfer")


def output(name: str, datatype: str, shape: list[int], **contents: Any) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    return {**tensor, "contents": contents} if contents else tensor


def scores_of(*values: float) -> Any:
    return INFER.response(
        model_name="m", outputs=[output("score", "FP32", [len(values), 1], fp32_contents=list(values))]
    )


def texts_of(tensor: Any) -> list[str]:
    return [text.decode() for text in tensor.contents.bytes_contents]
