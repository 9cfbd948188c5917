"""Callers known by the certificate of their connection, on a live server, over both transports."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
import trustme
import yaml
from cryptography import x509

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.access.key_format import digest_of, new_secret
from rerankd_client import RerankClient
from tests.e2e.test_access import reason_of
from tests.support.certificates import HOST, authority, issue_client, write_authority
from tests.support.server import ServerProcess

MODEL = "local/bm25"
OTHER = "local/minilm-l6"
KEY = new_secret()
SEARCH = x509.UniformResourceIdentifier("spiffe://prod.example/ns/search/sa/indexer")
LISTS = x509.DNSName("lists.example")
STRANGER = x509.DNSName("stranger.example")
RULES = [
    {"uri": "spiffe://prod.example/ns/search/*", "models": [MODEL], "groups": ["search"]},
    {"dns": "lists.example", "scopes": ["models"]},
    {"common_name": "legacy"},
]


class Client(NamedTuple):
    """A connection's certificate as files."""

    folder: Path
    certificate: bytes
    key: bytes

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        file = self.folder / "client.pem"
        file.write_bytes(self.key + self.certificate)
        context.load_cert_chain(str(file))
        return context


class Guarded(NamedTuple):
    """A server that asks for certificates."""

    folder: Path
    process: ServerProcess

    def client(self, *names: x509.GeneralName, common_name: tuple[str, ...] = ()) -> Client:
        return Client(self.folder, *issue_client(*names, common_name=common_name))

    def http(self, client: Client, model: str = MODEL, headers: Mapping[str, str] | None = None) -> list[str]:
        """Rerank twice on one connection; return why it was refused, "" where it was not."""
        port = int(self.process.http_url.rpartition(":")[2])
        body = json.dumps({"query": "a", "documents": ["a"], "model": model})
        told = []
        with closing(http.client.HTTPSConnection(HOST, port, context=client.context(), timeout=30)) as connection:
            for _ in range(2):
                connection.request("POST", "/v1/rerank", body, {"content-type": "application/json", **(headers or {})})
                response = connection.getresponse()
                response.read()
                told.append(response.headers.get("x-error-reason", ""))
        return told

    def grpc(self, client: Client, model: str = MODEL, headers: Mapping[str, str] | None = None) -> list[str]:
        """Rerank, and rerank a batch of one, as `http`."""
        credentials = grpc.ssl_channel_credentials(
            (self.folder / "ca.pem").read_bytes(), client.key, client.certificate
        )
        request = pb.RerankRequest(query="a", documents=[pb.Document(text="a")], model=model)
        metadata = tuple((headers or {}).items())
        with grpc.secure_channel(self.process.grpc_address, credentials) as channel:
            rerank = channel.unary_unary(
                "/rerank.v1.RerankService/Rerank", pb.RerankRequest.SerializeToString, pb.RerankResponse.FromString
            )
            batch = channel.stream_stream(
                "/rerank.v1.RerankService/BatchRerank",
                pb.BatchRerankRequest.SerializeToString,
                pb.BatchRerankResponse.FromString,
            )
            told = []
            try:
                rerank(request, metadata=metadata)
                told.append("")
            except grpc.RpcError as error:
                told.append(reason_of(error))
            sent = pb.BatchRerankRequest(item=pb.BatchItem(item_id="1", request=request))
            try:
                items = [answer.item for answer in batch(iter([sent]), metadata=metadata) if answer.HasField("item")]
                told += ["refused" if item.status.code else "" for item in items]
            except grpc.RpcError as error:
                told.append(reason_of(error))
        return told


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("certificates")
    ca = write_authority(folder)
    issued = authority().issue_cert(HOST, "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    settings = {
        "default_model": MODEL,
        "server": {"tls": {"certificate_file": str(folder / "server.pem"), "client_ca_file": str(ca)}},
        "access": {
            "enabled": True,
            "certificates": RULES,
            "keys": {"k": {"hash": digest_of(KEY), "scopes": ["models"]}},
        },
        "store": {"state_dir": str(folder / "state")},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    process = ServerProcess("--config", str(file))
    yield Guarded(folder, process)
    assert process.stop() == 0


def test_a_certificate_identifies_callers_on_both_transports(guarded: Guarded) -> None:
    client = guarded.client(SEARCH)
    assert guarded.http(client) == ["", ""]
    assert guarded.grpc(client) == ["", ""]
    assert guarded.http(client, OTHER) == ["MODEL_NOT_ALLOWED"] * 2
    assert guarded.grpc(client, OTHER) == ["MODEL_NOT_ALLOWED", "refused"]
    assert guarded.http(guarded.client(LISTS)) == ["INSUFFICIENT_SCOPE"] * 2
    assert guarded.grpc(guarded.client(LISTS)) == ["INSUFFICIENT_SCOPE"] * 2
    legacy = guarded.client(common_name=("legacy",))
    assert guarded.http(legacy) == ["", ""]
    assert guarded.grpc(legacy) == ["", ""]


def test_our_client_shows_its_certificate(guarded: Guarded) -> None:
    client = guarded.client(SEARCH)
    certificate, key = guarded.folder / "shown.pem", guarded.folder / "shown.key"
    certificate.write_bytes(client.certificate)
    key.write_bytes(client.key)
    ca = guarded.folder / "ca.pem"
    with RerankClient(guarded.process.grpc_address, ca_file=ca, cert_file=certificate, key_file=key) as caller:
        assert caller.rerank("a", ["a"], model=MODEL).results
        assert [model.name for model in caller.list_models()] == [MODEL]


def test_a_certificate_without_a_rule_needs_a_key(guarded: Guarded) -> None:
    for client in (guarded.client(STRANGER), guarded.client(STRANGER, common_name=("legacy",))):
        assert guarded.http(client) == ["API_KEY_MISSING"] * 2
        assert guarded.grpc(client) == ["API_KEY_MISSING"] * 2


def test_a_key_that_is_sent_counts_instead_of_the_certificate(guarded: Guarded) -> None:
    client = guarded.client(SEARCH)
    for key, reason in ((KEY, "INSUFFICIENT_SCOPE"), (new_secret(), "API_KEY_INVALID")):
        headers = {"authorization": f"Bearer {key}"}
        assert guarded.http(client, headers=headers) == [reason] * 2
        assert guarded.grpc(client, headers=headers) == [reason] * 2


def test_headers_of_proxies_identify_nobody(guarded: Guarded) -> None:
    client = guarded.client(STRANGER)
    headers = {
        "x-forwarded-client-cert": f"URI={SEARCH.value}",
        "x-client-cert": guarded.client(SEARCH).certificate.decode().replace("\n", " "),
        "x509_pem_cert": "a",
    }
    assert guarded.http(client, headers=headers) == ["API_KEY_MISSING"] * 2
    assert guarded.grpc(client, headers=headers) == ["API_KEY_MISSING"] * 2


def test_a_certificate_of_another_authority_makes_no_connection(guarded: Guarded) -> None:
    issued = trustme.CA().issue_cert("lists.example")
    forged = Client(guarded.folder, issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes())
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        guarded.http(forged)
