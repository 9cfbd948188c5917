"""`rerankd providers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rerankd_adapters.registry import find_provider, provider_names
from rerankd_adapters.testing import ScriptedResponse
from tests.support.canary import CANARY_SECRET
from tests.support.certificates import server_context, write_authority
from tests.support.ports import free_port
from tests.support.raw_server import RawServer, always
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from tests.unit.console.conftest import Run

KEY = CANARY_SECRET


@pytest.fixture(autouse=True)
def _no_provider_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [find_provider(name) for name in provider_names()]
    for provider in filter(None, known):
        for variable in (*provider.key_variables, *provider.base_url_variables, *provider.presence_variables):
            monkeypatch.delenv(variable, raising=False)
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: ScriptedResponse.of_json({}, 404)) as running:
        yield running


@pytest.fixture
def closed_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def test_all_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    config = tmp_path / "rerankd.yaml"
    config.write_text("providers: {gpu: {provider: tei, base_url: 'http://user:secret@10.0.0.1/?key=secret'}}\n")

    outcome = await run("providers", "--config", str(config))

    lines = {line.split()[0]: line.split() for line in outcome.out.splitlines() if line.strip()}
    assert outcome.exit_code == 0
    assert set(provider_names()) | {"gpu"} <= set(lines)
    assert lines["cohere"] == ["cohere", "Cohere", "CO_API_KEY", "7", "pointwise"]
    assert lines["gpu"] == ["gpu", "Text", "Embeddings", "Inference", "settings", "-", "pointwise"]
    assert lines["voyage"][3:5] == ["not", "configured"]
    assert KEY not in outcome.out + outcome.err


async def test_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHERE_API_KEY", KEY)

    outcome = await run("providers", "cohere")

    provider = find_provider("cohere")
    assert provider is not None
    for part in (provider.reference, provider.checked, *provider.key_variables, *provider.models, *provider.quirks):
        assert part in outcome.out
    assert "$2 / 1,000" in outcome.out
    assert '"2" (default) or "1".' in outcome.out
    assert KEY not in outcome.out + outcome.err


@pytest.mark.parametrize("name", provider_names())
async def test_each_by_name_and_alias_as_json(run: Run, name: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    entries = [json.loads((await run("providers", each, "--json")).out) for each in (name, *provider.aliases)]

    assert all(entry == entries[0] for entry in entries)
    assert (entries[0]["name"], entries[0]["options"]) == (name, dict(provider.options))
    assert (await run("providers", name)).exit_code == 0


async def test_json_hides_what_is_secret(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "rerankd.yaml"
    url = "http://user:secret@10.0.0.1:81/x?key=secret"
    entry = {"base_url": url, "api_key": KEY, "headers": {"x-key": "secret"}, "options": {"shape": "tei"}}
    config.write_text(json.dumps({"providers": {"generic": entry}}))

    listed = await run("providers", "--json", "-c", str(config))
    one = await run("providers", "custom", "--json", "-c", str(config))

    (generic,) = [each for each in json.loads(listed.out) if each["name"] == "generic"]
    assert (generic["configured_by"], generic["base_url"]) == ("settings", "http://10.0.0.1:81/x")
    for text in (listed.out, one.out, (await run("providers", "generic", "-c", str(config))).out):
        assert "secret" not in text
        assert KEY not in text


async def test_reachable_or_not(run: Run, monkeypatch: pytest.MonkeyPatch, upstream: Upstream, closed_url: str) -> None:
    # Public addresses are asked for through a proxy on this machine, so that nothing leaves it.
    monkeypatch.setenv("RERANKD_TRANSPORT__PROXY", upstream.url)
    for provider in filter(None, map(find_provider, provider_names())):
        if provider.base_url.startswith("grpc"):
            monkeypatch.setenv(provider.base_url_variables[0], upstream.url.replace("http", "grpc"))
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    monkeypatch.setenv("COHERE_API_BASE", upstream.url)
    monkeypatch.setenv("VLLM_API_BASE", upstream.url)

    outcome = await run("providers", "--check", "--json")
    found = {each["name"]: each for each in json.loads(outcome.out)}

    assert found["cohere"]["is_reachable"] is True
    assert found["cohere"]["reach"].startswith("HTTP 404, ")
    assert found["voyage"]["is_reachable"] is False
    assert found["elasticsearch"]["is_reachable"] is None
    assert [each for each in found.values() if each["configured_by"] and not each["is_reachable"]] == []
    assert all("authorization" not in request.headers for request in upstream.received)
    monkeypatch.delenv("RERANKD_TRANSPORT__PROXY")
    monkeypatch.setenv("VLLM_API_BASE", closed_url)
    broken = await run("providers", "vllm", "--check")
    assert broken.exit_code == 1
    assert "no (" in broken.out


async def test_half_configured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHERE_API_BASE", "http://10.0.0.1")

    outcome = await run("providers", "cohere")

    assert "not configured" in outcome.out
    assert "COHERE_API_BASE is set, but no key; set COHERE_API_KEY or CO_API_KEY" in outcome.err


async def test_a_grpc_address_is_connected_to(run: Run, tmp_path: Path, upstream: Upstream) -> None:
    config = tmp_path / "rerankd.yaml"
    address = upstream.url.replace("http://", "grpc://")
    config.write_text(json.dumps({"providers": {"tei": {"base_url": address}}}))

    outcome = await run("providers", "tei", "--check", "-c", str(config))

    assert outcome.exit_code == 0
    assert "yes (connects, " in outcome.out
    assert upstream.received == []


async def test_a_variable_alone_that_is_not_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AI_API_BASE", "http://10.0.0.1")

    outcome = await run("providers", "azure_ai")

    assert "AZURE_AI_API_KEY" in outcome.err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from rerankd.cli import main; main(); "
        "print(*sorted({'grpc', 'msgspec', 'rerankd_adapters'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "providers", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "Usage: rerankd providers" in done.stdout


async def test_an_unknown_one(run: Run) -> None:
    outcome = await run("providers", "cohre")

    assert outcome.exit_code == 1
    assert "there is no provider cohre" in outcome.err
    assert "did you mean cohere?" in outcome.err


async def test_probes_use_the_tls_settings_of_the_provider(run: Run, tmp_path: Path) -> None:
    async with RawServer(
        always(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), tls=server_context()
    ) as server:
        trusted = f"{{provider: tei, base_url: '{server.url}', tls: {{ca_file: '{write_authority(tmp_path)}'}}}}"
        config = tmp_path / "rerankd.yaml"
        config.write_text(f"providers:\n  mine: {trusted}\n  tei: {{base_url: '{server.url}'}}\n")

        outcome = await run("providers", "--check", "--json", "-c", str(config))

    found = {each["name"]: each for each in json.loads(outcome.out)}
    assert found["mine"]["reach"].startswith("HTTP 404, ")
    assert "certificate of 127.0.0.1 is not valid" in found["tei"]["reach"]
