"""What is measured: the rows of every table, each a server, a workload and how hard it is driven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from benchmarks.drivers import Driver
from benchmarks.servers import LITELLM_KEY, SLOW_S, TELEMETRY
from benchmarks.workloads import Workload, fresh, half_known, known

BATCH_ITEMS: Final = 32
"""Twice what the service has under way at once by default, so that it never waits for the next."""
MOST_PROVIDER_DOCUMENTS: Final = 1000
"""What the service sends to Cohere in one call."""


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    server: str
    driver: Driver
    workload: Workload
    model: str
    concurrency: int = 16
    path: str = "/v1/rerank"
    key: str = "none"
    scheme: str = "http"
    """By which the load calls; `https` is the provider's alone."""
    primer: Workload | None = None
    """Called once before, so that a cache knows its pairs."""
    beside: str = ""
    """Name of the row that this one is compared with."""


@dataclass(frozen=True)
class Stage:
    """One table."""

    name: str
    """For `--only`."""
    title: str
    cases: Sequence[Case]
    compares: Literal["calls", "latency"] = "calls"
    """What is shown beside the other row: calls for the same CPU, or the latency that comes on top."""
    is_restarted: bool = False
    """Whether every round has servers of its own: two processes of one program differ by up to a tenth."""

    @property
    def more_rounds(self) -> int:
        """How many times as many rounds it needs as others."""
        return 3 if self.is_restarted else 1


def ours(name: str, driver: Driver, workload: Workload, model: str, concurrency: int = 16) -> Case:
    return Case(f"rerankd {name}", "rerankd", driver, workload, model, concurrency)


def asking(name: str, count: int, concurrency: int = 16) -> list[Case]:
    """The same documents through this service, and through its peers to the same provider."""
    made = fresh(count)
    path = f"/{count}/v1/rerank"
    return [
        ours(f"HTTP, {name}", "http", made, f"rank-{count}", concurrency),
        Case(f"compiled gateway, {name}", "compiled gateway", "http", made, "rerank-v3.5", concurrency, path),
        Case(f"LiteLLM proxy, {name}", "LiteLLM proxy", "http", made, f"rank-{count}", concurrency, key=LITELLM_KEY),
    ]


def asking_over_tls(name: str, concurrency: int = 16) -> list[Case]:
    """4 documents through this service, and through its peers to the same provider over TLS, as hosted ones are."""
    made = fresh(4)
    gateway = "compiled gateway, TLS"
    return [
        ours(f"HTTP, {name}", "http", made, "secure-4", concurrency),
        Case(f"compiled gateway, {name}", gateway, "http", made, "rerank-v3.5", concurrency, "/4/v1/rerank"),
        Case(f"LiteLLM proxy, {name}", "LiteLLM proxy", "http", made, "secure-4", concurrency, key=LITELLM_KEY),
    ]


def beside(name: str, *cases: Case) -> list[Case]:
    return [replace(case, beside=name) for case in cases]


def throughput() -> Stage:
    bm25 = fresh(4)
    over_http = beside(
        "bare uvicorn",
        ours("HTTP, local/bm25", "http", bm25, "local/bm25"),
        Case("bare uvicorn, asking the provider", "bare uvicorn, asking", "http", bm25, "any"),
        *asking("asking the provider", 4),
        *asking_over_tls("asking the provider over TLS"),
    )
    over_grpc = beside(
        "bare grpc.aio echo",
        ours("gRPC, local/bm25", "grpc", bm25, "local/bm25"),
        ours("BatchRerank, local/bm25", "batch", bm25, "local/bm25", BATCH_ITEMS),
        Case("bare grpc.aio, asking the provider", "bare grpc.aio, asking", "grpc", bm25, "any"),
        ours("gRPC, asking the provider", "grpc", bm25, "rank-4"),
        ours("gRPC, asking the provider over TLS", "grpc", bm25, "secure-4"),
        ours("BatchRerank, asking the provider", "batch", bm25, "rank-4", BATCH_ITEMS),
    )
    by_h2load = beside(
        "bare grpc.aio echo, by h2load", ours("gRPC, local/bm25, by h2load", "h2load", known(4), "local/bm25")
    )
    cases = [
        Case("bare uvicorn", "bare uvicorn", "http", bm25, "any"),
        *over_http,
        Case("bare grpc.aio echo", "bare grpc.aio", "grpc", bm25, "any"),
        *over_grpc,
        Case("bare grpc.aio echo, by h2load", "bare grpc.aio", "h2load", known(4), "any"),
        *by_h2load,
    ]
    return Stage("throughput", f"4 documents of 500 bytes, 16 calls at once ({BATCH_ITEMS} items of a batch)", cases)


