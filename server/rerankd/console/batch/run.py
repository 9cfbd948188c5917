"""Execution of a batch: reads rows, runs items, records outcomes, prints the summary."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Any, Final, Self

import grpc

from rerankd.console.batch.display import print_failures, print_summary, show_progress
from rerankd.console.batch.executors import BatchExecutor, InProcessExecutor, RemoteExecutor
from rerankd.console.batch.files import Format, format_of, inspect_file
from rerankd.console.batch.journal import Journal, JournalState
from rerankd.console.batch.outcomes import Outcome, bad_row, outcome_of
from rerankd.console.batch.parquet import count_rows, require_pyarrow
from rerankd.console.batch.plan import BatchPlan
from rerankd.console.batch.rows import InputRow, read_rows
from rerankd.console.batch.stdout import StandardOutput
from rerankd.console.batch.totals import Totals
from rerankd.console.calls import Target
from rerankd.console.client_errors import command_error
from rerankd.console.errors import FAILED, INTERRUPTED, OK, USAGE, CommandError
from rerankd.contract.errors import ServiceError
from rerankd_client import BatchItem, RerankError
from rerankd_client.connection import resolve_target

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_RECONNECT_CODES: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


def run_batch(target: Target, plan: BatchPlan, *, is_in_process: bool, is_json: bool) -> int:
    """Run a batch until it ends or is interrupted; return the exit code.

    Raises:
        CommandError: The batch cannot start or continue; recorded outcomes are kept.
    """
    totals = Totals()
    state = _inspect_input(plan, totals)
    outcomes = StandardOutput() if plan.is_piped_out else Journal(plan, state, totals)
    if outcomes.is_complete:
        outcomes.close(is_complete=True)
        print(f"{plan.output} is complete; nothing to do", file=sys.stderr)
        print_failures(totals, plan)
        return FAILED if totals.failed else OK
    run = _Run(plan, outcomes, totals)
    try:
        code = asyncio.run(_serve(run, target, plan, is_in_process=is_in_process))
    except (RerankError, CommandError) as error:
        outcomes.close(is_complete=False)
        failure = error if isinstance(error, CommandError) else _command_error(error, target)
        hint = _joined(failure.hint, _resume_hint(plan) if totals.done else "")
        raise CommandError(failure.message, hint, failure.exit_code) from error
    print_summary(totals, is_json=is_json, is_output_piped=plan.is_piped_out)
    print_failures(totals, plan)
    if run.problem:
        raise CommandError(run.problem, _resume_hint(plan))
    if code == INTERRUPTED and (hint := _resume_hint(plan)):
        print(f"interrupted; {hint}", file=sys.stderr)
    return code


async def _serve(run: _Run, target: Target, plan: BatchPlan, *, is_in_process: bool) -> int:
    executor: BatchExecutor = _open_engine(plan) if is_in_process else _open_server(target, plan)
    loop, working = asyncio.get_running_loop(), asyncio.create_task(run.run(executor))
    interrupts = 0

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts == 1:
            run.stop()
            print("finishing what is under way; once more to stop at once", file=sys.stderr)
        else:
            working.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        # Only the main thread can install signal handlers.
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, interrupt)
    try:
        run.totals.started_s = time.monotonic()
        async with show_progress(run.totals):
            with suppress(asyncio.CancelledError):
                await working
    finally:
        await executor.close()
    is_whole = not run.is_stopping
    run.outcomes.close(is_complete=is_whole)
    if interrupts:
        return INTERRUPTED
    return FAILED if run.totals.failed or not is_whole else OK


class _Run:
    """Feeds rows to an executor and records the outcomes."""

    def __init__(self, plan: BatchPlan, outcomes: Journal | StandardOutput, totals: Totals) -> None:
        self._plan = plan
        self._rows = read_rows(plan)
        self._unanswered: deque[InputRow] = deque()
        self._last_answer_s: float | None = None
        self._stopping = asyncio.Event()
        self.outcomes = outcomes
        """Receives outcomes."""
        self.totals = totals
        """Counters."""
        self.problem = ""
        """Why the run stopped, unless by a signal."""

    @property
    def is_stopping(self) -> bool:
        """Whether no further rows are started."""
        return self._stopping.is_set()

    def stop(self, problem: str = "") -> None:
        """Stop starting items; items in flight finish."""
        self.problem = self.problem or problem
        self._stopping.set()

    async def run(self, executor: BatchExecutor) -> None:
        """Run every item; restart the stream with unanswered items when it breaks.

        Raises:
            RerankError: The server refused the batch, or stayed unavailable for too long.
            CommandError: The input cannot be read.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            stream = _Stream(self)
            last_answer_before_s = self._last_answer_s
            try:
                await self._take(executor, stream)
            except RerankError as error:
                self._unanswered.extendleft(reversed(stream.pending.values()))
                if self._last_answer_s != last_answer_before_s:
                    wait_s = _FIRST_WAIT_S
                if self.is_stopping:
                    return
                self._raise_if_permanent(error)
            else:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _take(self, executor: BatchExecutor, stream: _Stream) -> None:
        results: Any = executor.stream(stream)
        async with aclosing(results):
            async for result in results:
                row = stream.pending.pop(result.item_index)
                self._last_answer_s = time.monotonic()
                self.keep(outcome_of(result, row.item_id, row.index))

    def _raise_if_permanent(self, error: RerankError) -> None:
        is_transient = error.code in _RECONNECT_CODES and (error.request_id is None or error.reason == "DRAINING")
        # A server that never answered is missing or the wrong one: fail immediately.
        if not is_transient or self._last_answer_s is None:
            raise error
        if time.monotonic() - self._last_answer_s > self._plan.retry_for_s:
            raise error

    def next_row(self) -> InputRow | None:
        """Return the next row to execute, None at the end; invalid rows are recorded as failed."""
        while not self.is_stopping:
            row = self._unanswered.popleft() if self._unanswered else next(self._rows, None)
            if row is None:
                return None
            if row.index in self.outcomes.finished:
                continue
            if not row.problem:
                return row
            if self._plan.is_strict:
                self.stop(row.problem)
                return None
            self.keep(bad_row(row.item_id, row.index, row.problem))
        return None

    def keep(self, outcome: Outcome) -> None:
        """Record and count an outcome; stop when too many items have failed."""
        self.outcomes.append(outcome)
        self.totals.add(outcome)
        most = self._plan.max_failures
        if most is not None and self.totals.failed_here > most:
            self.stop(f"stopped after {self.totals.failed_here} failures; the last: {outcome.status.message}")


