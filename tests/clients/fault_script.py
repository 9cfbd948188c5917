"""The faults that the client of every language gets through, and how its program is told to make calls.

Each language has a program that reads a command from each line of its input and writes the reply as one line, in JSON.
It makes all calls with the language's own client, and ends when its input does. Members of a command:

`{"do": "open", "target": "ipv4:127.0.0.1:1,127.0.0.1:2", "api_key": "", "ca_file": "", "timeout_s": 30}`
    Closes the client, if any, and makes another one. `ca_file` not empty: TLS. Reply: `{}`.
`{"do": "rerank", "model": "", "query": "", "documents": [""], "timeout_s": 5}`
    One call; `timeout_s` may be null: the client's. Reply: `{"results": [[index, relevance_score]]}`, or
    `{"error": {"code": "UNAVAILABLE", "reason": "", "message": "", "metadata": {}, "fields": [["top_n", "text"]],
    "quota": [["subject", "text"]], "retry_after_s": 1.5, "request_id": ""}}`; null for what is not known.
`{"do": "load", "seconds": 3, "workers": 8, "pause_ms": 5, "model": "", "query": "", "documents": [""]}`
    Each worker calls, pauses and calls again. Reply: `{"answered": 9, "failed": 0, "errors": [{}]}`, the first errors.
`{"do": "batch", "model": "", "queries": [""], "documents": [""], "max_concurrency": 8, "leave_after": 3}`
    A batch with an item for each query, named "0", "1" and so on; not null `leave_after`: it is left and so cancelled
    after so many results. Reply: `{"answered": ["0"], "failed": {"1": {"code": ""}}, "read": 2, "received": 2}`;
    `read` counts the items taken from the source, and `received` is the summary's `items_received`, null without
    one. A batch that ends with an error has a member `error` too.
"""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import trustme
import yaml

from rerankd.access.key_format import digest_of, new_secret
from tests.clients.client_program import ClientProgram, Reply
from tests.clients.scripted_replica import ScriptedReplica
from tests.support.server import ServerProcess

MODEL: Final = "local/bm25"
LOAD_S: Final = 3.0
GOOD, LIMITED = new_secret(), new_secret()
"""Keys of the guarded server: any call; one call a minute."""
_TEXTS: Final = ["A desert planet.", "Frank Herbert wrote Dune."]
_REVOKED_WITHIN_S: Final = 0.5


