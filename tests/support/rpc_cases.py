"""Golden cases of unary rpcs of any service: one request, sent over gRPC and over HTTP, and the outcome of both.

A case is written in the JSON form of the rpc's messages. Over HTTP its fields go to path, query and body as the rpc's
route says; over gRPC it becomes the rpc's message. Cases of a file run in order; `keep` names values of an answer, and
`{name}` stands for them in later requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final
from urllib.parse import quote

import grpc
import httpx
import msgspec

from rerank.v1 import access_service_pb2, evaluation_service_pb2, rerank_service_pb2, reranker_service_pb2
from rerankd.contract.errors import STATUS_OF_REASON, Reason
from rerankd.gateway.json_names import fields_of
from rerankd.gateway.route_table import Route
from rerankd.gateway.routes import ROUTES
from rerankd.rpc import access_convert, convert, evaluation_convert, reranker_convert
from rerankd_adapters.testing.yaml_files import read_yaml
from tests.support.canary import ERRORS, hear
from tests.support.cases import DIRECTORY, Outcome
from tests.support.transports import grpc_outcome

MODULES: Final[Mapping[str, tuple[ModuleType, ModuleType]]] = {
    "rerank_service": (rerank_service_pb2, convert),
    "access_service": (access_service_pb2, access_convert),
    "reranker_service": (reranker_service_pb2, reranker_convert),
    "evaluation_service": (evaluation_service_pb2, evaluation_convert),
}
"""Stubs and converters by member of `Services`."""


@dataclass(frozen=True)
class RpcCase:
    """One call."""

    name: str
    rpc: str
    expect: Mapping[str, Any]
    """`code`, `status` and, as they apply, `reason`, `fields`, `message` (part of it), `response` (part of it; "..." is
    any value that is not empty)."""
    request: Mapping[str, Any] = field(default_factory=dict)
    caller: str = "admin"
    """Whose key is sent; "nobody": none."""
    route: int = 0
    """Which of the rpc's HTTP routes."""
    only: str = ""
    """The one transport of a request that the other cannot carry: "grpc" or "http"."""
    keep: Mapping[str, str] = field(default_factory=dict)
    """Names of values of the answer, with the paths to them."""


def read_rpc_cases(file: str) -> list[RpcCase]:
    """Read a file of cases."""
    entries = read_yaml(DIRECTORY / file)["cases"]
    return [RpcCase(**entry) for entry in entries]


class HttpCaller:
    """Sends cases over HTTP."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def call(self, case: RpcCase, request: Mapping[str, Any], key: str | None) -> Outcome:
        """Send a request by its route."""
        route = [route for route in ROUTES if route.rpc == case.rpc][case.route]
        left = dict(request)
        path = re.sub(r"{(\w+)(=\*\*)?}", lambda found: quote(str(left.pop(found[1])), safe="/"), route.template)
        given = {"content": json.dumps(left)} if route.has_body else {"params": _parameters(left)}
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        return _outcome_of(route, self._client.request(route.http_method, path, headers=headers, **given))


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in request.items()}


def _outcome_of(route: Route, response: httpx.Response) -> Outcome:
    if response.status_code < 300:
        body = response.json() if response.content else {}
        return Outcome(
            "OK", response.status_code, response={route.response_body: body} if route.response_body else body
        )
    hear(ERRORS, response.text)
    body = response.json()
    code = STATUS_OF_REASON[Reason(body["reason"])][0].name
    fields = [violation["field"] for violation in body.get("fields", [])]
    return Outcome(code, response.status_code, body["reason"], body["message"], fields)


class GrpcCaller:
    """Sends cases over gRPC."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def call(self, case: RpcCase, request: Mapping[str, Any], key: str | None) -> Outcome:
        """Send a request as the rpc's message."""
        route = next(route for route in ROUTES if route.rpc == case.rpc)
        stubs, converters = MODULES[route.service]
        service = next(
            found for found in stubs.DESCRIPTOR.services_by_name.values() if case.rpc in found.methods_by_name
        )
        method = service.methods_by_name[case.rpc]
        by_json_name = {fields_of(route.request_type)[name][0]: value for name, value in request.items()}
        message = getattr(converters, f"{_snake(method.input_type.name)}_to_proto")(
            msgspec.convert(by_json_name, route.request_type)
        )
        call: Any = self._channel.unary_unary(f"/{service.full_name}/{case.rpc}")
        try:
            data = call(message.SerializeToString(), metadata=(("authorization", f"Bearer {key}"),) if key else ())
        except grpc.RpcError as error:
            return grpc_outcome(error)
        answer = getattr(stubs, method.output_type.name).FromString(data)
        response = getattr(converters, f"{_snake(method.output_type.name)}_from_proto")(answer)
        return Outcome("OK", response=json.loads(msgspec.json.encode(response)))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def filled(value: Any, kept: Mapping[str, Any]) -> Any:
    """Return a request or an expectation with kept values in their places."""
    if isinstance(value, dict):
        return {name: filled(item, kept) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, kept) for item in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: str(kept.get(found[1], found[0])), value)
    return value


def kept_of(case: RpcCase, outcome: Outcome) -> dict[str, Any]:
    """Return the values of an answer that later cases name."""
    found = {}
    for name, path in case.keep.items():
        value: Any = outcome.response
        for part in path.split("."):
            value = value[int(part)] if part.isdigit() else value[part]
        found[name] = value
    return found


def rpc_differences(expect: Mapping[str, Any], outcome: Outcome) -> Iterator[str]:
    """Yield what an outcome has other than is expected; an error's fields are none unless they are said."""
    found = {"code": outcome.code, "reason": outcome.reason, "fields": outcome.fields}
    for name, value in found.items():
        if value != expect.get(name, [] if name == "fields" else None):
            yield f"{name}: expected {expect.get(name)!r}, got {value!r} ({outcome.message})"
    if outcome.status is not None and outcome.status != expect["status"]:
        yield f"status: expected {expect['status']}, got {outcome.status} ({outcome.message})"
    if expect.get("message", "") not in outcome.message:
        yield f"message: expected {expect['message']!r} in {outcome.message!r}"
    yield from _missing(expect.get("response", {}), outcome.response, "response")


def _missing(expected: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, Mapping):
        for name, value in expected.items():
            yield from _missing(value, found.get(name), f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, value in enumerate(expected):
            yield from _missing(value, found[number], f"{path}[{number}]")
    elif not (found if expected == "..." else found == expected):
        yield f"{path}: expected {expected!r}, got {found!r}"
