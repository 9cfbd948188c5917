"""The embedded models beside ONNX Runtime called directly and beside other libraries on the same weights, in one run.

Everything runs on the same cores with as many threads as cores; the load's own client shares them where there are no
others. Rounds are interleaved and the best of each is kept, so that what else the machine does falls out.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.processes import Running, running
from benchmarks.servers import ROOT, ready_ports
from rerank.v1 import rerank_service_pb2 as pb
from rerankd.local.bm25 import Bm25Query
from rerankd.local.lexical import WordScorer
from rerankd.local.onnx.weights import CROSS_ENCODER, TOKENIZER

MODEL = "local/ms-marco-minilm-l12-v2"
METHOD = "/rerank.v1.RerankService/Rerank"
QUERY = "how do plants make food from light"
WORDS = (
    "light sugar leaf plant green root soil air energy cell sun growth stem flower seed tree forest river rain summer "
    "winter market price bank trade law court city street train bridge house garden kitchen bread salt sea mountain "
    "stone history king war peace music letter book school science number theory system power state water"
)
PEERS: Mapping[str, Sequence[str]] = {
    "flashrank": ("flashrank==0.2.10",),
    "sentence-transformers": (
        "sentence-transformers[onnx]==5.7.0",
        "optimum-onnx==0.1.0",
        "torch==2.15.0",
        "transformers==4.57.6",
    ),
    "infinity": (
        "infinity-emb[server]==0.0.78",
        "sentence-transformers[onnx]==5.7.0",
        "optimum-onnx==0.1.0",
        "pyarrow<21",
        "torch==2.15.0",
        "transformers==4.57.6",
    ),
}
"""What each peer's environment holds, kept in `.venvs/`."""

Calls = list[tuple[str, list[str]]]


def text_of(tokens: int, seed: int) -> str:
    """Make a text of so many tokens, special ones left out: each word is one."""
    return " ".join(random.Random(seed).choices(WORDS.split(), k=tokens))


def workload(calls: int) -> Calls:
    """Make calls of eight documents of 20 to 240 tokens."""
    return [
        (QUERY, [text_of(20 + (call * 8 + position) * 37 % 221, call * 8 + position) for position in range(8)])
        for call in range(calls)
    ]