def latency() -> Stage:
    cases = []
    for count, more in (
        (4, [ours("gRPC, 4 documents", "grpc", fresh(4), "rank-4", 1)]),
        (100, [ours("gRPC, 100 documents", "grpc", fresh(100), "rank-100", 1)]),
        (
            1000,
            [
                ours("gRPC, 1,000 documents", "grpc", fresh(1000), "rank-1000", 1),
                ours("HTTP, 1,000 documents in calls of 100", "http", fresh(1000), "split", 1),
            ],
        ),
        (10000, []),
    ):
        name = f"{count:,} documents"
        itself = Case(
            f"provider itself, {name}", "provider", "http", fresh(count), "rerank-v3.5", 1, f"/{count}/v2/rerank"
        )
        if count > MOST_PROVIDER_DOCUMENTS:
            more = [ours(f"HTTP, {name} in calls of 1,000", "http", fresh(count), f"rank-{MOST_PROVIDER_DOCUMENTS}", 1)]
        else:
            more = [*asking(name, count, 1), *more]
        cases += [itself, *beside(itself.name, *more)]
    path = "/4/v2/rerank"
    secure = Case("provider itself over TLS", "provider", "http", fresh(4), "rerank-v3.5", 1, path, scheme="https")
    cases += [secure, *beside(secure.name, *asking_over_tls("4 documents over TLS", 1))]
    title = "one call at a time, asking the provider; added: to what the provider takes when it is called directly"
    return Stage("latency", title, cases, "latency")


def cache() -> Stage:
    without = ours("HTTP, no cache", "http", fresh(100), "uncached-100")
    half = Case("rerankd HTTP, half known", "rerankd", "http", half_known(100), "rank-50", primer=known(50))
    others = [
        ours("HTTP, nothing known", "http", fresh(100), "rank-100"),
        half,
        ours("HTTP, all known", "http", known(100), "rank-100"),
        ours("gRPC, all known", "grpc", known(100), "rank-100"),
        ours("BatchRerank, nothing known", "batch", fresh(100), "rank-100", BATCH_ITEMS),
        ours("BatchRerank, all known", "batch", known(100), "rank-100", BATCH_ITEMS),
    ]
    title = f"100 documents of 500 bytes, 16 calls at once ({BATCH_ITEMS} items of a batch), scores of the provider"
    return Stage("cache", title, [without, *beside(without.name, *others)])


def concurrency() -> Stage:
    slow = f"provider of {SLOW_S * 1e3:.0f} ms"
    large = asking("1,000 documents", 1000)
    cases = [
        *asking("128 at once", 4, 128),
        ours("gRPC, 128 at once", "grpc", fresh(4), "rank-4", 128),
        ours(f"HTTP, one at a time, {slow}", "http", fresh(4), "slow", 1),
        ours(f"HTTP, 128 at once, {slow}", "http", fresh(4), "slow", 128),
        ours(f"gRPC, 128 at once, {slow}", "grpc", fresh(4), "slow", 128),
        *(replace(case, name=f"{case.name}, 16 at once") for case in large),
        ours("gRPC, 1,000 documents, 16 at once", "grpc", fresh(1000), "rank-1000"),
    ]
    return Stage("concurrency", "many calls at once, asking the provider; 4 documents unless it says otherwise", cases)


def workers() -> Stage:
    one = [
        Case("HTTP, 1 worker", "rerankd", "http", fresh(4), "local/bm25", 64),
        Case("gRPC, 1 worker", "rerankd", "h2load", known(4), "local/bm25", 64),
    ]
    two = [
        replace(case, name=case.name.replace("1 worker", "2 workers"), server="rerankd, 2 workers", beside=case.name)
        for case in one
    ]
    title = (
        "64 calls at once, local/bm25, 4 documents; 1 worker on a core of its own, 2 workers on two cores, one of them"
        " the load's too: wrk and h2load need some 2 % of what the workers do, by so much 2 workers seem slower"
    )
    return Stage("workers", title, [*one, *two])


def telemetry() -> Stage:
    cases = []
    for kind, driver in (("gRPC", "grpc"), ("HTTP", "http")):
        for name in TELEMETRY:
            case = Case(f"{kind}: {name}", f"telemetry: {name}", driver, fresh(4), "local/bm25")  # type: ignore[arg-type]  # both are drivers
            cases.append(replace(case, beside=f"{kind}: {next(iter(TELEMETRY))}"))
    title = "what telemetry costs: local/bm25, 4 documents, 16 calls at once; medians of rounds with new servers"
    return Stage("telemetry", title, cases, is_restarted=True)


STAGES: Final[Sequence[Stage]] = [throughput(), latency(), cache(), concurrency(), workers(), telemetry()]
STARTED: Final = ("rerankd", "rerankd without embedded models", "LiteLLM proxy", "compiled gateway")
"""Servers whose start is timed."""
