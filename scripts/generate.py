"""Generate everything that follows from protos/: stubs, messages, services, converters, routes, OpenAPI.

Run by `make generate`. Works offline and gives the same files every time; `--check` writes nothing and
exits 1, with a diff, when a committed file differs.
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.generator.contract import messages_module, render_contract
from scripts.generator.convert import convert_module, render_convert
from scripts.generator.openapi import render_openapi
from scripts.generator.routes import render_routes
from scripts.generator.schema import SchemaError, read_schema
from scripts.generator.service_config import render_service_configs
from scripts.generator.services import render_protocols, render_servicers
from scripts.generator.stubs import STUB_FOLDER, read_descriptor_set, render_stubs

ROOT: Final = Path(__file__).resolve().parent.parent
_DIFF_LINES: Final = 40


def main() -> int:
    """Write the files, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    is_check = parser.parse_args().check
    try:
        files = render_files()
    except SchemaError as error:
        print(error)
        return 1
    stale = [path for path in list_stubs() if path not in files]
    if is_check:
        return report_differences(files, stale)
    for path, content in files.items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != content:
            target.write_text(content, encoding="utf-8")
    for path in stale:
        (ROOT / path).unlink()
    return 0


def render_files() -> dict[str, str]:
    """Render every generated file, by path relative to the repository."""
    schema = read_schema(read_descriptor_set(ROOT))
    modules = {
        "server/rerankd/contract/service.py": render_protocols(schema),
        "server/rerankd/rpc/servicers.py": render_servicers(schema),
        "server/rerankd/gateway/routes.py": render_routes(schema),
    }
    for file in schema.files():
        modules[f"server/rerankd/contract/{messages_module(file)}.py"] = render_contract(schema, file)
        modules[f"server/rerankd/rpc/{convert_module(file)}.py"] = render_convert(schema, file)
    formatted = {path: format_module(path, source) for path, source in modules.items()}
    return {
        **render_stubs(ROOT),
        **formatted,
        "server/rerankd/web/openapi.json": render_openapi(schema),
        **render_service_configs(ROOT),
    }


def format_module(path: str, source: str) -> str:
    """Sort the imports and format the source with the repository's ruff settings."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--select", "I,F401", "--fix-only", "--quiet"], ["format"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", path, "-"],
            cwd=ROOT,
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"ruff {command[0]} failed on {path}:\n{done.stderr}")
        source = done.stdout
    return source


def list_stubs() -> list[str]:
    """List the files in the stub folder, which holds generated files only."""
    folder = ROOT / STUB_FOLDER
    if not folder.exists():
        return []
    return sorted(f"{STUB_FOLDER}/{file.name}" for file in folder.iterdir() if file.is_file())


def report_differences(files: dict[str, str], stale: list[str]) -> int:
    """Print what differs from the committed files; returns the exit status."""
    status = 0
    for path, content in files.items():
        target = ROOT / path
        committed = target.read_text(encoding="utf-8") if target.exists() else ""
        if target.exists() and committed == content:
            continue
        status = 1
        names = (f"{path} (committed)", f"{path} (generated)")
        diff = difflib.unified_diff(committed.splitlines(), content.splitlines(), *names, lineterm="")
        print("\n".join(list(diff)[:_DIFF_LINES]) or f"{path}: missing")
    for path in stale:
        status = 1
        print(f"{path}: no proto makes this file any more")
    if status:
        print("Generated files differ; run `make generate` and commit the result.")
    return status


if __name__ == "__main__":
    sys.exit(main())
