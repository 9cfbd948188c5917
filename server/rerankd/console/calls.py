"""Commands that call a running server through the Python client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rerankd.console.client_errors import command_error
from rerankd.console.documents import RerankInput
from rerankd.console.errors import FAILED, OK, USAGE, CommandError
from rerankd.console.rendering import (
    print_health,
    print_json,
    print_model,
    print_models,
    print_response,
)
from rerankd_client import (
    ClientOptions,
    HealthStatus,
    NotFound,
    RerankClient,
    RerankError,
)
from rerankd_client.connection import resolve_target

_SERVICES: Final = {"server": "", "rerank.v1.RerankService": "rerank.v1.RerankService"}


@dataclass(frozen=True, slots=True)
class Target:
    """Connection options of the command line."""

    address: str | None
    """None: the client's default."""
    api_key: str | None
    """None: none is sent."""
    timeout_s: float
    """Deadline of each call, in seconds."""
    is_tls: bool
    """Encrypt the connection."""
    ca_file: Path | None
    """Certificates to trust."""


def rerank(target: Target, given: RerankInput, options: Mapping[str, object], *, is_json: bool) -> int:
    """Rerank and print the response.

    Args:
        target: Server to call.
        given: Query, documents and options read from arguments, file or standard input.
        options: `RerankOptions` of the command line; None: not given. They override those of `given`.
        is_json: Print JSON.
    """
    chosen: Any = given.options | {name: value for name, value in options.items() if value is not None}
    started_s = time.monotonic()
    with _connect(target) as client:
        response = client.rerank(given.query or "", given.documents, **chosen)
    total_ms = (time.monotonic() - started_s) * 1000
    if is_json:
        print_json(response.to_dict())
    else:
        print_response(response, given.documents, total_ms)
    return OK


def show_models(target: Target, name: str | None, provider: str | None, *, is_json: bool) -> int:
    """Print one model, or a table of all models, optionally of one provider."""
    with _connect(target) as client:
        models = list(client.list_models(provider)) if name is None else [client.get_model(name)]
    if is_json:
        print_json([model.to_dict() for model in models] if name is None else models[0].to_dict())
    elif name is None:
        print_models(models)
    else:
        print_model(models[0])
    return OK


def check_health(target: Target, *, is_json: bool) -> int:
    """Print the health of the server and its services; return `FAILED` unless all are SERVING."""
    with _connect(target, is_retried=False) as client:
        statuses = {label: _status_of(client, service) for label, service in _SERVICES.items()}
    if is_json:
        print_json(statuses)
    else:
        print_health(statuses)
    return OK if set(statuses.values()) == {HealthStatus.SERVING} else FAILED


def _status_of(client: RerankClient, service: str) -> str:
    try:
        return str(client.health(service))
    except NotFound:
        return str(HealthStatus.SERVICE_UNKNOWN)


@contextmanager
def _connect(target: Target, *, is_retried: bool = True) -> Iterator[RerankClient]:
    options = ClientOptions(
        api_key=target.api_key, timeout_s=target.timeout_s, tls=target.is_tls, ca_file=target.ca_file
    )
    if not is_retried:
        options["max_attempts"] = 1
    try:
        with RerankClient(target.address, **options) as client:
            yield client
    except RerankError as error:
        raise command_error(error, resolve_target(target.address), target.timeout_s) from error
    except UnicodeEncodeError as error:
        raise CommandError("the query and documents must be UTF-8 text", exit_code=USAGE) from error
    except (TypeError, ValueError) as error:
        raise CommandError(str(error), exit_code=USAGE) from error
    except OSError as error:
        raise CommandError(f"cannot read {error.filename}: {error.strerror}", exit_code=USAGE) from error
