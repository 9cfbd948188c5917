"""Renders and lints the chart with Helm's own engine; runs in the environment of tools.lock.

Reads one JSON object a line: `{"values": {...}}` to render, with `"lint": true` to lint instead. Answers one JSON
object a line: `{"files": {path: text}}`, `{"messages": [...]}` or `{"error": text}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python as helm


def answer(chart: helm.Chart, folder: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    try:
        if request.get("lint"):
            return {"messages": helm.lint(folder, request["values"], strict=True)["messages"]}
        chart.validate_schema(request["values"])
        return {"files": chart.render(request["values"], name="test", namespace="search")}
    except helm.HelmError as error:
        return {"error": str(error)}


def main(folder: str) -> None:
    """Answer requests until standard input ends."""
    with helm.Chart.load(folder) as chart:
        for line in sys.stdin:
            print(json.dumps(answer(chart, folder, json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
