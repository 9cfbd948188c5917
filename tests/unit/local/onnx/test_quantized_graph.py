from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]  # it has no types
import pytest

from rerankd.local.onnx.costs import CostMeter
from rerankd.local.onnx.graph import Graph, Node
from rerankd.local.onnx.quantized_graph import quantize
from rerankd.local.onnx.session import OnnxSession
from rerankd.local.onnx.weights import MINILM
from rerankd.local.similarity import normalise

Floats = npt.NDArray[np.float32]

_IDS = [101, 2129, 2079, 8734, 2191, 6861, 1029, 102]
"""`[CLS] how do bees make honey? [SEP]`."""


def _run(model: bytes) -> Floats:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ids = np.array([_IDS], np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    states: Floats = session.run(None, feed)[0][0]
    return states


def test_a_graph_is_encoded_as_it_was_decoded() -> None:
    packaged = MINILM.source.read()
    graph = Graph.decode(packaged)
    again = Graph.decode(graph.encode(domains={}))
    assert again.nodes == graph.nodes
    assert list(again.outputs) == ["last_hidden_state"]
    assert {name: bytes(value) for name, value in again.tensors.items()} == {
        name: bytes(value) for name, value in graph.tensors.items()
    }
    assert np.array_equal(_run(packaged), _run(graph.encode(domains={})))


@pytest.mark.parametrize("content", [b"\x3a\x05ab", b"\xff" * 20, b"\x0b", MINILM.source.read()[:5000]])
def test_what_is_cut_off_or_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        Graph.decode(content)


def test_every_product_lookup_and_attention_of_minilm_is_rewritten() -> None:
    graph = Graph.decode(MINILM.read())
    operators = Counter(node.operator for node in graph.nodes)
    # Six layers of six products each; query, key and value share their quantized operand.
    assert operators["MatMulInteger"] == 36
    assert operators["DynamicQuantizeLinear"] == 24
    assert operators["MultiHeadAttention"] == 6
    assert operators["MatMul"] == operators["Softmax"] == 0
    assert set(graph.inputs) == {"input_ids", "token_type_ids"}
    # A widened vocabulary would take 47 MB.
    widened = {node.outputs[0] for node in graph.nodes if node.operator == "Cast"}
    assert not any(node.inputs[0] in graph.tensors for node in graph.nodes if node.outputs[0] in widened)


def test_rewritten_vectors_are_those_of_the_packaged_graph() -> None:
    exact = _run(MINILM.source.read())
    rewritten = OnnxSession(MINILM, CostMeter(0.2)).run(_IDS, [0] * len(_IDS))
    assert rewritten.shape == exact.shape
    assert (normalise(rewritten) * normalise(exact)).sum(axis=-1).min() > 0.95


def test_a_node_is_read_as_it_was_made() -> None:
    made = Node.make("Gather", ["table", "ids"], ["rows"], domain="com.microsoft", axis=300)
    assert Node.decode(made.encoded) == made


def test_a_graph_without_widened_weights_stays_as_it_is() -> None:
    rewritten = MINILM.read()
    again = Graph.decode(quantize(rewritten, MINILM.heads))
    assert again.nodes == Graph.decode(rewritten).nodes
