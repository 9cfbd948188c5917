"""Other ways to run the embedded cross-encoder: one each process, fed with calls over its standard input.

`benchmarks.local_inference` starts this file with the Python of an environment that has the peer; it imports nothing
of ours. Run as `python local_peers.py PEER FOLDER THREADS CONCURRENCY`, where the folder has the graph as
`onnx/model.onnx` and its tokenizer. A line of JSON, `[[query, [document, ...]], ...]`, is answered by one,
`{"seconds": ..., "cpu_s": ..., "scores": [...]}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WINDOW_TOKENS = 256
Calls = list[tuple[str, list[str]]]


def open_session(folder: Path, threads: int) -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # it has no types

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"), settings, ["CPUExecutionProvider"])


class Direct:
    """ONNX Runtime in a loop.

    Args:
        folder: Graph and tokenizer.
        loops: Threads that each take the next batch.
        threads: Threads of the session.
        batch: Pairs in a run, padded to the longest; pairs are sorted by length first.
        counts_tokenizer: Whether reading the texts is inside the clock.
    """

    def __init__(self, folder: Path, loops: int, threads: int, batch: int, *, counts_tokenizer: bool) -> None:
        from tokenizers import Tokenizer

        self._session = open_session(folder, threads)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW_TOKENS, strategy="only_second")
        self._loops = loops
        self._batch = batch
        self._counts_tokenizer = counts_tokenizer

    def prepare(self, calls: Calls) -> Callable[[], list[float]]:
        """Do what stays outside the clock; returns what is timed."""
        pairs = [(query, document) for query, documents in calls for document in documents]
        if self._counts_tokenizer:
            return lambda: self._score(pairs, None)
        encoded = self._tokenizer.encode_batch(pairs)
        return lambda: self._score(pairs, encoded)

    def _score(self, pairs: list[tuple[str, str]], encoded: list[Any] | None) -> list[float]:
        import numpy as np

        is_batched = self._batch > 1
        if encoded is None and is_batched:
            encoded = self._tokenizer.encode_batch(pairs)
        order = list(range(len(pairs)))
        if is_batched and encoded is not None:
            lengths = [len(one.ids) for one in encoded]
            order.sort(key=lambda position: lengths[position])
        scores = [0.0] * len(pairs)
        starts = iter(range(0, len(order), self._batch))
        lock = threading.Lock()

        def loop() -> None:
            while True:
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                positions = order[start : start + self._batch]
                found = [encoded[p] if encoded else self._tokenizer.encode(*pairs[p]) for p in positions]
                width = max(len(one.ids) for one in found)
                feed = {
                    name: np.zeros((len(positions), width), np.int64)
                    for name in ("input_ids", "attention_mask", "token_type_ids")
                }
                for row, one in enumerate(found):
                    feed["input_ids"][row, : len(one.ids)] = one.ids
                    feed["attention_mask"][row, : len(one.ids)] = 1
                    feed["token_type_ids"][row, : len(one.ids)] = one.type_ids
                logits = self._session.run(None, feed)[0]
                for position, logit in zip(positions, logits, strict=True):
                    scores[position] = float(logit[0])

        threads = [threading.Thread(target=loop) for _ in range(self._loops)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return scores


class CallByCall:
    """A library that scores the pairs of one call after another."""

    def __init__(self, score: Callable[[str, list[str]], list[float]]) -> None:
        self._score = score

    def prepare(self, calls: Calls) -> Callable[[], list[float]]:
        """Do what stays outside the clock; returns what is timed."""
        return lambda: [score for query, documents in calls for score in self._score(query, documents)]


def open_sentence_transformers(folder: Path, threads: int) -> CallByCall:
    import torch  # type: ignore[import-not-found]  # installed for this alone
    from sentence_transformers import CrossEncoder  # type: ignore[import-not-found]  # installed for this alone

    torch.set_num_threads(threads)
    settings = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    model = CrossEncoder(str(folder), backend="onnx", max_length=WINDOW_TOKENS, model_kwargs=settings, device="cpu")
    return CallByCall(lambda query, documents: list(map(float, model.predict([(query, text) for text in documents]))))


def open_flashrank(folder: Path, threads: int) -> CallByCall:
    from flashrank import Ranker, RerankRequest  # type: ignore[import-not-found]  # installed for this alone

    ranker = Ranker(model_name="ms-marco-MiniLM-L-12-v2", cache_dir=str(folder / "flashrank"), max_length=WINDOW_TOKENS)

    def score(query: str, documents: list[str]) -> list[float]:
        passages = [{"id": position, "text": text} for position, text in enumerate(documents)]
        found = {one["id"]: float(one["score"]) for one in ranker.rerank(RerankRequest(query=query, passages=passages))}
        return [found[position] for position in range(len(documents))]

    return CallByCall(score)


class Infinity:
    """Infinity's engine, called by so many tasks at once; it makes batches of their pairs."""

    def __init__(self, folder: Path, concurrency: int) -> None:
        from infinity_emb import AsyncEmbeddingEngine, EngineArgs  # type: ignore[import-not-found]  # installed for this alone

        self._concurrency = concurrency
        self._loop = asyncio.new_event_loop()
        settings = EngineArgs(model_name_or_path=str(folder), engine="optimum", device="cpu", model_warmup=False)
        self._engine = AsyncEmbeddingEngine.from_args(settings)
        self._loop.run_until_complete(self._engine.astart())

    def prepare(self, calls: Calls) -> Callable[[], list[float]]:
        """Do what stays outside the clock; returns what is timed."""
        return lambda: self._loop.run_until_complete(self._score(calls))

    async def _score(self, calls: Calls) -> list[float]:
        room = asyncio.Semaphore(self._concurrency)

        async def score(query: str, documents: list[str]) -> list[float]:
            async with room:
                results, _ = await self._engine.rerank(query=query, docs=documents, raw_scores=True)
                found = {one.index: float(one.relevance_score) for one in results}
                return [found[position] for position in range(len(documents))]

        scored = await asyncio.gather(*(score(query, documents) for query, documents in calls))
        return [score for one in scored for score in one]


def open_peer(name: str, folder: Path, threads: int, concurrency: int) -> Any:
    kind, _, rest = name.partition(" ")
    if kind == "sentence-transformers":
        return open_sentence_transformers(folder, threads)
    if kind == "flashrank":
        return open_flashrank(folder, threads)
    if kind == "infinity":
        return Infinity(folder, concurrency)
    loops, session_threads, batch, tokenizer = rest.split()
    return Direct(folder, int(loops), int(session_threads), int(batch), counts_tokenizer=tokenizer == "texts")


def main() -> None:
    """Open the peer, say so, and answer lines until there are no more."""
    name, folder, threads, concurrency = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    # Libraries may print; the answers go where nothing else does.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = open_peer(name, folder, threads, concurrency)
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        calls = [(query, documents) for query, documents in json.loads(line)]
        run = peer.prepare(calls)
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        scores = run()
        took = {"seconds": time.perf_counter() - began_s, "cpu_s": time.process_time() - cpu_began_s}
        answers.write(json.dumps({**took, "scores": scores}) + "\n")


if __name__ == "__main__":
    main()
