"""The fields of recordings, as `adapters/README.md` describes them, so that a misspelt one does not go unchecked.

The types only check a file: the loaders read its plain content.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rerankd_adapters.base import AdapterErrorKind
from rerankd_adapters.label_reading import LabelReading
from rerankd_adapters.testing.yaml_files import read_yaml

T = TypeVar("T")


class _Fields(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing but what is declared."""


class _Request(_Fields):
    path: str
    method: str = "POST"
    headers: dict[str, str | None] = {}
    body: Any = None


class _Response(_Fields):
    status: int = 200
    headers: dict[str, str] = {}
    json: Any = None
    text: str = ""


class _Step(_Fields):
    request: _Request
    response: _Response


class _Usage(_Fields):
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


class _Reply(_Usage, kw_only=True):
    indices: list[int]
    scores: list[float]
    search_units: float = 0
    warnings: list[str] = []


class _ChatReply(_Usage, kw_only=True):
    text: str
    finish_reason: str = ""
    first_token: str = ""
    label_probabilities: list[float] | None = None
    reading: LabelReading | None = None


class _ExpectedFault(_Fields):
    kind: AdapterErrorKind
    retryable: bool | None = None
    retry_after_s: float | None = None
    field: str = ""
    message: str = ""


class _DocumentedFault(_ExpectedFault, kw_only=True):
    response: _Response
    name: str = ""


class _AnyCase(_Fields):
    name: str
    call: dict[str, Any]
    request: _Request | None = None
    response: _Response | None = None
    steps: list[_Step] = []
    error: _ExpectedFault | None = None
    base_path: str = ""
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if bool(self.steps) == (self.request is not None and self.response is not None):
            raise ValueError(f"case {self.name!r} needs either request and response, or steps")


class _Case(_AnyCase):
    key: str = ""
    reply: _Reply | None = None


class _ChatCase(_AnyCase):
    calls: int = 1
    reply: _ChatReply | None = None


class _Shape(_Fields):
    results: str | None
    index: str | None
    score: str = ""
    index_is_text: bool = False


class RecordingFields(_Fields):
    """Fields of a recording of rerank calls."""

    provider: str
    shape: _Shape
    cases: list[_Case]
    errors: list[_DocumentedFault] = []
    transport: str = "http"


class ChatRecordingFields(_Fields):
    """Fields of a recording of chat calls."""

    provider: str
    cases: list[_ChatCase]
    errors: list[_DocumentedFault] = []


def read_fields(path: Path, fields: type[T]) -> Any:
    """Read a YAML file whose fields are those of `fields`.

    Returns:
        The content as it stands, without defaults.

    Raises:
        ValueError: With the file's path and the path of the field that is unknown, missing or of another type.
    """
    content = read_yaml(path)
    try:
        msgspec.convert(content, fields)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: {error}") from None
    return content
