"""Rules that the image's Dockerfile keeps, and locks that pin what it installs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helm.engine import tools
from tests.image.dockerfile import DOCKERFILE, ROOT, last, lineage, read_stages
from tests.image.stages import environment

STAGES = read_stages()
FINAL = ("slim", "full")
LOCKS = ("image/slim", "image/full", "image/build", "serve")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+?)(?: ;.*)? \\$", re.MULTILINE)
RUNS = [each for name in ("python", "runtime", *FINAL) for each in STAGES[name].instructions if each.name == "RUN"]
"""What runs in the stages that the final images consist of."""


def pins(path: Path) -> dict[str, str]:
    return dict(PIN.findall(path.read_text(encoding="utf-8")))


def test_hadolint_finds_nothing() -> None:
    command = [str(tools() / "bin" / "hadolint"), "--no-color", str(DOCKERFILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_last_target_is_the_full_image() -> None:
    assert list(STAGES)[-1] == "full"


@pytest.mark.parametrize("name", FINAL)
def test_the_image_runs_as_a_user_without_privileges(name: str) -> None:
    assert last(lineage(STAGES, name), "USER").arguments == "65532:65532"


@pytest.mark.parametrize("name", FINAL)
def test_the_image_serves_and_checks_its_health(name: str) -> None:
    inherited = lineage(STAGES, name)
    assert last(inherited, "ENTRYPOINT").words == ["rerankd"]
    assert last(inherited, "CMD").words == ["serve"]
    assert last(inherited, "HEALTHCHECK").arguments.endswith('CMD ["rerankd", "health"]')
    assert last(inherited, "STOPSIGNAL").arguments == "SIGTERM"
    assert last(inherited, "EXPOSE").words == ["50051", "8080"]
    assert environment(inherited)["PATH"].startswith("/opt/rerankd/bin:")


@pytest.mark.parametrize("name", FINAL)
def test_the_image_has_no_compiler_and_no_installer(name: str) -> None:
    bases = {stage for stage in STAGES if stage in {"python", "runtime", name}}
    assert STAGES[name].base == "runtime"
    assert STAGES["runtime"].base == "python"
    assert not any(
        word in each.arguments for each in RUNS for word in ("pip", "gcc", "build-essential", "venv", "curl")
    )
    (copied,) = [each for stage in bases for each in STAGES[stage].instructions if each.name == "COPY"]
    assert copied.words == [f"--from=build-{name}", "/opt/rerankd", "/opt/rerankd"]


def test_packages_are_installed_by_hash_and_from_wheels() -> None:
    install = (ROOT / "server" / "image" / "install.sh").read_text(encoding="utf-8")
    assert install.count("--require-hashes --only-binary :all:") == 1
    assert "--without-pip" in install
    builds = [each.arguments for each in STAGES["build"].instructions if "pip install" in each.arguments]
    assert all("--require-hashes --only-binary :all:" in each for each in builds)


def test_no_variable_has_a_secret_and_no_setting_is_made() -> None:
    variables = environment(lineage(STAGES, "full"))
    assert not [name for name in variables if name.startswith("RERANKD_") or "KEY" in name or "TOKEN" in name]


def test_labels_name_the_image() -> None:
    labels = last(lineage(STAGES, "full"), "LABEL").words
    names = {label.partition("=")[0].removeprefix("org.opencontainers.image.") for label in labels}
    assert names == {"title", "description", "version", "revision", "licenses", "base.name"}


def test_the_version_is_the_products() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert last(STAGES["runtime"].instructions, "ARG").name == "ARG"
    assert f"VERSION={project['version']}" in [each.arguments for each in STAGES["runtime"].instructions]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_agree_with_the_repositorys(name: str) -> None:
    all_pins = pins(ROOT / "requirements.lock")
    found = pins(ROOT / "server" / f"{name}.lock")
    assert found
    assert {each: version for each, version in found.items() if all_pins.get(each) != version} == {}


def test_slim_has_what_the_service_needs_and_no_models() -> None:
    slim, full = (pins(ROOT / "server" / "image" / f"{name}.lock") for name in FINAL)
    assert slim.items() < full.items()
    assert {"grpcio", "uvloop", "redis", "botocore", "google-auth"} <= slim.keys()
    assert {"onnxruntime", "numpy", "tokenizers"} <= full.keys() - slim.keys()
    assert "pytest" not in full


def test_make_serve_installs_what_the_image_has_and_what_builds_the_wheel() -> None:
    served, full, build = (pins(ROOT / "server" / f"{name}.lock") for name in ("serve", "image/full", "image/build"))
    assert full.keys() | build.keys() <= served.keys()
    assert not {"pytest", "mypy", "grpcio-tools", "pyarrow"} & served.keys()


def test_the_build_context_has_what_is_copied() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        word.rstrip("/") for each in STAGES["build"].instructions if each.name == "COPY" for word in each.words[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_the_bill_of_materials_lists_this_environment() -> None:
    command = [sys.executable, str(ROOT / "server" / "image" / "sbom.py"), "rerankd-test"]
    bill = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "rerankd-test"
    components = {each["name"]: each["purl"] for each in bill["components"]}
    assert components["msgspec"].startswith("pkg:pypi/msgspec@")
    assert len(components) == len({*components})
