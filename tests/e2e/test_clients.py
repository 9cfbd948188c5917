"""The ways a newcomer calls the server, each against the real one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from rerankd_client import AsyncRerankClient, BatchItem, InvalidRequest, RerankClient
from tests.support.canary import CANARY_DOCUMENT
from tests.support.server import ServerProcess

QUERY = "how do bees make honey"
DOCUMENTS = [f"The {CANARY_DOCUMENT} fell", "Bees turn nectar into honey"]


def test_a_client_that_knows_nothing_but_reflection(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "rerank.v1.RerankService" in database.get_services()
        pool = DescriptorPool(database)
        method = pool.FindServiceByName("rerank.v1.RerankService").FindMethodByName("Rerank")
        request = GetMessageClass(method.input_type)()
        json_format.ParseDict({"query": QUERY, "documents": [{"text": text} for text in DOCUMENTS]}, request)
        call: Any = channel.unary_unary(
            "/rerank.v1.RerankService/Rerank",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        assert [result.index for result in call(request).results] == [1, 0]


def test_the_command_line(server: ServerProcess) -> None:
    command = [
        sys.executable,
        "-m",
        "rerankd.cli",
        "rerank",
        "--address",
        server.grpc_address,
        "--json",
        QUERY,
        *DOCUMENTS,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [result["index"] for result in json.loads(ended.stdout)["results"]] == [1, 0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server: ServerProcess) -> None:
    body = json.dumps({"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "return_documents": True})
    command = ["curl", "-sS", "--noproxy", "*", f"{server.http_url}/v1/rerank", "-H", "content-type: application/json"]
    ended = subprocess.run([*command, "-d", body], capture_output=True, text=True, timeout=60, check=True)
    (result,) = json.loads(ended.stdout)["results"]
    assert result["document"] == {"text": DOCUMENTS[1]}


def test_the_python_client(server: ServerProcess) -> None:
    with RerankClient(server.grpc_address) as client:
        response = client.rerank(QUERY, DOCUMENTS, return_documents=True)
        assert [result.index for result in response.results] == [1, 0]
        assert {model.name for model in client.list_models()} >= {"local/default", "local/bm25"}
        with pytest.raises(InvalidRequest) as raised:
            client.rerank("", DOCUMENTS)
        assert raised.value.reason == "INVALID_REQUEST"


async def test_the_asynchronous_python_client_and_a_batch(server: ServerProcess) -> None:
    async with AsyncRerankClient(server.grpc_address) as client:
        items = [
            BatchItem(item_id=str(number), query=QUERY if number % 10 else " ", documents=DOCUMENTS)
            for number in range(200)
        ]
        batch = client.batch_rerank(items, defaults={"model": "local/bm25"}, ordered=True)
        outcomes = [outcome async for outcome in batch]
    assert [outcome.item_id for outcome in outcomes] == [str(number) for number in range(200)]
    assert sum(outcome.error is not None for outcome in outcomes) == 20
