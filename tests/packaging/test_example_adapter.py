"""A provider from a package of its own: built, installed, found, checked by the suite, and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.provider_service import KEY, Refused, answered, by_grpc, by_http
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, ranked

EXAMPLE = Path(__file__).parent / "example_adapter"
DOCUMENTS = [f"{'sail ' * (index % 5)}{index}" for index in range(120)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, as pip puts it there."""
    dist, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True, timeout=120)
    (wheel,) = dist.glob("acme_rerankd-*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    command = [*pip, "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return target


def run(installed: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), **(variables or {})}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_holds_the_adapter_alone(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert tops == {"acme_rerankd", "acme_rerankd-1.0.0.dist-info"}


def test_it_is_found_by_name_and_alias(installed: Path) -> None:
    code = "from rerankd_adapters.registry import *; print(find_provider('acme_ai').name, 'acme' in provider_names())"
    assert run(installed, "-c", code) == "acme True\n"


def test_it_is_listed(installed: Path) -> None:
    listed = json.loads(run(installed, "-m", "rerankd.cli", "providers", "--json", variables={"ACME_API_KEY": KEY}))
    (acme,) = [each for each in listed if each["name"] == "acme"]
    assert (acme["title"], acme["variable"], acme["models"]) == ("Acme Sort", "ACME_API_KEY", 1)


def test_it_conforms(installed: Path) -> None:
    said = run(installed, str(EXAMPLE / "conformance.py"), str(EXAMPLE / "recordings" / "acme.yaml"))
    assert "checks passed" in said


def respond(request: Received) -> ScriptedResponse:
    body = request.json()
    if request.headers.get("x-acme-key") != KEY or request.path != "/v1/sort":
        return ScriptedResponse.of_json({"message": f"who is {KEY}"}, 401)
    if len(body["items"]) > 50:
        return ScriptedResponse.of_json({"message": "too many items"}, 400)
    if "quota" in body["question"]:
        return ScriptedResponse.of_json({"message": "your quota is used up"}, 400)
    pairs = ranked(body["question"], [item["body"] for item in body["items"]])
    return ScriptedResponse.of_json(
        {"sorted": [{"position": at, "match": value} for at, value in pairs], "usage": {"tokens": 5}}
    )


def test_it_is_served(installed: Path) -> None:
    oracle = sorted(ranked("sail", DOCUMENTS), key=lambda pair: (-pair[1], pair[0]))
    request = {"model": "acme_ai/sorter-2", "query": "sail", "documents": DOCUMENTS}
    with Upstream(respond) as upstream:
        environment = {"PYTHONPATH": str(installed), "ACME_API_KEY": KEY, "ACME_API_BASE": upstream.url}
        environment |= {"RERANKD_LOCAL__ENABLED": "false", "RERANKD_CACHE__ENABLED": "false", "NO_PROXY": "127.0.0.1"}
        server = ServerProcess(environment=environment)
        try:
            for call in (by_grpc, by_http):
                answer = answered(call(server, request))
                assert [result["index"] for result in answer["results"]] == [index for index, _ in oracle]
                assert (answer["model"], answer["usage"]["prompt_tokens"]) == ("acme/sorter-2", 15)
                assert answer["usage"]["cost"] == pytest.approx(15 * 0.1 / 1e6)
                refused = call(server, {**request, "query": "quota", "documents": ["d"]})
                assert isinstance(refused, Refused)
                assert refused.reason == "PROVIDER_RATE_LIMITED"
        finally:
            assert server.stop() == 0
        assert KEY not in json.dumps(server.log)