class Stage:
    """The servers that faults are about; started when first asked for, and stopped at the end.

    Args:
        folder: For settings, store and certificates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._replicas: list[ServerProcess] = []
        self._guarded: ServerProcess | None = None

    def two_replicas(self) -> list[ServerProcess]:
        """Return two real servers that run; the ones of before, where they do."""
        self._replicas = [each for each in self._replicas if each.process.poll() is None]
        while len(self._replicas) < 2:
            self._replicas.append(ServerProcess())
        return self._replicas

    def guarded(self) -> ServerProcess:
        """Return a real server that wants an API key."""
        if self._guarded is None:
            self._guarded = ServerProcess("--config", str(self.config()))
        return self._guarded

    def config(self) -> Path:
        """Write the settings of the guarded server."""
        path = self.folder / "guarded.yaml"
        keys = {"good": {"hash": digest_of(GOOD)}, "limited": {"hash": digest_of(LIMITED)}}
        limits = [{"name": "once", "per": "key", "match": "limited", "calls_per_minute": 1}]
        access = {"enabled": True, "keys": keys, "limits": limits, "revoked_within_s": _REVOKED_WITHIN_S}
        path.write_text(yaml.safe_dump({"access": access, "store": {"state_dir": str(self.folder / "state")}}))
        return path

    def close(self) -> None:
        """Stop the servers."""
        for server in [*self._replicas, *([self._guarded] if self._guarded else [])]:
            server.stop(signal.SIGKILL)


Fault = Callable[[ClientProgram, Stage], None]


def target_of(*addresses: str) -> str:
    """Return the target of some replicas."""
    return "ipv4:" + ",".join(addresses)


def open_client(program: ClientProgram, target: str, **options: Any) -> None:
    """Have the program make its client."""
    assert program.ask("open", **{"target": target, "api_key": "", "ca_file": "", "timeout_s": 30, **options}) == {}


def rerank(program: ClientProgram, query: str, **more: Any) -> Reply:
    """Have the program make one call."""
    return program.ask("rerank", **{"model": MODEL, "query": query, "documents": _TEXTS, "timeout_s": None, **more})


def error_of(reply: Reply) -> dict[str, Any]:
    """Return the error of a call that failed."""
    assert "error" in reply, reply
    error: dict[str, Any] = reply["error"]
    return error


@contextmanager
def scripted(program: ClientProgram, count: int = 1) -> Iterator[list[ScriptedReplica]]:
    """Start scripted replicas, and have the program call them."""
    with ExitStack() as stack:
        replicas = [stack.enter_context(ScriptedReplica()) for _ in range(count)]
        open_client(program, target_of(*(each.address for each in replicas)))
        yield replicas


def killed_under_load(program: ClientProgram, stage: Stage) -> None:
    """One of two replicas is killed under load: no call fails."""
    doomed, other = stage.two_replicas()
    open_client(program, target_of(doomed.grpc_address, other.grpc_address))
    program.send("load", seconds=LOAD_S, workers=16, pause_ms=5, model=MODEL, query="dune", documents=_TEXTS)
    time.sleep(LOAD_S / 3)
    doomed.stop(signal.SIGKILL)
    reply = program.receive()
    assert reply["failed"] == 0, reply
    assert reply["answered"] > 50
    assert other.process.poll() is None


def drained_under_load(program: ClientProgram, stage: Stage) -> None:
    """One of two replicas is told to stop under load, as in a rollout: no call fails, and clients do not hold it up."""
    doomed, other = stage.two_replicas()
    open_client(program, target_of(doomed.grpc_address, other.grpc_address))
    program.send("load", seconds=LOAD_S, workers=16, pause_ms=5, model=MODEL, query="dune", documents=_TEXTS)
    time.sleep(LOAD_S / 3)
    assert doomed.stop(signal.SIGTERM, timeout_s=10) == 0
    reply = program.receive()
    assert reply["failed"] == 0, reply
    assert other.process.poll() is None


def killed_under_a_batch(program: ClientProgram, stage: Stage) -> None:
    """The replica that has a batch's stream is killed: each item is answered once, by the other one."""
    replicas = stage.two_replicas()
    open_client(program, target_of(*(each.grpc_address for each in replicas)))
    queries = ["dune"] * 4000
    program.send("batch", model=MODEL, queries=queries, documents=_TEXTS, max_concurrency=8, leave_after=None)
    time.sleep(0.3)
    replicas[0].stop(signal.SIGKILL)
    reply = program.receive()
    assert "error" not in reply, reply
    assert sorted(reply["answered"], key=int) == [str(number) for number in range(len(queries))]
    assert (reply["failed"], reply["read"], reply["received"]) == ({}, len(queries), len(queries))


def not_serving(program: ClientProgram, _: Stage) -> None:
    """A replica that says that it is not serving gets no call a second later, until it says that it is."""
    with scripted(program, 2) as (paused, other):
        program.send("load", seconds=5, workers=4, pause_ms=5, model=MODEL, query="dune", documents=_TEXTS)
        time.sleep(1.0)
        paused.set_serving(is_serving=False)
        off_s = time.monotonic()
        time.sleep(2.0)
        paused.set_serving(is_serving=True)
        on_s = time.monotonic()
        reply = program.receive()
    assert reply["failed"] == 0, reply
    at_s = [call.at_s for call in paused.received]
    assert min(at_s) < off_s
    assert [at for at in at_s if off_s + 1 < at < on_s] == []
    assert max(at_s) > on_s
    assert len([call for call in other.received if off_s < call.at_s < on_s]) > 20


def unavailable_with_pushback(program: ClientProgram, _: Stage) -> None:
    """A call that is told when to come back is sent again then."""
    with scripted(program) as (replica,):
        assert "results" in rerank(program, "pushback 900 a")
        first_s, second_s = replica.attempts("pushback 900 a")
        assert 0.85 < second_s - first_s < 3
        error = error_of(rerank(program, "pushback -1 b"))
        assert len(replica.attempts("pushback -1 b")) == 1
    assert (error["code"], error["reason"], error["request_id"]) == ("UNAVAILABLE", "NO_HEALTHY_DEPLOYMENT", "req-7")