class _Stream(Iterator[BatchItem]):
    """Items of one stream; tracks the unanswered ones."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._sent = 0
        self.pending: dict[int, InputRow] = {}
        """Unanswered rows by zero-based position in the stream, in order."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchItem:
        row = self._run.next_row()
        if row is None:
            raise StopIteration
        self.pending[self._sent] = row
        self._sent += 1
        return BatchItem(item_id=row.item_id, **row.item)  # type: ignore[typeddict-item,no-any-return]  # checked when it was read


def _inspect_input(plan: BatchPlan, totals: Totals) -> JournalState:
    """Check the input before anything is written; determine its length and digest.

    Raises:
        CommandError: Input and output cannot be used together, or the input cannot be read.
    """
    formats = {format_of(path) for path in (plan.input, plan.output)}
    if Format.PARQUET in formats:
        require_pyarrow()
    if not plan.is_piped_in and not plan.is_piped_out and plan.input.resolve() == plan.output.resolve():
        raise CommandError("input and output are the same file", "name another output", USAGE)
    if plan.is_piped_in:
        if plan.is_resumed and not plan.is_piped_out and plan.output.exists():
            hint = "standard input cannot be resumed: name another output, or replace it with --no-resume"
            raise CommandError(f"{plan.output} exists", hint, USAGE)
        return JournalState(input_sha256="standard input", options={})
    if plan.is_piped_out and format_of(plan.input) is not Format.PARQUET:
        digest = ""
        if not plan.input.is_file():
            raise CommandError(f"cannot read {plan.input}: no such file", exit_code=USAGE)
    else:
        digest, totals.expected = inspect_file(plan.input)
    if format_of(plan.input) is Format.PARQUET:
        totals.expected = count_rows(plan.input)
    columns = plan.columns
    options: dict[str, object] = {name: value for name, value in sorted(plan.defaults.items()) if value is not None}
    named: dict[str, object] = {
        "--query-column": columns.query,
        "--documents-column": columns.documents,
        "--id-column": columns.id,
    }
    named |= {"--text-field": columns.text, "--ignore-unknown": columns.is_lenient}
    known = dict.fromkeys(("model", "top_n", "return_documents", "fallbacks"))
    return JournalState(input_sha256=digest, options={**known, **options, **named})


def _open_server(target: Target, plan: BatchPlan) -> RemoteExecutor:
    try:
        resolve_target(target.address)
        return RemoteExecutor(target, plan)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error), exit_code=USAGE) from error


def _open_engine(plan: BatchPlan) -> InProcessExecutor:
    from rerankd.providers.factory import ProviderSettingsError

    try:
        return InProcessExecutor(plan)
    except (ProviderSettingsError, ServiceError) as error:
        raise CommandError(f"the settings cannot be used: {error}") from error


def _command_error(error: RerankError, target: Target) -> CommandError:
    return command_error(error, resolve_target(target.address), target.timeout_s)


def _resume_hint(plan: BatchPlan) -> str:
    if plan.is_piped_in or plan.is_piped_out:
        return ""
    return "run the same command again to go on; what is done is kept"


def _joined(*hints: str) -> str:
    return "; ".join(hint for hint in hints if hint)
