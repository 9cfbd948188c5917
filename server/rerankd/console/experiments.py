"""The commands of `rerankd experiment`: they call a running server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerank.v1 import evaluation_service_pb2 as pb
from rerankd.console.calls import Target
from rerankd.console.errors import FAILED, OK
from rerankd.console.experiment_client import ExperimentClient, connect
from rerankd.console.experiment_report import facts_of, print_experiment, print_experiments
from rerankd.console.rendering import make_console, print_json
from rerankd.runs.run_filter import RunFilter

_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """Options of `rerankd experiment run`."""

    candidate: str
    name: str
    wanted: RunFilter
    max_runs: int
    depth: int
    concurrency: int
    is_detached: bool
    """Whether the command ends when the experiment has begun."""


class _Show(Protocol):
    def __call__(self, experiment: pb.Experiment) -> None:
        """Show how far an experiment is."""
        ...


def run(target: Target, plan: ExperimentPlan, worst: int, *, is_json: bool) -> int:
    """Begin an experiment, wait for its end and print what it found."""
    with connect(target) as client:
        begun = client.create(_request(plan))
        if plan.is_detached:
            return _print(begun, [], is_json=is_json)
        return _wait_and_print(client, begun, worst, is_json=is_json)


def show(target: Target, experiment_id: str, worst: int, *, is_json: bool) -> int:
    """Print an experiment."""
    with connect(target) as client:
        return _print(client.get(experiment_id), client.worst(experiment_id, worst), is_json=is_json)


def list_all(target: Target, most: int, *, is_json: bool) -> int:
    """Print the newest experiments."""
    with connect(target) as client:
        found = client.newest(most)
    if is_json:
        print_json([facts_of(each) for each in found])
    elif found:
        print_experiments(found)
    else:
        print("there are no experiments; rerankd experiment run begins one")
    return OK


def cancel(target: Target, experiment_id: str, *, is_json: bool) -> int:
    """Stop an experiment."""
    with connect(target) as client:
        return _print(client.cancel(experiment_id), [], is_json=is_json)


def delete(target: Target, experiment_id: str, *, is_json: bool) -> int:
    """Delete an experiment that has ended."""
    with connect(target) as client:
        client.delete(experiment_id)
    if is_json:
        print_json({"deleted": experiment_id})
    else:
        print(f"deleted {experiment_id}; its replays stay in the run log until runs.keep_days")
    return OK


def resume(target: Target, experiment_id: str, worst: int, *, is_json: bool) -> int:
    """Go on with an interrupted experiment, wait for its end and print what it found."""
    with connect(target) as client:
        return _wait_and_print(client, client.resume(experiment_id), worst, is_json=is_json)


def _request(plan: ExperimentPlan) -> pb.CreateExperimentRequest:
    wanted = plan.wanted
    runs = pb.RunSelection(
        model=wanted.model,
        reranker=wanted.reranker,
        key_id=wanted.key_id,
        user=wanted.user,
        source=wanted.source,
        max_runs=plan.max_runs,
    )
    if wanted.started_from is not None:
        runs.from_time.FromMicroseconds(round(wanted.started_from * 1e6))
    if wanted.started_to is not None:
        runs.to_time.FromMicroseconds(round(wanted.started_to * 1e6))
    return pb.CreateExperimentRequest(
        name=plan.name, candidate=plan.candidate, runs=runs, depth=plan.depth, concurrency=plan.concurrency
    )


def _wait_and_print(client: ExperimentClient, found: pb.Experiment, worst: int, *, is_json: bool) -> int:
    try:
        with _progress(found) as shown:
            while found.state == pb.EXPERIMENT_STATE_RUNNING:
                time.sleep(_LOOK_S)
                found = client.get(found.id)
                shown(found)
    except KeyboardInterrupt:
        print(f"it goes on; rerankd experiment show {found.id}, or cancel {found.id}", file=sys.stderr)
        raise
    return _print(found, client.worst(found.id, worst), is_json=is_json)


def _print(found: pb.Experiment, worst: list[pb.ExperimentQuery], *, is_json: bool) -> int:
    if is_json:
        print_json({"experiment": facts_of(found), "queries": [facts_of(each) for each in worst]})
    else:
        print_experiment(found, worst)
    return FAILED if found.state == pb.EXPERIMENT_STATE_INTERRUPTED else OK


@contextmanager
def _progress(experiment: pb.Experiment) -> Iterator[_Show]:
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = make_console(is_error=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=experiment.total)
        yield lambda found: progress.update(task, completed=found.ended)
