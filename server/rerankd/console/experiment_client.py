"""Calls the evaluation service of a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import grpc

from rerank.v1 import evaluation_service_pb2 as pb
from rerank.v1.evaluation_service_pb2_grpc import EvaluationServiceStub
from rerankd.console.calls import Target
from rerankd.console.client_errors import command_error
from rerankd.console.errors import USAGE, CommandError
from rerankd_client import ClientOptions
from rerankd_client.connection import resolve_connection
from rerankd_client.errors import error_of_call

_PAGE: Final = 100
T = TypeVar("T")


class ExperimentClient:
    """Calls of one connection; failures are `grpc.RpcError`s.

    Args:
        channel: To the server.
        options: Timeout and metadata of every call.
    """

    def __init__(self, channel: grpc.Channel, options: dict[str, Any]) -> None:
        self._stub = EvaluationServiceStub(channel)
        self._options = options

    def create(self, request: pb.CreateExperimentRequest) -> pb.Experiment:
        """Begin an experiment."""
        return self._call(self._stub.CreateExperiment, request).experiment

    def get(self, experiment_id: str) -> pb.Experiment:
        """Return an experiment."""
        return self._call(self._stub.GetExperiment, pb.GetExperimentRequest(experiment_id=experiment_id)).experiment

    def cancel(self, experiment_id: str) -> pb.Experiment:
        """Stop an experiment."""
        request = pb.CancelExperimentRequest(experiment_id=experiment_id)
        return self._call(self._stub.CancelExperiment, request).experiment

    def resume(self, experiment_id: str) -> pb.Experiment:
        """Go on with an interrupted experiment."""
        request = pb.ResumeExperimentRequest(experiment_id=experiment_id)
        return self._call(self._stub.ResumeExperiment, request).experiment

    def delete(self, experiment_id: str) -> None:
        """Delete an experiment that has ended."""
        self._call(self._stub.DeleteExperiment, pb.DeleteExperimentRequest(experiment_id=experiment_id))

    def newest(self, most: int) -> list[pb.Experiment]:
        """Return the newest experiments."""
        found: list[pb.Experiment] = []
        token = ""
        while len(found) < most:
            request = pb.ListExperimentsRequest(page_size=min(_PAGE, most - len(found)), page_token=token)
            page = self._call(self._stub.ListExperiments, request)
            found += page.experiments
            if not (token := page.next_page_token):
                break
        return found

    def worst(self, experiment_id: str, most: int) -> list[pb.ExperimentQuery]:
        """Return the worst compared queries; `most` is at most 1000."""
        if not most:
            return []
        request = pb.ListExperimentQueriesRequest(experiment_id=experiment_id, page_size=most)
        return list(self._call(self._stub.ListExperimentQueries, request).queries)

    def _call(self, rpc: Callable[..., T], request: object) -> T:
        return rpc(request, **self._options)


@contextmanager
def connect(target: Target) -> Iterator[ExperimentClient]:
    """Connect to a server.

    Raises:
        CommandError: It cannot be reached, or refused a call.
    """
    options = ClientOptions(
        api_key=target.api_key, timeout_s=target.timeout_s, tls=target.is_tls, ca_file=target.ca_file
    )
    try:
        connection = resolve_connection(target.address, options)
    except (TypeError, ValueError, OSError) as error:
        raise CommandError(str(error), exit_code=USAGE) from error
    channel = (
        grpc.insecure_channel(connection.target, connection.unbalanced_options)
        if connection.credentials is None
        else grpc.secure_channel(connection.target, connection.credentials, connection.unbalanced_options)
    )
    with channel:
        try:
            calls = {"timeout": connection.call_timeout_s(None), "metadata": connection.call_metadata(None)}
            yield ExperimentClient(channel, calls)
        except grpc.RpcError as error:
            raise command_error(error_of_call(error), connection.target, target.timeout_s) from error
