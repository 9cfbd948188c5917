"""JSON schemas of messages, fields and errors for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from scripts.generator.contract import accepts_plain_text
from scripts.generator.schema import Field, Message, Schema

_SCALAR_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "uint32": {"type": "integer", "format": "int32", "minimum": 0},
    "double": {"type": "number", "format": "double"},
    "float": {"type": "number", "format": "float"},
    "struct": {"type": "object"},
    "timestamp": {"type": "string", "format": "date-time"},
    "field_mask": {"type": "string"},
}
_RULES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "RerankRequest": {
        "top_n": {"minimum": 1},
        "max_chunks_per_doc": {"minimum": 1},
        "max_tokens_per_doc": {"minimum": 1},
        "priority": {"minimum": 0, "maximum": 999},
    },
    "ListModelsRequest": {"page_size": {"minimum": 1, "maximum": 1000}},
    "BatchOptions": {"max_concurrency": {"minimum": 1}},
    "ListKeysRequest": {"page_size": {"minimum": 1, "maximum": 1000}},
    "ListSpendRequest": {"page_size": {"minimum": 1, "maximum": 10000}},
    "CreateKeyRequest": {"name": {"maxLength": 200}},
    "ListRerankersRequest": {"page_size": {"minimum": 1, "maximum": 200}},
    "ListRerankerVersionsRequest": {"page_size": {"minimum": 1, "maximum": 200}},
    "CreateRerankerRequest": {"name": {"maxLength": 200}, "description": {"maxLength": 2000}},
    "UpdateRerankerRequest": {"name": {"maxLength": 200}, "description": {"maxLength": 2000}},
    "RunRerankerRequest": {"top_n": {"minimum": 1}},
    "ListRunsRequest": {"page_size": {"minimum": 1, "maximum": 500}},
    "RotateKeyRequest": {"overlap_s": {"minimum": 0, "maximum": 31_536_000}},
}
"""Ranges that the fields' comments state, by message and field."""
_REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "RerankRequest": {
        "required": ["query", "documents"],
        "properties": {"query": {"minLength": 1, "pattern": "\\S"}, "documents": {"minItems": 1}},
    },
    "CreateKeyRequest": {"required": ["name"], "properties": {"name": {"minLength": 1, "pattern": "\\S"}}},
    "CreateRerankerRequest": {
        "required": ["name", "strategy", "config"],
        "properties": {"name": {"minLength": 1, "pattern": "\\S"}},
    },
    "RunRerankerRequest": {
        "required": ["query", "documents"],
        "properties": {"query": {"minLength": 1, "pattern": "\\S"}, "documents": {"minItems": 1}},
    },
    "RollbackRerankerRequest": {"required": ["version"]},
    "ImportKeysRequest": {"required": ["keys"], "properties": {"keys": {"minItems": 1, "maxItems": 1000}}},
}
"""What a body must hold; the same message within another one may leave it to that one's defaults."""


def ref(name: str) -> dict[str, Any]:
    """Point at a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def body_schema(name: str) -> dict[str, Any]:
    """Describe a request's body."""
    return {"allOf": [ref(name), _REQUIRED[name]]} if name in _REQUIRED else ref(name)


def rules_of(message: str, member: Field) -> dict[str, Any]:
    """Return the range of a field's numbers."""
    return _RULES.get(message, {}).get(member.name, {})


def message_schema(message: Message, schema: Schema) -> dict[str, Any]:
    """Describe one message; what a response always prints is required there."""
    properties = {}
    for member in message.fields:
        described = field_schema(member, schema) | rules_of(message.name, member)
        if member.is_null_printed or (message.is_in_requests and member.is_optional):
            described = or_null(described)
        properties[member.json_name] = described
    result: dict[str, Any] = {
        "type": "object",
        "description": message.doc,
        "properties": properties,
        "additionalProperties": False,
    }
    always = [member.json_name for member in message.fields if member.is_null_printed or not member.is_optional]
    if always and not message.is_in_requests:
        result["required"] = always
    for members in message.oneofs().values():
        result["oneOf"] = [{"required": [member.json_name]} for member in members]
    return result


def field_schema(member: Field, schema: Schema) -> dict[str, Any]:
    """Describe one field, without regard to null."""
    description = {"description": member.doc} if member.doc else {}
    if member.kind in ("message", "status"):
        base = ref(member.type_name or "Status")
        if accepts_plain_text(member, schema):
            base = {"oneOf": [{"type": "string"}, base]}
    elif member.kind == "enum":
        base = _enum_schema(member, schema)
        if not member.is_repeated:
            return {**base, "description": f"{member.doc} {base['description']}".strip()}
    elif member.kind == "map":
        return {"type": "object", "additionalProperties": _SCALAR_SCHEMAS[member.type_name], **description}
    else:
        base = dict(_SCALAR_SCHEMAS[member.kind])
    if member.is_repeated:
        base = {"type": "array", "items": base}
    return {**base, **description}


def _enum_schema(member: Field, schema: Schema) -> dict[str, Any]:
    enum = schema.enums[member.type_name]
    values = "\n".join(f"- `{value.json_name}`: {value.doc}" for value in enum.values)
    return {
        "type": "string",
        "enum": [value.json_name for value in enum.values],
        "description": f"{enum.doc}\n\n{values}",
    }


def or_null(described: dict[str, Any]) -> dict[str, Any]:
    """Let null stand for unset."""
    if isinstance(described.get("type"), str):
        nullable = {**described, "type": [described["type"], "null"]}
        if "enum" in described:
            nullable["enum"] = [*described["enum"], None]
        return nullable
    description = {"description": described["description"]} if "description" in described else {}
    bare = {name: value for name, value in described.items() if name != "description"}
    return {"anyOf": [bare, {"type": "null"}], **description}


def error_schema(schema: Schema) -> dict[str, Any]:
    """Describe the body of every refused call."""
    reasons = schema.enums["ErrorReason"].values[1:]
    listed = "\n".join(f"- `{reason.suffix}`: {reason.doc}" for reason in reasons)
    reason = {"type": "string", "enum": [reason.suffix for reason in reasons]}
    text = {"type": "string", "description": "What went wrong, brief; for people."}
    inner = {
        "message": text,
        "type": {"type": "string", "description": 'gRPC code in lower case, such as "invalid_argument".'},
        "code": {**reason, "description": "Same as `reason`."},
        "param": {"type": ["string", "null"], "description": "First offending field."},
    }
    violation = {
        "field": {"type": "string", "description": "Path of the field, such as `documents[3].text`."},
        "description": {"type": "string", "description": "The rule it breaks."},
    }
    properties = {
        "id": {"type": "string", "description": "The request id; also in `x-request-id` and in the logs."},
        "message": text,
        "detail": {"type": "string", "description": "Same as `message`."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "reason": {**reason, "description": f"Why the call failed.\n\n{listed}"},
        "error": _object(inner),
        "fields": {
            "type": "array",
            "description": "Every offending field; absent when no field is to blame.",
            "items": _object(violation),
        },
    }
    body = _object(properties)
    body["required"] = [name for name in properties if name != "fields"]
    return {**body, "description": "Why a call failed."}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
