"""The same kinds of attack over gRPC."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.rpc.tei_messages import RERANK, TEI_RERANK
from tests.abuse.drill import LEGAL_P99_MS, drill
from tests.abuse.probe import MESSAGE, METHOD
from tests.abuse.raw import at_once
from tests.support.server import ServerProcess

BATCH = "/rerank.v1.RerankService/BatchRerank"
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _call(server: ServerProcess, message: bytes, method: str = METHOD, **options: Any) -> tuple[str, str]:
    with grpc.insecure_channel(server.grpc_address, _UNLIMITED) as channel:
        rerank: Any = channel.unary_unary(method)
        try:
            rerank(message, timeout=30, **options)
        except grpc.RpcError as error:
            return error.code().name, str(error.details())
    return "OK", ""


def test_two_million_documents(attacked: ServerProcess) -> None:
    document = pb.RerankRequest(documents=[pb.Document(text="z")]).SerializeToString()
    message = pb.RerankRequest(model="local/bm25", query="q").SerializeToString() + document * 2_000_000
    seen = drill("2,000,000 documents over gRPC", attacked, lambda: _call(attacked, message))
    seen.check()
    assert seen.result[0] == "INVALID_ARGUMENT"
    assert "more than the 10000" in seen.result[1]


def test_two_million_documents_in_a_batch(attacked: ServerProcess) -> None:
    request = pb.RerankRequest(query="q", documents=[pb.Document(text="z")] * 2_000_000)
    message = pb.BatchRerankRequest(item=pb.BatchItem(request=request)).SerializeToString()
    del request

    def attack() -> tuple[str, str]:
        with grpc.insecure_channel(attacked.grpc_address, _UNLIMITED) as channel:
            batch: Any = channel.stream_stream(BATCH)
            try:
                list(batch(iter([message]), timeout=30))
            except grpc.RpcError as error:
                return error.code().name, str(error.details())
        return "OK", ""

    seen = drill("2,000,000 documents in a batch", attacked, attack)
    seen.check()
    assert seen.result[0] == "INVALID_ARGUMENT"


def test_two_million_texts_of_the_tei_service(attacked: ServerProcess) -> None:
    texts = RERANK.request(texts=["z"]).SerializeToString()
    message = RERANK.request(query="q").SerializeToString() + texts * 2_000_000
    method = f"/{TEI_RERANK}/Rerank"
    seen = drill("2,000,000 texts over TEI's gRPC", attacked, lambda: _call(attacked, message, method))
    seen.check()
    assert seen.result[0] == "INVALID_ARGUMENT"
    assert "more than the 10000" in seen.result[1]


def test_ten_thousand_objects_of_a_hundred_fields(attacked: ServerProcess) -> None:
    request = pb.RerankRequest(model="local/bm25", query="value", top_n=3)
    document = pb.Document()
    document.fields.update({f"field {number}": f"value {number}" for number in range(100)})
    request.documents.extend([document] * 10_000)
    message = request.SerializeToString()
    del request
    seen = drill(
        "10,000 objects of 100 fields over gRPC", attacked, lambda: _call(attacked, message), most_p99_ms=LEGAL_P99_MS
    )
    seen.check()
    assert seen.result[0] == "OK"


def test_metadata_of_a_megabyte(attacked: ServerProcess) -> None:
    def attack() -> Counter[str]:
        return Counter(
            _call(attacked, MESSAGE, metadata=[(f"x-{number}", "y" * 10_000) for number in range(100)])[0]
            for _ in range(20)
        )

    seen = drill("metadata of 1 MB", attacked, attack)
    seen.check()
    assert seen.result == {"RESOURCE_EXHAUSTED": 20}


def test_streams_that_send_nothing(attacked: ServerProcess) -> None:
    def silent() -> Iterator[bytes]:
        time.sleep(3)
        yield from ()

    def attack() -> int:
        with grpc.insecure_channel(attacked.grpc_address) as channel:
            batch: Any = channel.stream_stream(BATCH)
            streams = [batch(iter(silent())) for _ in range(200)]
            time.sleep(3)
            for stream in streams:
                stream.cancel()
        return len(streams)

    drill("streams that send nothing", attacked, attack).check()


def test_rapid_reset(attacked: ServerProcess) -> None:
    host, _, port = attacked.grpc_address.partition(":")
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "x"),
        ("te", "trailers"), ("content-type", "application/grpc"),
    ]  # fmt: skip

    def attack() -> list[int]:
        return at_once(2, lambda _: _reset(host, int(port), headers))

    seen = drill("20,000 streams reset at once", attacked, attack)
    seen.check()


def _reset(host: str, port: int, headers: list[tuple[str, str]]) -> int:
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    count = 0
    with socket.create_connection((host, port), 5) as raw, contextlib.suppress(OSError):
        raw.sendall(connection.data_to_send())
        for _ in range(100):
            for _ in range(100):
                stream = connection.get_next_available_stream_id()
                connection.send_headers(stream, headers)
                connection.reset_stream(stream)
                count += 1
            raw.sendall(connection.data_to_send())
    return count
