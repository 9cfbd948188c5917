"""Runs an attack beside a prober and reports what the prober and the server's memory saw of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.abuse.report import Row
from tests.support.server import ServerProcess

MOST_P99_MS: Final = 250.0
"""What the prober may notice of an attack."""
LEGAL_P99_MS: Final = 100.0
"""What it may notice of a call within every limit."""
BUSY_P99_MS: Final = float(os.environ.get("ABUSE_P99_MS", "0"))
"""Bound on a machine that does other things too, where it is larger."""
_ROUNDS: Final = 3
MOST_RSS_MB: Final = 300.0
"""Resident memory above rest."""
ROWS: Final[list[Row]] = []
"""What the drills of this process saw."""
_LIMITED: Final = ("tests.abuse.limited", "serve", "--grpc-port", "0", "--http-port", "0")


def attacked_server(*arguments: str, environment: dict[str, str] | None = None) -> ServerProcess:
    """Start a server under limits, with default settings but for `arguments`."""
    return ServerProcess(*arguments, program=_LIMITED, environment=environment, preloads=True)


@dataclass(frozen=True)
class Seen:
    """What a drill saw."""

    http_p99_ms: float
    grpc_p99_ms: float
    most_p99_ms: float
    """Bound of both."""
    calls: int
    failures: list[str]
    rss_mb: float
    """Highest resident memory during the attack, above that before."""
    attack_s: float
    result: Any
    """What the attack returned."""

    @property
    def p99_ms(self) -> float:
        """The slower transport's."""
        return max(self.http_p99_ms, self.grpc_p99_ms)

    def check(self) -> None:
        """Assert the bounds that hold for every drill."""
        assert self.failures == []
        assert self.calls >= 20
        assert self.rss_mb < MOST_RSS_MB, self
        assert self.p99_ms < self.most_p99_ms, self


def drill(
    name: str,
    server: ServerProcess,
    attack: Callable[[], Any],
    *,
    before: str = "",
    most_p99_ms: float = MOST_P99_MS,
    at_least_s: float = 3.0,
) -> Seen:
    """Run an attack beside a prober; again where the prober was slow, as other programs make it slow too.

    Args:
        name: For the table of figures.
        server: Is attacked.
        attack: Ends by itself.
        before: What was seen of it before there were bounds.
        most_p99_ms: Bound of the prober's p99; `BUSY_P99_MS` where that is larger.
        at_least_s: The prober calls for as long.

    Returns:
        What the first good round saw, or the last.
    """
    for _ in range(_ROUNDS):
        seen = _round(server, attack, max(most_p99_ms, BUSY_P99_MS), at_least_s)
        print(f"{name}: {seen}"[:1000])
        if seen.p99_ms < seen.most_p99_ms or seen.failures:
            break
    failed = len(seen.failures)
    ROWS.append(Row(name, before, seen.http_p99_ms, seen.grpc_p99_ms, seen.calls, failed, seen.rss_mb, seen.result))
    return seen


def _round(server: ServerProcess, attack: Callable[[], Any], most_p99_ms: float, at_least_s: float) -> Seen:
    _reset_peak(server.process.pid)
    before_mb = _status_mb(server.process.pid, "VmRSS")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.abuse.probe", server.http_url, server.grpc_address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as prober:
        assert prober.stdin is not None
        assert prober.stdout is not None
        assert prober.stdout.readline() == "probing\n"
        began_s = time.monotonic()
        try:
            result = attack()
            attack_s = time.monotonic() - began_s
            time.sleep(max(0.5, at_least_s - attack_s))
        finally:
            prober.stdin.close()
            output = prober.stdout.read()
    seen = json.loads(output)
    return Seen(
        _p99(seen["http"]["latencies_ms"]),
        _p99(seen["grpc"]["latencies_ms"]),
        most_p99_ms,
        sum(len(each["latencies_ms"]) for each in seen.values()),
        [failure for each in seen.values() for failure in each["failures"]],
        round(_status_mb(server.process.pid, "VmHWM") - before_mb, 1),
        round(attack_s, 2),
        result,
    )


def _p99(latencies_ms: list[float]) -> float:
    """Return the 99th percentile, of few calls the longest."""
    ordered = sorted(latencies_ms)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1)


def _reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _status_mb(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024
