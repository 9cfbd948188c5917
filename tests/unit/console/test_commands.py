"""The other commands, the help, and how the program behaves as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rerankd.console.rendering import bar_share, draw_bar, format_score

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer
    from tests.unit.console.conftest import Run

PROGRAM = "import sys; from rerankd.cli import main; sys.exit(main())"
INTERRUPTIBLE = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {PROGRAM}"
"""A shell has what it starts in the background ignore interrupts, and children inherit that.

Set in the program: code between fork and exec (`preexec_fn`) makes gRPC's fork handlers abort the child now and then.
"""


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


async def test_models(run: Run, server: FakeServer) -> None:
    outcome = await run("models", "-a", server.address)

    lines = [line.split() for line in outcome.out.splitlines()]
    price = ["$2", "/", "1,000", "search", "units"]
    assert lines[0] == ["name", "provider", "strategy", "scoring", "score", "space", "window", "price", "status"]
    assert lines[2] == [
        "cohere/rerank-v3.5",
        "cohere",
        "-",
        "pointwise",
        "probability",
        "4,096",
        *price,
        "unavailable",
    ]
    assert lines[3] == ["local/bm25", "local", "-", "listwise", "-", "-", "-", "available"]
    assert lines[5] == ["two-stages", "rerankd", "cascade", "-", "-", "-", "-", "available"]
    one = await run("models", "two-stages", "-a", server.address)
    assert ["members", "local/bm25,", "local/default"] in [line.split() for line in one.out.splitlines()]


async def test_models_of_a_provider_as_json(run: Run, server: FakeServer) -> None:
    outcome = await run("models", "--provider", "cohere", "--json", "-a", server.address)

    (model,) = json.loads(outcome.out)
    assert (model["name"], model["scoring"], model["aliases"]) == ("cohere/rerank-v3.5", "pointwise", [])


async def test_one_model(run: Run, server: FakeServer) -> None:
    outcome = await run("models", "default", "-a", server.address)
    as_json = await run("models", "default", "--json", "-a", server.address)

    assert "Cascade of three stages." in outcome.out
    assert "512 tokens" in outcome.out
    assert json.loads(as_json.out)["name"] == "local/default"


async def test_an_unknown_model(run: Run, server: FakeServer) -> None:
    outcome = await run("models", "local/defualt", "-a", server.address)

    assert outcome.exit_code == 1
    assert "error: there is no model 'local/defualt' (MODEL_NOT_FOUND)" in outcome.err
    assert "hint: did you mean local/default? `rerankd models` lists the models" in outcome.err


async def test_health(run: Run, server: FakeServer) -> None:
    healthy = await run("health", "-a", server.address)
    await server.health.set("rerank.v1.RerankService", 2)
    ill = await run("health", "--json", "-a", server.address)
    gone = await run("health", "-a", "127.0.0.1:1")

    assert (healthy.exit_code, ill.exit_code, gone.exit_code) == (0, 1, 1)
    assert healthy.out.split() == ["server", "serving", "rerank.v1.RerankService", "serving"]
    assert json.loads(ill.out) == {"server": "serving", "rerank.v1.RerankService": "not-serving"}
    assert "no server at 127.0.0.1:1" in gone.err


async def test_check_config(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("server: {http_port: 8081}\n")
    bad.write_text("server: {htp_port: 8081}\nlogs: {}\n")

    accepted = await run("check-config", str(good))
    refused = await run("check-config", str(bad))
    missing = await run("check-config", str(tmp_path / "none.yaml"))

    assert (accepted.exit_code, accepted.out) == (0, f"{good}: ok\n")
    assert refused.exit_code == 1
    assert "cannot be used:\n  - " in refused.err
    assert "http_port" in refused.err
    assert missing.exit_code == 2


async def test_check_config_warns_of_certificates_that_are_not_verified(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "blind.yaml"
    config.write_text("providers: {tei: {base_url: 'https://tei.example', tls: {verify: false}}}\n")

    checked = await run("check-config", str(config))

    assert (checked.exit_code, checked.out) == (0, f"{config}: ok\n")
    assert "warning: providers.tei.tls.verify is false" in checked.err


async def test_serve_passes_its_options_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run_app(settings: Any, origin: Any) -> int:
        assert origin.read() == settings
        seen.append(settings)
        return 3

    monkeypatch.setattr("rerankd.serving.launcher.run", run_app)
    config = tmp_path / "rerankd.yaml"
    config.write_text("server: {host: 10.0.0.1, workers: 4}\n")

    options = ["--grpc-port", "0", "--http-port", "8081", "--workers", "2", "--log-level", "DEBUG"]
    options.append("--allow-unauthenticated")
    outcome = await run("serve", "--config", str(config), *options)

    server = seen[0].server
    assert outcome.exit_code == 3
    assert (server.host, server.grpc_port, server.http_port, server.workers) == ("10.0.0.1", 0, 8081, 2)
    assert server.allow_unauthenticated
    assert seen[0].log.level == "debug"


async def test_serve_refuses_settings_it_cannot_use(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "rerankd.yaml"
    config.write_text("sever: {}\n")

    outcome = await run("serve", "-c", str(config))

    assert outcome.exit_code == 1
    assert "sever" in outcome.err


async def test_version(run: Run) -> None:
    versions = json.loads((await run("version", "--json")).out)

    assert (await run("--version")).out == f"rerankd {versions['rerankd']}\n"
    assert set(versions) >= {"rerankd", "python", "grpcio"}
    assert f"grpcio {versions['grpcio']}\n" in (await run("version")).out


@pytest.mark.parametrize(
    "arguments", [["rernk"], ["rerank", "q", "d", "--topn", "1"], ["serve", "--grpc-port", "70000"]]
)
async def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    outcome = await run(*arguments)

    assert outcome.exit_code == 2
    assert "Usage:" in outcome.err


async def test_a_fault_is_one_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> int:
        raise LookupError("gone")

    monkeypatch.setattr("rerankd.console.serving.show_version", fail)
    outcome = await run("version")

    assert outcome.exit_code == 1
    assert outcome.err.startswith("error: unexpected LookupError: gone\n")


@pytest.mark.parametrize("command", [[], ["serve"], ["rerank"], ["batch"], ["models"], ["top"], ["providers"]])
async def test_help_cuts_no_name_and_shows_no_type_of_flags(
    run: Run, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = await run(*command, "--help")
    assert "--help" in outcome.out
    assert "<bool>" not in outcome.out
    assert "\N{HORIZONTAL ELLIPSIS}" not in outcome.out


@pytest.mark.parametrize("command", [[], ["serve"], ["rerank"], ["models"], ["health"], ["check-config"]])
async def test_every_command_has_help(run: Run, command: list[str]) -> None:
    outcome = await run(*command, "--help")

    assert outcome.exit_code == 0
    assert "Usage: rerankd" in outcome.out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["version"], ["check-config", "--help"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from rerankd.cli import main; main(); "
        "heavy = {'grpc', 'google.protobuf', 'numpy', 'onnxruntime', 'uvicorn', 'tokenizers', 'msgspec'}; "
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_colours_only_where_they_are_wanted() -> None:
    forced = start("check-config", "missing", FORCE_COLOR="1").communicate()[1]
    plain = start("check-config", "missing", FORCE_COLOR="1", NO_COLOR="1").communicate()[1]
    piped = start("check-config", "missing").communicate()[1]

    assert "\x1b[3" in forced
    assert "\x1b[3" not in plain
    assert "\x1b" not in piped


async def test_interrupting_a_call_is_quiet(server: FakeServer) -> None:
    process = start("rerank", "slow", "d", "-a", server.address)
    await asyncio.wait_for(server.journal.is_slow.wait(), 20)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)

    assert (process.returncode, out, err) == (130, "", "")


def test_without_the_server_packages_the_command_says_what_to_install() -> None:
    program = f"import sys; sys.modules['typer'] = None; {PROGRAM.removeprefix('import sys; ')}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'rerankd[server,local]'" in done.stderr


def test_bars() -> None:
    assert bar_share(0.25, [0.1, 0.9]) == 0.25
    assert bar_share(0.0, [-1.0, 1.0]) == 0.5
    assert bar_share(-3.0, [-3.0]) == 1.0
    assert draw_bar(1.0, is_unicode=True) == "█" * 16
    assert draw_bar(0.5 + 1 / 128, is_unicode=True) == "█" * 8 + "▏"
    assert draw_bar(0.5, is_unicode=False) == "#" * 8
    assert draw_bar(0.0, is_unicode=True) == ""


def test_scores() -> None:
    assert [format_score(score) for score in (0.0, 0.98765, -11.5, 0.00001)] == [
        "0.0000",
        "0.9877",
        "-11.5000",
        "1.0e-05",
    ]
