"""Google's ranking API over gRPC, and deployments that use the server's credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.access_tokens import AccessToken, AccessTokenCache
from rerankd.providers.authentication import BearerToken
from rerankd.providers.grpc_provider import open_grpc_provider
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, Truncation
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.providers.tei import TEI
from rerankd_adapters.providers.vertex_grpc import VERTEX_GRPC
from rerankd_adapters.providers.vertex_location import located
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, call_of, failure, open_upstream

RANK = find_method("google.cloud.discoveryengine.v1.RankService", "Rank")
MODEL = "semantic-ranker-default@latest"


@pytest.fixture
async def vertex(server: FakeUpstream) -> AsyncIterator[GrpcUpstream]:
    upstream = open_upstream(VERTEX_GRPC, server.base_url, {"project": "p-1"}, api_key="ya29.token")
    yield upstream
    await upstream.close()


async def test_records_are_named_by_position(vertex: GrpcUpstream, server: FakeUpstream) -> None:
    records = [{"id": "2", "score": 0.87}, {"id": "0", "score": 0.12}, {"id": "1", "score": 0.12}]
    server.answer(RANK, RANK.response(records=records))
    call = call_of(["a", "b", "c"], model=MODEL, top_n=1, options={"user_labels": {"team": "search"}})
    reply = await vertex.rerank(call)
    assert (list(reply.indices), list(reply.scores)) == ([2, 0, 1], [0.87, 0.12, 0.12])
    assert reply.search_units == 1
    assert reply.cost_usd == pytest.approx(0.001)
    (request,) = server.requests
    config = "projects/p-1/locations/global/rankingConfigs/default_ranking_config"
    assert (request.ranking_config, request.model, request.query) == (config, MODEL, "q")
    assert [(each.id, each.title, each.content) for each in request.records] == [
        ("0", "", "a"),
        ("1", "", "b"),
        ("2", "", "c"),
    ]
    assert (request.top_n, request.ignore_record_details_in_response) == (0, True)
    assert dict(request.user_labels) == {"team": "search"}
    assert server.metadata["authorization"] == "Bearer ya29.token"
    assert server.metadata["x-goog-request-params"] == "ranking_config=" + config.replace("/", "%2F")
    assert "x-goog-user-project" not in server.metadata


async def test_who_pays_and_where(server: FakeUpstream) -> None:
    server.answer(RANK, RANK.response(records=[{"id": "0", "score": 0.0001}]))
    options = {"project": "p", "location": "eu", "ranking_config": "mine", "quota_project": "payer"}
    upstream = open_upstream(VERTEX_GRPC, server.base_url, options, api_key="token")
    reply = await upstream.rerank(call_of(["a"]))
    assert list(reply.scores) == [0.0001]
    assert server.requests[0].ranking_config == "projects/p/locations/eu/rankingConfigs/mine"
    assert server.metadata["x-goog-user-project"] == "payer"
    await upstream.close()


async def test_resource_name_of_a_ranking_config(server: FakeUpstream) -> None:
    server.answer(RANK, RANK.response(records=[{"id": "0", "score": 0.5}]))
    resource = "projects/other/locations/us/rankingConfigs/mine"
    upstream = open_upstream(VERTEX_GRPC, server.base_url, {"ranking_config": resource}, api_key="token")
    await upstream.rerank(call_of(["a"]))
    assert server.requests[0].ranking_config == resource
    await upstream.close()


@pytest.mark.parametrize(
    ("location", "host"),
    [("us", "us-discoveryengine.googleapis.com"), ("global", "discoveryengine.googleapis.com")],
)
def test_hosts_of_locations(location: str, host: str) -> None:
    for base_url in ("grpcs://discoveryengine.googleapis.com", "grpcs://eu-discoveryengine.googleapis.com"):
        assert located(base_url, location) == f"grpcs://{host}"


@pytest.mark.parametrize("name", ["", "x", "-1", "1.0", "\u0661", "00", "9" * 40])
async def test_records_that_were_not_sent(vertex: GrpcUpstream, server: FakeUpstream, name: str) -> None:
    server.answer(RANK, RANK.response(records=[{"id": name, "score": 1}]))
    error = await failure(vertex)
    assert (error.kind, error.message) == (AdapterErrorKind.BAD_RESPONSE, "a record has an id that was not sent")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, AdapterErrorKind.REJECTED),
        (grpc.StatusCode.FAILED_PRECONDITION, AdapterErrorKind.REJECTED),
        (grpc.StatusCode.UNAUTHENTICATED, AdapterErrorKind.CREDENTIALS),
        (grpc.StatusCode.PERMISSION_DENIED, AdapterErrorKind.CREDENTIALS),
        (grpc.StatusCode.NOT_FOUND, AdapterErrorKind.MODEL_NOT_FOUND),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, AdapterErrorKind.RATE_LIMITED),
        (grpc.StatusCode.UNAVAILABLE, AdapterErrorKind.UNAVAILABLE),
    ],
)
async def test_statuses(
    vertex: GrpcUpstream, server: FakeUpstream, code: grpc.StatusCode, kind: AdapterErrorKind
) -> None:
    server.abort(RANK, code, "no")
    assert (await failure(vertex)).kind is kind


async def test_it_always_truncates(vertex: GrpcUpstream, server: FakeUpstream) -> None:
    error = await failure(vertex, truncation=Truncation.NONE)
    assert (error.kind, error.field) == (AdapterErrorKind.UNSUPPORTED, "truncation")
    server.answer(RANK, RANK.response())
    await vertex.rerank(call_of(["a"], truncation=Truncation.END))


async def test_project_is_needed(server: FakeUpstream) -> None:
    upstream = open_upstream(VERTEX_GRPC, server.base_url, api_key="token")
    assert (await failure(upstream)).kind is AdapterErrorKind.CREDENTIALS
    with pytest.raises(AdapterError, match="project is not a name"):
        open_upstream(VERTEX_GRPC, server.base_url, {"project": "p/locations/x"}, api_key="token")
    with pytest.raises(AdapterError, match="VERTEXAI_ACCESS_TOKEN"):
        open_upstream(VERTEX_GRPC, server.base_url, {"project": "p"})


async def test_labels_that_are_none(vertex: GrpcUpstream) -> None:
    assert (await failure(vertex, options={"user_labels": 3.0})).kind is AdapterErrorKind.REJECTED


async def test_tokens_of_the_server_authorize(server: FakeUpstream) -> None:
    server.answer(RANK, RANK.response(records=[{"id": "0", "score": 0.5}]))

    async def fetch() -> AccessToken:
        return AccessToken("fetched-token", float("inf"))

    upstream = open_grpc_provider(
        VERTEX_GRPC,
        Endpoint(base_url=server.base_url),
        None,  # type: ignore[arg-type]  # sends nothing over HTTP
        name="mine",
        options={"project": "p"},
        authenticator=BearerToken(AccessTokenCache(fetch)),
        settings=TransportSettings(uses_environment_proxy=False),
    )
    await upstream.rerank(call_of(["a"]))
    assert (upstream.name, server.metadata["authorization"]) == ("mine", "Bearer fetched-token")
    assert VERTEX_GRPC.is_grpc
    assert not TEI.is_grpc
    await upstream.close()
