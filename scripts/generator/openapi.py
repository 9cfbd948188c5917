"""Renders `server/rerankd/web/openapi.json`: an OpenAPI 3.1 description of the HTTP routes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from scripts.generator.openapi_examples import ANSWERS, PARAMETERS, REQUESTS, as_sent, refusal
from scripts.generator.openapi_schemas import (
    body_schema,
    error_schema,
    field_schema,
    message_schema,
    or_null,
    ref,
    rules_of,
)
from scripts.generator.schema import Binding, Method, Schema, SchemaError, Service
from scripts.generator.text import summary_of

_REQUEST_ERRORS: Final = ("400", "401", "403", "404", "429", "500", "502", "503", "504")
_BODY_ERRORS: Final = ("413", "415")
_CHANGE_ERRORS: Final = ("409",)
"""Of rpcs that change what is stored: all but the rerank service's."""
_ERRORS: Final = {
    "400": ("BadRequest", "A field breaks a rule, or the body or a header cannot be read."),
    "401": ("Unauthenticated", "The API key is missing or not valid."),
    "403": ("PermissionDenied", "The caller may not do this."),
    "404": ("NotFound", "No such model, path or other thing that is named."),
    "409": ("Conflict", "What is stored, or declared in the settings, does not allow the change."),
    "413": ("PayloadTooLarge", "The body, or a line of it, is larger than this server takes."),
    "415": ("UnsupportedMediaType", "The body is not of the media type that this route takes."),
    "429": ("ResourceExhausted", "A limit is reached; `retry-after` says when to come back."),
    "500": ("Internal", "A fault of this server."),
    "502": ("BadGateway", "The provider's answer breaks its own contract, or it refused this server's credentials."),
    "503": ("Unavailable", "No provider can answer, or this server is starting or draining."),
    "504": ("DeadlineExceeded", "The deadline passed before the answer was ready."),
}
_SERVER_TIMING: Final = {
    "schema": {"type": "string"},
    "description": "Milliseconds of the call, `total;dur=12.3`; with `include_details` also of the `provider` and of "
    "`rerankd` itself.",
}
_HEADERS: Final = [
    {
        "name": "x-request-id",
        "in": "header",
        "description": "Identifies the call; one that is not 1 to 128 printable ASCII characters is replaced.",
        "schema": {"type": "string"},
    },
    {
        "name": "x-request-timeout-ms",
        "in": "header",
        "description": "Milliseconds until the caller stops waiting; zero or less has expired already.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
]


def render_openapi(schema: Schema) -> str:
    """Render the document."""
    document = {
        "openapi": "3.1.0",
        "info": {"title": "rerankd", "version": "v1", "description": schema.services[0].doc},
        "tags": [{"name": service.name, "description": service.doc} for service in schema.services],
        "servers": [
            {"url": "/rerankd", "description": "Exactly this document: unknown fields are refused."},
            {"url": "/", "description": "The same, with what clients of other rerank APIs send and expect beside it."},
        ],
        "paths": _paths(schema),
        "components": {
            "schemas": _component_schemas(schema),
            "parameters": {header["name"]: header for header in _HEADERS},
            "responses": {name: _error_response(status, text) for status, (name, text) in _ERRORS.items()},
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _paths(schema: Schema) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for service, method in schema.methods():
        for number, binding in enumerate(method.bindings, start=1):
            path = re.sub(r"=[^}]*}", "}", binding.path)
            operation_id = method.name if number == 1 else f"{method.name}_{number}"
            operation = {
                "operationId": operation_id,
                "tags": [service.name],
                **_operation(service, method, binding, schema),
            }
            paths.setdefault(path, {})[binding.http_method.lower()] = operation
    return paths


def _operation(service: Service, method: Method, binding: Binding, schema: Schema) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary_of(method.doc)[0], "description": method.doc}
    operation["parameters"] = [*_parameters(method, binding, schema), *_header_refs()]
    is_streaming = method.is_client_streaming or method.is_server_streaming
    media_type = "application/x-ndjson" if is_streaming else "application/json"
    is_change = service is not schema.services[0] and binding.http_method != "GET"
    statuses: tuple[str, ...] = (*_REQUEST_ERRORS, *(_CHANGE_ERRORS if is_change else ()))
    if binding.body:
        statuses = (*statuses, *_BODY_ERRORS)
        operation["requestBody"] = {
            "required": not binding.variables(),
            "content": {
                media_type: {
                    "schema": body_schema(method.request),
                    "examples": _examples(REQUESTS, "REQUESTS", method),
                }
            },
        }
    answer = ref(method.response)
    if binding.response_body:
        members = schema.messages[method.response].fields
        answer = next(field_schema(member, schema) for member in members if member.name == binding.response_body)
    if is_streaming:
        text = "One message a line; an error ends the stream with a line of its own."
        answer = {"anyOf": [answer, ref("Error")], "description": text}
    success: dict[str, Any] = {
        "description": schema.messages[method.response].doc,
        "headers": {"x-request-id": {"schema": {"type": "string"}, "description": "Identifies the call."}},
    }
    if method.http_status != 204:
        success["content"] = {media_type: {"schema": answer, "examples": _examples(ANSWERS, "ANSWERS", method)}}
    if method.name == "Rerank":
        success["headers"]["server-timing"] = _SERVER_TIMING
    refused = {status: {"$ref": f"#/components/responses/{_ERRORS[status][0]}"} for status in sorted(statuses)}
    operation["responses"] = {str(method.http_status): success, **refused}
    return operation


def _examples(table: Mapping[str, dict[str, Any]], name: str, method: Method) -> dict[str, Any]:
    if method.name not in table:
        raise SchemaError(f"{method.name}: add an example to {name} in scripts/generator/openapi_examples.py")
    is_streaming = method.is_client_streaming or method.is_server_streaming
    return as_sent(table[method.name], is_streaming=is_streaming)


def _header_refs() -> list[dict[str, Any]]:
    return [{"$ref": f"#/components/parameters/{header['name']}"} for header in _HEADERS]


def _parameters(method: Method, binding: Binding, schema: Schema) -> list[dict[str, Any]]:
    in_path = set(binding.variables())
    parameters = []
    for member in schema.messages[method.request].fields:
        if member.name not in in_path and binding.body:
            continue
        location = "path" if member.name in in_path else "query"
        described = field_schema(member, schema) | rules_of(method.request, member)
        described.pop("description", None)
        if member.is_optional and location == "query":
            described = or_null(described)
        parameters.append(
            {
                "name": member.name if location == "path" else member.json_name,
                "in": location,
                "required": location == "path",
                "description": member.doc,
                "schema": described,
                **({"example": PARAMETERS[member.name]} if location == "path" and member.name in PARAMETERS else {}),
            }
        )
    return parameters


def _component_schemas(schema: Schema) -> dict[str, Any]:
    names = set()
    for _, method in schema.methods():
        if method.bindings:
            for root in (method.request, method.response):
                names.add(root)
                names |= {member.type_name for member in schema.reachable(root) if member.kind == "message"}
    messages = {name: message_schema(message, schema) for name, message in schema.messages.items() if name in names}
    return {**messages, "Status": _status_schema(), "Error": error_schema(schema)}


def _status_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "How an item ended: `google.rpc.Status`.",
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "gRPC status code; 0 is OK."},
            "message": {"type": "string", "description": "What went wrong, brief."},
            "details": {
                "type": "array",
                "description": "`google.rpc` error details, each with its `@type`.",
                "items": {"type": "object"},
            },
        },
        "required": ["code", "message", "details"],
    }


def _error_response(status: str, text: str) -> dict[str, Any]:
    headers = {"x-request-id": {"schema": {"type": "string"}, "description": "Identifies the call."}}
    if status in ("429", "503"):
        whole = {"type": "integer", "minimum": 1}
        headers["retry-after"] = {"schema": whole, "description": "Seconds until a retry can succeed."}
        headers["retry-after-ms"] = {"schema": whole, "description": "The same in milliseconds."}
    return {
        "description": text,
        "headers": headers,
        "content": {"application/json": {"schema": ref("Error"), "example": refusal(status)}},
    }
