"""`Service.reload`: what is reopened and what is kept; a failure changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd.providers.settings import ProviderSettings
from rerankd.serving.engine_versions import EngineVersion
from rerankd.serving.service import Service
from rerankd.settings import ServerSettings, Settings, SettingsError
from tests.support.canary import CANARY_SECRET

COHERE = ProviderSettings(api_key=CANARY_SECRET, base_url="http://127.0.0.1:1")
TEI = ProviderSettings(base_url="http://127.0.0.1:1")
FIRST = Settings(providers={"cohere": COHERE, "tei": TEI}, server=ServerSettings(http_port=0, grpc_port=0))


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("VOYAGE_API_KEY", CANARY_SECRET)
    service = Service(FIRST)
    yield service
    await service.stop()


def current(service: Service) -> EngineVersion:
    return service.host.versions.current


def named(version: EngineVersion) -> dict[str, Any]:
    return {deployment.name: deployment for deployment in version.deployments}


def changed(**fields: Any) -> Settings:
    return Settings(**{"providers": FIRST.providers, "server": FIRST.server, **fields})


async def test_deployments_stay_when_something_else_changes(service: Service) -> None:
    before = current(service)
    update = await service.reload(changed(aliases={"fast": "local/bm25"}))
    assert update.changed == ["aliases.fast"]
    assert current(service) is not before
    assert current(service).deployments is before.deployments
    assert current(service).transport is before.transport


async def test_only_the_changed_provider_is_opened_anew(service: Service) -> None:
    before = named(current(service))
    other = ProviderSettings(api_key="other", base_url="http://127.0.0.1:1")
    update = await service.reload(changed(providers={"cohere": other, "vllm": TEI}))
    after = named(current(service))
    assert update.changed == ["providers.cohere.api_key", "providers.tei", "providers.vllm"]
    assert after.keys() == {"cohere", "vllm", "voyage"}
    assert after["cohere"] is not before["cohere"]
    assert after["voyage"] is before["voyage"]


async def test_tls_of_one_provider_is_taken_up(service: Service) -> None:
    before = named(current(service))
    verified = ProviderSettings(base_url="https://127.0.0.1:1")
    await service.reload(changed(providers={"cohere": COHERE, "tei": verified}))
    unverified = ProviderSettings(base_url="https://127.0.0.1:1", tls=TlsSettings(server_name="tei.internal"))
    update = await service.reload(changed(providers={"cohere": COHERE, "tei": unverified}))
    assert update.changed == ["providers.tei.tls.server_name"]
    assert named(current(service))["cohere"] is before["cohere"]


async def test_a_provider_of_the_environment_comes_and_goes_with_its_section(service: Service) -> None:
    await service.reload(changed(providers={"voyage": ProviderSettings(api_key="of the settings")}))
    section = named(current(service))["voyage"]
    await service.reload(changed(providers={}))
    assert named(current(service)).keys() == {"voyage"}
    assert named(current(service))["voyage"] is not section


async def test_another_transport_opens_all_anew(service: Service) -> None:
    before = current(service)
    await service.reload(changed(transport=TransportSettings(read_timeout_s=7)))
    assert current(service).transport is not before.transport
    assert not set(named(current(service)).values()) & set(named(before).values())


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        (
            {"providers": {"voyag": TEI, "tei": ProviderSettings()}},
            [
                "providers.voyag: there is no provider voyag; did you mean voyage?",
                "providers.tei.base_url is missing: Text Embeddings Inference has no public address",
            ],
        ),
        ({"transport": TransportSettings(ca_file="/nowhere")}, ["transport: /nowhere: No such file or directory"]),
    ],
)
async def test_bad_settings_change_nothing(service: Service, fields: dict[str, Any], problems: list[str]) -> None:
    before = current(service)
    with pytest.raises(SettingsError) as raised:
        await service.reload(changed(**fields, aliases={"a": "b"}))
    assert raised.value.problems == problems
    assert current(service) is before
    assert (await service.reload(FIRST)).changed == []


async def test_what_needs_a_restart_is_named_each_time_and_not_taken_up(service: Service) -> None:
    server = ServerSettings(http_port=0, grpc_port=0, drain_grace_s=1)
    for _ in range(2):
        update = await service.reload(changed(server=server))
        assert (update.changed, update.needs_restart) == ([], ["server.drain_grace_s"])
    assert current(service).settings.server == FIRST.server


async def test_a_model_that_cannot_be_served_changes_nothing(service: Service) -> None:
    before = current(service)
    models = {"own": ModelSettings(deployments=[DeploymentSettings(model="nobody/m")])}
    with pytest.raises(SettingsError, match="there is no provider nobody"):
        await service.reload(changed(models=models))
    assert current(service) is before
