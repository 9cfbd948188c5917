"""Reading and writing of ONNX graphs, as far as a rewrite needs it: nodes, tensors' names, inputs and outputs.

The file format is protocol buffers (onnx.proto of ONNX 1.19). What is not touched is copied byte for byte, so no
definition of the other messages is needed, and weights are never decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_OPSET = 7, 8
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER, _ATTRIBUTE_TYPE = 1, 3, 20
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_INTEGER = 2
"""`AttributeProto.INT`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    encoded: bytes

    @classmethod
    def make(
        cls,
        operator: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        *,
        domain: str = "",
        **integers: int,
    ) -> Node:
        """Make a node whose attributes are integers."""
        takes, gives = tuple(inputs), tuple(outputs)
        parts = [_text(_NODE_INPUT, name) for name in takes]
        parts += [_text(_NODE_OUTPUT, name) for name in gives]
        parts.append(_text(_NODE_OPERATOR, operator))
        for name, value in integers.items():
            attribute = _text(_ATTRIBUTE_NAME, name) + _number(_ATTRIBUTE_INTEGER, value)
            parts.append(_bytes(_NODE_ATTRIBUTE, attribute + _number(_ATTRIBUTE_TYPE, _INTEGER)))
        if domain:
            parts.append(_text(_NODE_DOMAIN, domain))
        return cls(operator, takes, gives, b"".join(parts))

    @classmethod
    def decode(cls, encoded: bytes) -> Node:
        """Read a `NodeProto`."""
        inputs, outputs, operator = [], [], ""
        for number, value, _ in _fields(encoded):
            if number == _NODE_INPUT:
                inputs.append(bytes(value).decode())
            elif number == _NODE_OUTPUT:
                outputs.append(bytes(value).decode())
            elif number == _NODE_OPERATOR:
                operator = bytes(value).decode()
        return cls(operator, tuple(inputs), tuple(outputs), encoded)


@dataclass(slots=True)
class Graph:
    """A model's graph; change `nodes` and `outputs`, then `encode`."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, memoryview] = field(default_factory=dict)
    """Encoded constants by name."""
    inputs: dict[str, memoryview] = field(default_factory=dict)
    outputs: dict[str, memoryview] = field(default_factory=dict)
    _graph_rest: list[memoryview] = field(default_factory=list)
    _model_rest: list[memoryview] = field(default_factory=list)

    @classmethod
    def decode(cls, model: bytes) -> Graph:
        """Read a `ModelProto`.

        Raises:
            ValueError: When it is no such message.
        """
        graph = cls()
        for number, value, whole in _fields(model):
            if number == _MODEL_GRAPH:
                graph._read(value)
            else:
                graph._model_rest.append(whole)
        return graph

    def _read(self, content: memoryview) -> None:
        named: Mapping[int, tuple[dict[str, memoryview], int]] = {
            _GRAPH_TENSOR: (self.tensors, _TENSOR_NAME),
            _GRAPH_INPUT: (self.inputs, _VALUE_NAME),
            _GRAPH_OUTPUT: (self.outputs, _VALUE_NAME),
        }
        for number, value, whole in _fields(content):
            if number == _GRAPH_NODE:
                self.nodes.append(Node.decode(bytes(value)))
            elif number in named:
                kept, name_field = named[number]
                kept[_name(value, name_field)] = value
            else:
                self._graph_rest.append(whole)

    def producers(self) -> dict[str, Node]:
        """Return the node that makes each value."""
        return {name: node for node in self.nodes for name in node.outputs}

    def keep_needed(self) -> None:
        """Drop nodes, constants and inputs that no output depends on; ONNX Runtime would run them."""
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]
        self.tensors = {name: value for name, value in self.tensors.items() if name in needed}
        self.inputs = {name: value for name, value in self.inputs.items() if name in needed}

    def encode(self, *, domains: Mapping[str, int]) -> bytes:
        """Write the `ModelProto`.

        Args:
            domains: Version by name of the operator sets it uses beside those it used before.
        """
        parts: list[bytes | memoryview] = [_bytes(_GRAPH_NODE, node.encoded) for node in self.nodes]
        for number, values in (
            (_GRAPH_TENSOR, self.tensors),
            (_GRAPH_INPUT, self.inputs),
            (_GRAPH_OUTPUT, self.outputs),
        ):
            for value in values.values():
                parts += [_head(number, len(value)), value]
        graph = b"".join([*parts, *self._graph_rest])
        opsets = [
            _bytes(_MODEL_OPSET, _text(_OPSET_DOMAIN, name) + _number(_OPSET_VERSION, version))
            for name, version in domains.items()
        ]
        return b"".join([*self._model_rest, *opsets, _head(_MODEL_GRAPH, len(graph)), graph])


def _fields(content: bytes | memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield number, value and whole encoding of each field; a number's value is empty."""
    view = memoryview(content)
    start = 0
    while start < len(view):
        key, at = _varint(view, start)
        kind = key & 7
        value = view[:0]
        if kind == _VARINT:
            _, end = _varint(view, at)
        elif kind in (_FIXED64, _FIXED32):
            end = at + (8 if kind == _FIXED64 else 4)
        elif kind == _BYTES:
            length, at = _varint(view, at)
            end = at + length
            value = view[at:end]
        else:
            raise ValueError("not a protocol buffers message")
        if end > len(view):
            raise ValueError("the message is cut off")
        yield key >> 3, value, view[start:end]
        start = end


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(view) and shift < 64:
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise ValueError("the message is cut off")


def _name(content: memoryview, number: int) -> str:
    return next((bytes(value).decode() for found, value, _ in _fields(content) if found == number), "")


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _head(number: int, length: int) -> bytes:
    return _encode_varint(number << 3 | _BYTES) + _encode_varint(length)


def _bytes(number: int, content: bytes) -> bytes:
    return _head(number, len(content)) + content


def _text(number: int, content: str) -> bytes:
    return _bytes(number, content.encode())


def _number(number: int, value: int) -> bytes:
    return _encode_varint(number << 3 | _VARINT) + _encode_varint(value)
