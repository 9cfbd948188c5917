"""TLS settings of single providers, over both HTTP clients and over gRPC."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
import structlog
import trustme

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import ClientName, TlsSettings, TransportSettings
from rerankd.providers.factory import ProviderSettingsError, open_provider, provider_problems
from rerankd.providers.settings import ProviderSettings
from rerankd.providers.tls import tls_warnings
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd_adapters.base import AdapterError, ProviderCall
from rerankd_adapters.grpc_upstream.messages import find_method
from tests.support.certificates import server_context
from tests.support.raw_server import RawServer, always

BODY = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CALL = ProviderCall(model="m", query="q", documents=["a"])


async def outcome(name: str, options: ProviderSettings, client: ClientName = "auto") -> str:
    """Make one call; return "answered" or the error's message."""
    transport = open_transport(TransportSettings(client=client, uses_environment_proxy=False))
    provider = open_provider(name, options, {}, transport)
    try:
        await provider.rerank(CALL)
    except AdapterError as error:
        return error.message
    finally:
        await provider.close()
        await transport.close()
    return "answered"


@pytest.fixture
def foreign() -> trustme.CA:
    """An authority of one provider's own."""
    return trustme.CA()


@pytest.fixture
def foreign_file(foreign: trustme.CA, tmp_path: Path) -> str:
    """Its certificate."""
    foreign.cert_pem.write_to_path(str(tmp_path / "foreign.pem"))
    return str(tmp_path / "foreign.pem")


@pytest.mark.parametrize("client", ["loop", "httpx"])
async def test_settings_are_one_providers_alone(client: ClientName, foreign: trustme.CA, foreign_file: str) -> None:
    async with RawServer(always(OK), tls=server_context(foreign.issue_cert("127.0.0.1"))) as server:
        plain = ProviderSettings(base_url=server.url)
        trusting = ProviderSettings(base_url=server.url, tls=TlsSettings(ca_file=foreign_file))
        blind = ProviderSettings(base_url=server.url, tls=TlsSettings(verify=False))
        assert await outcome("generic", trusting, client) == "answered"
        assert await outcome("generic", blind, client) == "answered"
        assert "the certificate of 127.0.0.1 is not valid" in await outcome("generic", plain, client)


async def test_settings_apply_to_grpc(foreign: trustme.CA, foreign_file: str) -> None:
    method = find_method("tei.v1.Rerank", "Rerank")
    answer: bytes = method.response(ranks=[{"index": 0, "score": 0.5}]).SerializeToString()

    async def serve(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return answer

    issued = foreign.issue_cert("tei.internal")
    pems = (issued.private_key_pem.bytes(), b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(serve)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tei.v1.Rerank", {"Rerank": handler})])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pems]))
    await server.start()
    try:
        url = f"grpcs://127.0.0.1:{port}"
        tls = TlsSettings(ca_file=foreign_file, server_name="tei.internal")
        assert await outcome("tei_grpc", ProviderSettings(base_url=url, tls=tls)) == "answered"
        assert await outcome("tei_grpc", ProviderSettings(base_url=url)) != "answered"
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("name", "base_url", "tls", "problem"),
    [
        (
            "tei",
            "http://h",
            TlsSettings(verify=False),
            "tls has no effect: providers.tei.base_url has no",
        ),
        ("tei", "https://h", TlsSettings(client_key_file="k"), "client_key_file needs providers.tei.tls.client_cert"),
        ("tei", "https://h", TlsSettings(server_name="h:443"), "server_name must be a host name without port, is 'h:"),
        ("tei", "https://h", TlsSettings(verify=False, ca_file="c"), "tls.ca_file has no effect when"),
        ("tei", "https://h", TlsSettings(ca_file="/nowhere"), "providers.tei.tls: /nowhere: No such file"),
        ("tei_grpc", "grpcs://h", TlsSettings(verify=False), "gRPC verifies certificates always"),
        ("tei_grpc", "grpcs://h", TlsSettings(ca_file="/nowhere"), "providers.tei_grpc.tls: /nowhere: No such file"),
    ],
)
async def test_settings_that_cannot_be_used(name: str, base_url: str, tls: TlsSettings, problem: str) -> None:
    options = ProviderSettings(base_url=base_url, tls=tls)
    transport = open_transport()
    try:
        (found,) = await provider_problems({name: options}, {}, transport)
        assert problem in found
        with pytest.raises(ProviderSettingsError, match="tls"):
            open_provider(name, options, {}, transport)
    finally:
        await transport.close()


async def test_unverified_certificates_are_warned_of_at_start() -> None:
    blind = ProviderSettings(base_url="https://tei.example", tls=TlsSettings(verify=False))
    providers = {"tei": blind, "cohere": ProviderSettings(api_key="k")}
    (warning,) = tls_warnings(providers)
    assert "providers.tei.tls.verify is false" in warning
    assert "tei.example" in warning
    with structlog.testing.capture_logs() as logs:
        await EngineHost(Settings(providers=providers), {}).close()
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [("warning", warning)]