class Peer:
    """One other way to run the cross-encoder, in a process of its own."""

    def __init__(self, name: str, python: Path, folder: Path, arguments: argparse.Namespace) -> None:
        script = ROOT / "benchmarks" / "local_peers.py"
        cores = len(arguments.cores)
        command = [str(python), str(script), name, str(folder), str(cores), str(arguments.concurrency)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        self._process = subprocess.Popen(
            pinned(arguments.cores, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "OMP_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "false"},
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            assert self._process.stderr is not None
            raise RuntimeError(" ".join(self._process.stderr.read().split())[-300:])

    def run(self, calls: Calls) -> dict[str, Any]:
        """Score the calls; gives seconds, CPU seconds and scores."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(calls) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def pinned(cores: Sequence[int], command: list[str]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def venv_python(name: str, requirements: Sequence[str]) -> Path:
    """Make an environment for a peer, once.

    Raises:
        RuntimeError: When the registry cannot provide it.
    """
    folder = ROOT / ".venvs" / f"bench-{name}"
    finished = folder / ".installed"
    content = "\n".join(requirements)
    if not (finished.exists() and finished.read_text() == content):
        shutil.rmtree(folder, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(" ".join(done.stderr.split())[-300:])
        finished.write_text(content)
    python: Path = folder / "bin" / "python"
    return python


def lay_out_weights(folder: Path) -> None:
    """Put the embedded cross-encoder and its tokenizer where each peer looks for them."""
    source = CROSS_ENCODER.locate().parent
    flashrank = folder / "flashrank" / "ms-marco-MiniLM-L-12-v2"
    for target in (folder / "onnx", flashrank):
        target.mkdir(parents=True)
    config = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "vocab_size": 30522,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "pad_token_id": 0,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"},
    }
    for target in (folder, flashrank):
        (target / "tokenizer.json").write_bytes(TOKENIZER.read())
        (target / "config.json").write_text(json.dumps(config))
        for name in ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
            shutil.copy(source / name, target / name)
    (folder / "onnx" / "model.onnx").write_bytes(CROSS_ENCODER.read())
    os.link(folder / "onnx" / "model.onnx", flashrank / "flashrank-MiniLM-L-12-v2_Q.onnx")


class Server:
    """The running service, and a channel to it."""

    def __init__(self, process: Running) -> None:
        self.process = process
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{process.ports['grpc']}")
        self._rerank: Any = self._channel.unary_unary(METHOD, response_deserializer=pb.RerankResponse.FromString)

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> list[float]:
        """Call; return scores in the documents' order."""
        request = pb.RerankRequest(model=model, query=query, documents=[pb.Document(text=text) for text in documents])
        response = await self._rerank(request.SerializeToString(), timeout=600)
        scores = {one.index: one.relevance_score for one in response.results}
        return [scores[index] for index in range(len(documents))]

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


@contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[Running]:
    serve = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    # Scores that were kept would cost nothing at all, and the table of local/default is made beside the calls.
    settings = {"RERANKD_CACHE__ENABLED": "false", "RERANKD_LOCAL__STATIC_TABLE": "false"}
    with running(serve, ready_ports, set(arguments.cores), {"RERANKD_LOG__FORMAT": "json", **settings}) as started:
        yield started


async def run_calls(server: Server, calls: Calls, concurrency: int) -> dict[str, Any]:
    """Send all calls, so many at once."""
    room = asyncio.Semaphore(concurrency)

    async def one(query: str, documents: list[str]) -> list[float]:
        async with room:
            return await server.rerank(MODEL, query, documents)

    began_s, cpu_began_s = time.perf_counter(), server.process.cpu_s()
    scored = await asyncio.gather(*(one(query, documents) for query, documents in calls))
    took_s = time.perf_counter() - began_s
    return {
        "seconds": took_s,
        "cpu_s": server.process.cpu_s() - cpu_began_s,
        "scores": [score for scores in scored for score in scores],
    }


def direct_loops(cores: int) -> dict[str, str]:
    """Ways to call ONNX Runtime directly: loops, threads of the session, pairs in a run, what is inside the clock."""
    ways = [(cores, 1, 1), (cores, 1, 8), (1, cores, 1), (1, cores, 32)]
    return {
        f"onnxruntime, {loops} x {threads} threads, {batch} a run, {clock}": f"direct {loops} {threads} {batch} {clock}"
        for loops, threads, batch in ways
        for clock in ("texts", "tokens")
    }


async def measure_throughput(
    server: Server, arguments: argparse.Namespace, tick: Callable[[], None], skipped: dict[str, str]
) -> dict[str, Any]:
    """Pairs a second of the server and of all others, and how far their scores are apart."""
    calls = workload(arguments.calls)
    pairs = sum(len(documents) for _, documents in calls)
    best: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay_out_weights(folder)
        peers: dict[str, Peer] = {}
        starts = {name: (Path(sys.executable), way) for name, way in direct_loops(len(arguments.cores)).items()}
        for name, requirements in PEERS.items() if arguments.peers else ():
            try:
                starts[name] = (venv_python(name, requirements), name)
            except RuntimeError as error:
                skipped[name] = f"cannot be installed: {error}"
        for name, (python, way) in starts.items():
            try:
                peers[name] = Peer(way, python, folder, arguments)
            except RuntimeError as error:
                skipped[name] = f"does not start: {error}"
                continue
            stack.callback(peers[name].close)
            peers[name].run(calls[:2])
        await run_calls(server, calls[:2], arguments.concurrency)
        for _ in range(arguments.rounds):
            found = {"rerankd, gRPC": await run_calls(server, calls, arguments.concurrency)}
            for name, peer in peers.items():
                found[name] = await asyncio.to_thread(peer.run, calls)
                tick()
            for name, one in found.items():
                best[name] = min(best.get(name, one), one, key=lambda each: each["seconds"])
    return {
        name: {
            "pairs_per_s": pairs / one["seconds"],
            "cpu_ms_per_pair": one["cpu_s"] / pairs * 1000,
            "order_differs": count_swaps(best["rerankd, gRPC"]["scores"], one["scores"]),
        }
        for name, one in best.items()
    }


def count_swaps(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Share of the neighbours by our scores that the other scores order the other way round."""
    order = sorted(range(len(ours)), key=lambda position: ours[position])
    swaps = sum(theirs[first] > theirs[second] for first, second in itertools.pairwise(order))
    return swaps / (len(order) - 1)


async def measure_waiting(server: Server, arguments: argparse.Namespace, tick: Callable[[], None]) -> dict[str, Any]:
    """Time four short documents alone and beside a call of a thousand long ones, moments chosen at random."""
    chance = random.Random(1)
    short = [text_of(24, seed) for seed in range(4)]
    long = [text_of(240, seed) for seed in range(1000)]
    few = long[: 4 * len(arguments.cores)]
    alone_ms, beside_ms, pair_ms = [], [], []

    async def time_ms(documents: list[str]) -> float:
        began_s = time.perf_counter()
        await server.rerank(MODEL, QUERY, documents)
        return (time.perf_counter() - began_s) * 1000

    await time_ms(short)
    for _ in range(arguments.rounds):
        pair_ms.append(await time_ms(few) / 4)
        alone_ms += [await time_ms(short) for _ in range(arguments.waits)]
        running_call = asyncio.create_task(server.rerank(MODEL, QUERY, long))
        await asyncio.sleep(1)
        for _ in range(arguments.waits):
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            beside_ms.append(await time_ms(short))
            tick()
        running_call.cancel()
        await asyncio.wait([running_call])
        await asyncio.sleep(0.5)
    alone, pair = statistics.median(alone_ms), statistics.median(pair_ms)
    return {
        "pair_ms": pair,
        "alone_ms": alone,
        "beside_median_ms": statistics.median(beside_ms),
        "beside_p90_ms": statistics.quantiles(beside_ms, n=10, method="inclusive")[-1],
        "waits_pairs_median": (statistics.median(beside_ms) - alone) / pair,
        "waits_pairs_p90": (statistics.quantiles(beside_ms, n=10, method="inclusive")[-1] - alone) / pair,
        "waits_pairs_worst": (max(beside_ms) - alone) / pair,
    }


async def measure_kept_vectors(
    server: Server, arguments: argparse.Namespace, tick: Callable[[], None]
) -> dict[str, Any]:
    """Time calls of 100 known documents of 250 tokens with a new query each."""
    documents = [text_of(250, seed) for seed in range(100)]
    readings: dict[str, Any] = {}
    for model in ("local/all-minilm-l6-v2", "local/all-minilm-l6-v2-maxsim"):
        await server.rerank(model, QUERY, documents)
        taken_ms, cpu_ms = [], []
        for number in range(4 * arguments.rounds):
            began_s, cpu_began_s = time.perf_counter(), server.process.cpu_s()
            for repeat in range(5):
                await server.rerank(model, f"{text_of(8, number * 5 + repeat)}", documents)
            taken_ms.append((time.perf_counter() - began_s) * 200)
            cpu_ms.append((server.process.cpu_s() - cpu_began_s) * 200)
            tick()
        readings[model] = {"latency_ms": min(taken_ms), "median_ms": statistics.median(taken_ms), "cpu_ms": min(cpu_ms)}
    return readings


async def measure_words(arguments: argparse.Namespace, tick: Callable[[], None]) -> dict[str, Any]:
    """Time BM25 alone, and how long it keeps an event loop from everything else."""
    small = [text_of(80, seed) for seed in range(4)]
    large = [text_of(80, seed) for seed in range(1000)]
    scorer = WordScorer()
    bare_us, call_us, large_ms, lag_ms = [], [], [], []

    async def note_lags(into: list[float]) -> None:
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(0.001)
            into.append((time.perf_counter() - began_s) * 1000 - 1)

    for _ in range(10 * arguments.rounds):
        began_s = time.perf_counter()
        for _ in range(100):
            query = Bm25Query(QUERY)
            query.score([query.count(text) for text in small])
        bare_us.append((time.perf_counter() - began_s) * 1e4)
        began_s = time.perf_counter()
        for _ in range(100):
            await scorer.score(Bm25Query(QUERY), small)
        call_us.append((time.perf_counter() - began_s) * 1e4)
        lags: list[float] = []
        noting = asyncio.create_task(note_lags(lags))
        await asyncio.sleep(0.01)
        lags.clear()
        began_s = time.perf_counter()
        await scorer.score(Bm25Query(QUERY), large)
        large_ms.append((time.perf_counter() - began_s) * 1000)
        await asyncio.sleep(0.002)
        noting.cancel()
        lag_ms.append(max(lags))
        tick()
    return {
        "arithmetic_us": min(bare_us),
        "call_us": min(call_us),
        "thousand_documents_ms": min(large_ms),
        "thousand_documents_loop_held_ms": min(lag_ms),
        "thousand_documents_loop_held_median_ms": statistics.median(lag_ms),
    }


async def measure_all(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    results: dict[str, Any] = {"onnxruntime": version("onnxruntime"), "cores": len(arguments.cores)}
    skipped: dict[str, str] = {}

    def ticker(name: str, total: int) -> Callable[[], None]:
        task = progress.add_task(name, total=total)
        return lambda: progress.advance(task)

    results["words"] = await measure_words(arguments, ticker("words", 10 * arguments.rounds))
    with serving(arguments) as process:
        server = Server(process)
        peers = len(direct_loops(1)) + (len(PEERS) if arguments.peers else 0)
        if "vectors" in arguments.parts:
            results["kept vectors"] = await measure_kept_vectors(
                server, arguments, ticker("kept vectors", 8 * arguments.rounds)
            )
        if "waiting" in arguments.parts:
            waits = arguments.rounds * arguments.waits
            results["waiting"] = await measure_waiting(server, arguments, ticker("waiting", waits))
        if "throughput" in arguments.parts:
            results["throughput"] = await measure_throughput(
                server, arguments, ticker("pairs a second", peers * arguments.rounds), skipped
            )
        await server.close()
    results["skipped"] = skipped
    return results


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every part asked for.

    Args:
        arguments: As `parse` gives them.

    Returns:
        Plain numbers by part: `words`, `kept vectors`, `waiting`, `throughput`, and `skipped`, the reasons why a peer
        is missing.
    """
    os.sched_setaffinity(0, set(os.sched_getaffinity(0)) - set(arguments.cores) or set(arguments.cores))
    with Progress(console=Console(stderr=True)) as progress:
        return asyncio.run(measure_all(arguments, progress))


def show(results: Mapping[str, Any]) -> None:
    """Print one table a part."""
    console = Console(width=140)
    for part in ("words", "waiting"):
        if part in results:
            table = Table("", part, title=part)
            for name, value in results[part].items():
                table.add_row(name, f"{value:,.2f}")
            console.print(table)
    if "kept vectors" in results:
        table = Table("100 known documents of 250 tokens", "latency ms", "median ms", "CPU ms", title="kept vectors")
        for model, reading in results["kept vectors"].items():
            table.add_row(model, *(f"{reading[name]:.1f}" for name in ("latency_ms", "median_ms", "cpu_ms")))
        console.print(table)
    if "throughput" in results:
        ours = results["throughput"]["rerankd, gRPC"]["pairs_per_s"]
        table = Table("", "pairs/s", "CPU ms a pair", "rerankd is", "neighbours ordered otherwise", title="throughput")
        for name, reading in results["throughput"].items():
            speed = reading["pairs_per_s"]
            cells = (f"{speed:.1f}", f"{reading['cpu_ms_per_pair']:.1f}", f"{ours / speed:.0%}")
            table.add_row(name, *cells, f"{reading['order_differs']:.1%}")
        console.print(table)
    for name, reason in results["skipped"].items():
        console.print(f"{name} was left out: {reason}")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--cores", type=int, nargs="+", default=cores, help="cores of whatever is measured")
    parser.add_argument("--concurrency", type=int, default=16, help="calls under way at once")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--calls", type=int, default=32, help="calls of eight documents in a round")
    parser.add_argument("--waits", type=int, default=12, help="small calls beside a large one in a round")
    parser.add_argument("--parts", nargs="+", default=["vectors", "waiting", "throughput"], help="what to measure")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave other libraries out")
    parser.add_argument("--quick", action="store_true", help="two small rounds without other libraries")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.rounds, arguments.calls, arguments.waits, arguments.peers = 2, 16, 4, False
    return arguments


def main() -> None:
    """Measure and print."""
    show(measure(parse()))


if __name__ == "__main__":
    main()