def resource_exhausted(program: ClientProgram, stage: Stage) -> None:
    """A limit that is used up is told with its name and when to come back, and the call is not repeated."""
    open_client(program, target_of(stage.guarded().grpc_address), api_key=LIMITED)
    replies = [rerank(program, "dune") for _ in range(2)]
    error = error_of(replies[-1])
    assert (error["code"], error["reason"]) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert 0 < error["retry_after_s"] <= 120, error
    assert (error["metadata"]["limit"], error["quota"][0][0]) == ("once", "once")
    assert error["request_id"]


def deadline(program: ClientProgram, _: Stage) -> None:
    """A deadline that passes is the error of the call, and cancels it on the server."""
    with scripted(program) as (replica,):
        started_s = time.monotonic()
        error = error_of(rerank(program, "slow", timeout_s=0.5))
        assert 0.4 < time.monotonic() - started_s < 5
        assert replica.cancelled.wait(10)
    assert (error["code"], error["reason"]) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")


def stream_that_is_left(program: ClientProgram, _: Stage) -> None:
    """A batch that is left early is cancelled on the server; until then items are read no faster than answered."""
    with scripted(program) as (replica,):
        queries = ["a", "fail", "b", *["hold"] * 1000]
        reply = program.ask("batch", model="", queries=queries, documents=_TEXTS, max_concurrency=4, leave_after=3)
        assert "error" not in reply, reply
        assert replica.cancelled.wait(10)
    assert (sorted(reply["answered"]), list(reply["failed"]), reply["received"]) == (["0", "2"], ["1"], None)
    error = reply["failed"]["1"]
    assert (error["code"], error["reason"], error["fields"][0][0]) == ("INVALID_ARGUMENT", "INVALID_REQUEST", "query")
    assert reply["read"] <= 3 + 2 * 4 + 1


def large_request(program: ClientProgram, _: Stage) -> None:
    """A request of 4 MB is retried like a small one."""
    with scripted(program) as (replica,):
        assert "results" in rerank(program, "flaky large", documents=["word " * 800_000])
        assert len(replica.attempts("flaky large")) == 2


def expired_certificate(program: ClientProgram, stage: Stage) -> None:
    """A server whose certificate has expired gets no call; one whose certificate has not, does."""
    authority = trustme.CA()
    ca_file = stage.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    for not_after in (None, datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)):
        issued = authority.issue_cert("127.0.0.1", not_after=not_after)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        credentials = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
        with ScriptedReplica(credentials) as replica:
            open_client(program, target_of(replica.address), ca_file=str(ca_file), timeout_s=10)
            reply = rerank(program, "dune")
        if not_after is None:
            assert "results" in reply, reply
        else:
            assert (error_of(reply)["code"], replica.received) == ("UNAVAILABLE", [])


def wrong_key(program: ClientProgram, stage: Stage) -> None:
    """A call without a key, or with a wrong one, is told so; one with a good key is answered."""
    target = target_of(stage.guarded().grpc_address)
    for key, reason in (("", "API_KEY_MISSING"), (new_secret(), "API_KEY_INVALID")):
        open_client(program, target, api_key=key)
        error = error_of(rerank(program, "dune"))
        assert (error["code"], error["reason"]) == ("UNAUTHENTICATED", reason)
    open_client(program, target, api_key=GOOD)
    assert "results" in rerank(program, "dune")


def revoked_key(program: ClientProgram, stage: Stage) -> None:
    """A key that is revoked is refused soon after, on the same connection."""
    server = stage.guarded()
    created = _keys(stage, "create", "short-lived", "--json")
    open_client(program, target_of(server.grpc_address), api_key=yaml.safe_load(created)["secret"])
    assert "results" in rerank(program, "dune")
    _keys(stage, "revoke", yaml.safe_load(created)["id"])
    give_up_s = time.monotonic() + 10
    while "error" not in (reply := rerank(program, "dune")):
        assert time.monotonic() < give_up_s
        time.sleep(0.1)
    assert (error_of(reply)["code"], error_of(reply)["reason"]) == ("UNAUTHENTICATED", "API_KEY_INVALID")


def _keys(stage: Stage, *arguments: str) -> str:
    command = [sys.executable, "-m", "rerankd.cli", "keys", *arguments, "--config", str(stage.config())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        killed_under_load,
        drained_under_load,
        killed_under_a_batch,
        not_serving,
        unavailable_with_pushback,
        resource_exhausted,
        deadline,
        stream_that_is_left,
        large_request,
        expired_certificate,
        wrong_key,
        revoked_key,
    )
}
