"""Sends a golden case over gRPC or HTTP and reports the outcome in shared terms."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, TypeVar

import grpc
import httpx
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.errors import STATUS_OF_REASON, Reason
from tests.support.canary import ERRORS, hear
from tests.support.cases import Case, Outcome

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
_ENUM_PREFIXES = {
    "truncation": "TRUNCATION_",
    "cache": "CACHE_CONTROL_",
    "normalization": "SCORE_NORMALIZATION_",
}
METHOD = "/rerank.v1.RerankService/Rerank"
WARM_PATH = "/v1/documents:warm"
WARM_METHOD = "/rerank.v1.RerankService/WarmDocuments"
Request = TypeVar("Request", pb.RerankRequest, pb.WarmDocumentsRequest)


def to_message(request: Mapping[str, Any]) -> pb.RerankRequest:
    """Turn a request's JSON form into the protobuf message, as a gRPC client would build it."""
    return _fill(pb.RerankRequest(), request)


def _fill(message: Request, request: Mapping[str, Any]) -> Request:
    fields = dict(request)
    documents = fields.pop("documents", [])
    for name, prefix in _ENUM_PREFIXES.items():
        if name in fields:
            fields[name] = prefix + fields[name].upper().replace("-", "_")
    json_format.ParseDict(fields, message)
    for document in documents:
        if isinstance(document, str):
            message.documents.add(text=document)
        else:
            json_format.ParseDict(document, message.documents.add())
    return message


def from_message(message: pb.RerankResponse | pb.WarmDocumentsResponse) -> dict[str, Any]:
    """Turn a response into its JSON form."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


class GrpcTransport:
    """Calls over a channel of its own."""

    def __init__(self, address: str) -> None:
        limits = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ]
        self.channel = grpc.insecure_channel(address, options=limits)
        self._rerank: Any = self.channel.unary_unary(METHOD)
        self._warm: Any = self.channel.unary_unary(WARM_METHOD)

    def close(self) -> None:
        self.channel.close()

    def start(self, case: Case, request_id: str) -> Any:
        """Start the case's call and return its future."""
        if case.path == WARM_PATH:
            message = _fill(pb.WarmDocumentsRequest(), case.request)
            return self._warm.future(message.SerializeToString(), timeout=case.timeout_s)
        raw = case.raw
        body = bytes.fromhex(raw["grpc"]) if raw else to_message(case.request).SerializeToString()
        return self._rerank.future(body, timeout=case.timeout_s, metadata=[("x-request-id", request_id)])

    def call(self, case: Case) -> Outcome:
        try:
            data = self.start(case, uuid.uuid4().hex).result()
        except grpc.RpcError as error:
            return grpc_outcome(error)
        if case.path == WARM_PATH:
            return Outcome("OK", response=from_message(pb.WarmDocumentsResponse.FromString(data)))
        return Outcome("OK", response=_without_empty_documents(from_message(pb.RerankResponse.FromString(data))))


def grpc_outcome(error: Any) -> Outcome:
    """Read the code, message and details of a failed call."""
    outcome = Outcome(error.code().name, message=error.details())
    hear(ERRORS, f"{error.details()} {error.trailing_metadata()}")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            for detail in status.details:
                if detail.Unpack(info):
                    outcome.reason = info.reason
                if detail.Unpack(bad_request):
                    outcome.fields = [violation.field for violation in bad_request.field_violations]
    if outcome.code in {"DEADLINE_EXCEEDED", "CANCELLED"}:
        outcome.reason = outcome.code  # the client ends these calls itself, before the server's details come
    return outcome


def _without_empty_documents(response: dict[str, Any]) -> dict[str, Any]:
    for result in response["results"]:
        for key in [key for key, value in result.get("document", {}).items() if value == ""]:
            del result["document"][key]
    return response


class HttpTransport:
    """Calls with httpx."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        self.client.close()

    def call(self, case: Case) -> Outcome:
        body = bytes.fromhex(case.raw["http"]) if case.raw else json.dumps(case.request).encode()
        headers = {"content-type": "application/json"}
        if case.timeout_s is not None:
            headers["x-request-timeout-ms"] = str(round(case.timeout_s * 1000))
        return http_outcome(self.client.post(case.path, content=body, headers=headers))


def http_outcome(response: httpx.Response) -> Outcome:
    """Read the status and body of an answer."""
    body = response.json()
    if response.status_code == 200:
        return Outcome("OK", 200, response=body)
    return Outcome(
        STATUS_OF_REASON[Reason(body["reason"])][0].name,
        response.status_code,
        body["reason"],
        body["message"],
        [violation["field"] for violation in body.get("fields", [])],
    )
