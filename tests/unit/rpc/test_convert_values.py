"""Protobuf's own types as Python values."""

from __future__ import annotations

from google.protobuf import struct_pb2

from rerankd.rpc.convert_values import struct_from_proto


def test_names_come_in_their_order_at_every_level() -> None:
    names = [f"name {number}" for number in range(30)]
    struct = struct_pb2.Struct()
    struct.update({**dict.fromkeys(names, 1), "inner": dict.fromkeys(reversed(names), "text")})
    found = struct_from_proto(struct_pb2.Struct.FromString(struct.SerializeToString()))
    assert list(found) == ["inner", *sorted(names)]
    assert list(found["inner"]) == sorted(names)
