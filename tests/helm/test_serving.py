"""The service starts as the chart starts it, and takes up a changed ConfigMap as the kubelet writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from rerankd_client import RerankClient
from tests.helm.engine import Engine, find
from tests.support.ports import free_port
from tests.support.server import ServerProcess


def write_as_kubelet(folder: Path, number: int, text: str) -> None:
    """Replace a mounted ConfigMap: a new folder, and a link that is moved to it in one step."""
    content = folder / f"..{number}"
    content.mkdir(parents=True)
    (content / "rerankd.yaml").write_text(text, encoding="utf-8")
    link = folder / "..new"
    link.symlink_to(content.name)
    link.rename(folder / "..data")
    if number == 0:
        (folder / "rerankd.yaml").symlink_to("..data/rerankd.yaml")


def settings_of(engine: Engine, values: dict[str, Any]) -> str:
    text: str = find(engine.objects(values), "ConfigMap")["data"]["rerankd.yaml"]
    return text


def test_serves_and_takes_up_a_changed_configmap(engine: Engine, tmp_path: Path) -> None:
    ports = {"grpcPort": free_port(), "httpPort": free_port()}
    values: dict[str, Any] = {"server": {"host": "127.0.0.1", **ports}, "drain": {"delaySeconds": 1, "graceSeconds": 5}}
    container = find(engine.objects(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    mounted = tmp_path / "settings"
    write_as_kubelet(mounted, 0, settings_of(engine, values))
    places = {"/etc/rerankd": str(mounted), "/var/cache/rerankd": str(tmp_path / "cache")}
    environment = {"RERANKD_LOCAL__THREADS": "1"}
    for variable in container["env"]:
        value = variable.get("value", "")
        for there, here in places.items():
            value = value.replace(there, here)
        environment.setdefault(variable["name"], value)
    server = ServerProcess(program=("rerankd.cli", *container["args"]), environment=environment, preloads=True)
    assert server.grpc_address == f"127.0.0.1:{ports['grpcPort']}"
    probe = container["readinessProbe"]["grpc"]["port"]
    with RerankClient(f"127.0.0.1:{probe}") as client, httpx.Client(base_url=server.http_url, trust_env=False) as http:
        assert client.health().name == "SERVING"
        assert "rerankd_build_info" in http.get("/metrics").text
        write_as_kubelet(mounted, 1, settings_of(engine, {**values, "config": {"aliases": {"search": "local/bm25"}}}))
        server.wait_for_log("settings reloaded", timeout_s=30)
        assert client.rerank("bees", ["honey", "bees"], model="search").results[0].index == 1
    assert server.stop() == 0
    draining = server.wait_for_log("draining")
    assert (draining["delay_s"], draining["grace_s"]) == (1, 5)
