"""A chat server whose model knows people's judgements, through noise: OpenAI-compatible, on loopback.

The worth of a document is its grade as a share of the set's best one. The model sees it with an error: one part stays
with a query and document, another is drawn afresh for every prompt, and late documents of a list lose something. All
errors follow from a seed and the texts, so a run can be repeated whatever the order of its calls.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

from benchmarks.retrieval_sets import LabelledQuery
from rerankd.strategies.chat.prompt_safety import neutralise

SIGNAL: Final = 1.5
"""Worth of a document of the best grade; of one without a grade: 0."""
_LISTED: Final = re.compile(r'^\[([A-Za-z]{1,2})\] (".*")$', re.MULTILINE)
_JUDGED: Final = re.compile(r"^document \w+\n(\".*\")$", re.MULTILINE)
_QUERY: Final = re.compile(r"^query \w+\n(\".*\")$", re.MULTILINE)
_KEY_CHARS: Final = 150
_CHARS_PER_TOKEN: Final = 4
_GRADES: Final = (0, 1, 2, 3)
_SHARPNESS: Final = 1.5
"""How sure the model is of a grade."""


class Error(NamedTuple):
    """What the model gets wrong, on the scale of `SIGNAL`."""

    noise: float
    """Standard deviation."""
    stuck: float
    """Share of its variance that stays with a query and document, 0 to 1."""
    bias: float
    """What the last document of a list loses to the first."""


@dataclass
class Tally:
    """What was asked of the server since the last reset."""

    calls: int = 0
    depth: int = 0
    """Calls that began when no other was under way: how many followed one another."""
    tokens: int = 0
    """Read, four characters each."""
    written: int = 0


@dataclass
class LabelJudge:
    """The model.

    Args:
        error: Of the model.
        has_probabilities: Whether the server tells probabilities of tokens.
    """

    error: Error
    has_probabilities: bool = True
    tally: Tally = field(default_factory=Tally)
    _worth: dict[tuple[str, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0

    def learn(self, queries: Sequence[LabelledQuery]) -> None:
        """Take the judgements of a set."""
        best = max(max(query.gains) for query in queries) or 1
        for query in queries:
            for text, gain in zip(query.candidates, query.gains, strict=True):
                self._worth[_key(query.text), _key(text)] = SIGNAL * gain / best

    @contextmanager
    def counted(self, read: int) -> Iterator[None]:
        """Count one call that reads `read` characters, for as long as it is under way."""
        with self._lock:
            self.tally.calls += 1
            self.tally.depth += self._under_way == 0
            self.tally.tokens += read // _CHARS_PER_TOKEN
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request of the chat API."""
        prompt = body["messages"][-1]["content"]
        query = json.loads(_QUERY.findall(prompt)[0])
        if listed := _LISTED.findall(prompt):
            return self._reply(body, self._order(prompt, query, listed), None)
        worth = self._seen(prompt, query, json.loads(_JUDGED.findall(prompt)[0]), 0.0)
        weights = [math.exp(-(((grade - 3 * worth / SIGNAL) * _SHARPNESS) ** 2) / 2) + 1e-9 for grade in _GRADES]
        told = [weight / sum(weights) for weight in weights]
        return self._reply(body, str(max(_GRADES, key=told.__getitem__)), told)

    def _order(self, prompt: str, query: str, listed: Sequence[tuple[str, str]]) -> str:
        worth = {
            name: self._seen(prompt, query, json.loads(text), self.error.bias * position / len(listed))
            for position, (name, text) in enumerate(listed)
        }
        return " > ".join(f"[{name}]" for name in sorted(worth, key=worth.__getitem__, reverse=True))

    def _seen(self, prompt: str, query: str, text: str, lost: float) -> float:
        noise, stuck, _ = self.error
        known = random.Random(f"{_key(query)} {_key(text)}").gauss(0, noise * math.sqrt(stuck))
        fresh = random.Random(f"{prompt} {_key(text)}").gauss(0, noise * math.sqrt(1 - stuck))
        return self._worth.get((_key(query), _key(text)), 0.0) + known + fresh - lost

    def _reply(self, body: Mapping[str, Any], text: str, told: Sequence[float] | None) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if told is not None and body.get("logprobs") and self.has_probabilities:
            top = [
                {"token": str(grade), "logprob": math.log(share)} for grade, share in zip(_GRADES, told, strict=True)
            ]
            best = max(top, key=lambda each: float(str(each["logprob"])))
            choice["logprobs"] = {"content": [{**best, "top_logprobs": top}]}
        read = sum(len(message["content"]) for message in body["messages"]) // _CHARS_PER_TOKEN
        written = max(len(text) // _CHARS_PER_TOKEN, 1)
        with self._lock:
            self.tally.written += written
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {"model": body["model"], "choices": [choice], "usage": usage}


def _key(text: str) -> str:
    return neutralise(text)[:_KEY_CHARS]


@contextmanager
def serving(judge: LabelJudge, *, delay_s: float = 0.002) -> Iterator[str]:
    """Serve a model; yield the URL.

    Args:
        judge: The model.
        delay_s: Seconds that every answer takes, so that calls overlap.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            status, found = 200, {}
            if not self.path.endswith("/chat/completions"):
                status = 404
            else:
                with judge.counted(len(data)):
                    time.sleep(delay_s)
                    found = judge.answer(json.loads(data))
            payload = json.dumps(found).encode()
            head = {"content-type": "application/json", "content-length": str(len(payload))}
            self.send_response(status)
            for name, value in head.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
