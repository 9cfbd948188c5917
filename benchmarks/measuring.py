"""Measures cases in rounds that go from one to the next, and keeps of each the figures it was least disturbed in.

Of stages whose servers are started anew for every round, the median is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median

import httpx

from benchmarks.drivers import Aim, Drivers, StalledError
from benchmarks.processes import BenchmarkError, MissingToolError, Running
from benchmarks.servers import SERVERS, Pool, Setup
from benchmarks.stages import Case, Stage
from benchmarks.workloads import Workload
from rerank.v1 import rerank_service_pb2 as pb


@dataclass(frozen=True)
class Reading:
    """What was measured of one case; of several rounds, each figure from the round where it was best, or the median."""

    calls_per_s: float
    cpu_us: float
    """CPU of the server, a call."""
    p50_ms: float
    p99_ms: float
    cores: float
    """Cores that the server kept busy; under 1 where it was given enough to do: what it was not given."""
    rss_mb: float
    """Memory of the server after it."""

    @property
    def calls_per_cpu_s(self) -> float:
        """Calls a second of the server's CPU: the rate of a core that nothing else disturbs."""
        return 1e6 / self.cpu_us


def best_of(rounds: Sequence[Reading]) -> Reading:
    """Take the best figure of each kind; rounds in which the load came to a halt for long are left out."""
    most = max(reading.calls_per_s for reading in rounds)
    undisturbed = [reading for reading in rounds if reading.calls_per_s >= most / 2]
    return Reading(
        calls_per_s=most,
        cpu_us=min(reading.cpu_us for reading in undisturbed),
        p50_ms=min(reading.p50_ms for reading in undisturbed),
        p99_ms=min(reading.p99_ms for reading in undisturbed),
        cores=max(reading.cores for reading in undisturbed),
        rss_mb=max(reading.rss_mb for reading in undisturbed),
    )


def median_of(rounds: Sequence[Reading]) -> Reading:
    """Take the median of each figure: of processes of which some are lucky, the best would compare luck."""
    names = [each.name for each in fields(Reading)]
    return Reading(**{name: median(getattr(reading, name) for reading in rounds) for name in names})


@dataclass(frozen=True)
class Start:
    """What was measured of one server's start."""

    start_s: float
    """Until it was ready."""
    rss_mb: float
    """Memory before the first call."""


Readings = dict[str, Reading]


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    seconds: int
    rounds: int


def measure(
    stage: Stage, pool: Pool, drivers: Drivers, pace: Pace, tell: Callable[[str], None]
) -> tuple[Readings, dict[str, str]]:
    """Measure the cases of a stage.

    Args:
        stage: Its rows have names of their own.
        pool: The servers.
        drivers: The load.
        pace: How long, and how often.
        tell: Called with each case's name before it is measured.

    Returns:
        Readings by name, and why the others are missing.
    """
    rounds: dict[str, list[Reading]] = {}
    missing: dict[str, str] = {}
    for _ in range(pace.rounds * stage.more_rounds):
        if stage.is_restarted:
            pool.stop()
        for case in stage.cases:
            tell(case.name)
            try:
                rounds.setdefault(case.name, []).append(
                    _measure_once(case, pool.get(case.server), drivers, pace.seconds)
                )
            except (MissingToolError, StalledError) as error:
                missing[case.name] = str(error)
                continue
            except BenchmarkError as error:
                raise BenchmarkError(f"{case.name}: {error}") from None
    combine = median_of if stage.is_restarted else best_of
    readings = {name: combine(found) for name, found in rounds.items() if found}
    return readings, {name: why for name, why in missing.items() if name not in readings}


def _measure_once(case: Case, server: Running, drivers: Drivers, seconds: int) -> Reading:
    if case.primer is not None:
        prime(server, case.model, case.primer)
    counts_itself = case.driver == "h2load" and "http" in server.ports
    succeeded = _succeeded(server) if counts_itself else 0
    cpu_began_s = server.cpu_s()
    load = drivers.drive(case.driver, aim_of(case, server, seconds))
    cpu_s = server.cpu_s() - cpu_began_s
    server.settle()  # what it is still busy with would be measured with the next
    if counts_itself and (answered := _succeeded(server) - succeeded) < load.calls:
        raise BenchmarkError(f"the server counts {answered} calls that went well of {load.calls}")
    return Reading(
        calls_per_s=load.calls / load.seconds,
        cpu_us=max(cpu_s, 1e-9) / load.calls * 1e6,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cores=cpu_s / load.seconds,
        rss_mb=server.rss_mb(),
    )


def measure_starts(names: Sequence[str], setup: Setup, rounds: int, tell: Callable[[str], None]) -> dict[str, Start]:
    """Start servers alone, each `rounds` times, and keep the quickest; leave out what is not on this machine."""
    starts: dict[str, Start] = {}
    for name in [*names] * rounds:
        tell(f"start: {name}")
        try:
            with SERVERS[name](setup) as server:
                start = Start(server.start_s, server.rss_mb())
        except MissingToolError:
            continue
        starts[name] = min(start, starts.get(name, start), key=lambda each: each.start_s)
    return starts


def prime(server: Running, model: str, workload: Workload) -> None:
    """Call once over HTTP."""
    url = f"http://127.0.0.1:{server.ports['http']}/v1/rerank"
    headers = {"content-type": "application/json"}
    answer = httpx.post(url, content=workload.json_body(model), headers=headers, trust_env=False, timeout=30)
    if answer.status_code != 200:
        raise BenchmarkError(f"the call before the first failed: {answer.text}")


def aim_of(case: Case, server: Running, seconds: int) -> Aim:
    """Encode a case's request and say where it goes."""
    ports: Mapping[str, int] = server.ports
    if case.driver == "http":
        port = ports["tls"] if case.scheme == "https" else ports.get("http") or ports["port"]
        body = case.workload.json_body(case.model)
    else:
        port, message = ports.get("grpc") or ports["port"], case.workload.message(case.model)
        if case.driver == "batch":
            item = pb.BatchItem(item_id="item", request=message)
            body = pb.BatchRerankRequest(item=item).SerializeToString()
        else:
            body = message.SerializeToString()
    return Aim(port, case.concurrency, seconds, body, case.path, case.key, case.scheme)


def _succeeded(server: Running) -> int:
    """Read how many calls this service has answered well."""
    text = httpx.get(f"http://127.0.0.1:{server.ports['http']}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("rerankd_calls_total{") and 'code="OK"' in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))
