"""Settings of guardrails."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

PatternKind = Literal["email", "phone", "card", "iban", "ip_address", "secret"]


class _Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    name: str
    """Name in errors, warnings and log lines; unique."""
    mode: Literal["block", "mask", "drop", "log"] = "block"
    """What happens to what is found: `block` refuses the call, `mask` replaces it before anything is sent to a model,
    `drop` leaves the document out of the answer, `log` writes a log line only."""
    reads: tuple[Literal["query", "documents"], ...] = ("query", "documents")
    """What is looked at; the instruction counts as query."""
    models: tuple[str, ...] = ("*",)
    """Models and rerankers whose calls it is for; `*` matches any text."""
    keys: tuple[str, ...] = ("*",)
    """Ids of the API keys whose calls it is for, or identities of callers without one; `*` matches any text."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not self.name or len(self.name) > 64:
            yield f"{path}.name must have 1 to 64 characters, is {self.name!r}"
        if not self.reads:
            yield f"{path}.reads must name query, documents or both"
        if self.mode == "drop" and "query" in self.reads:
            yield f"{path}.mode drop is for documents only; set {path}.reads: [documents]"


class PatternGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="patterns"):
    """Finds personal data and secrets by patterns, with their checksums where they have one."""

    kinds: tuple[PatternKind, ...] = ("email", "phone", "card", "iban", "secret")
    """What is looked for."""
    phone_region: str = ""
    """Country, as `US`, of telephone numbers without country code; default: only those with a plus are found."""
    national_ids: tuple[str, ...] = ()
    """Kinds of national ids by their names in python-stdnum, such as `us.ssn`, `de.idnr`, `fr.nir`, `es.dni`."""
    allow: tuple[str, ...] = ()
    """What is no finding, such as `*@example.com`; `*` matches any text."""

    def problems(self, path: str) -> Iterator[str]:
        """See `_Common`."""
        yield from super().problems(path)
        if not self.kinds and not self.national_ids:
            yield f"{path} looks for nothing: set kinds or national_ids"
        for number, name in enumerate(self.national_ids):
            if not re.fullmatch(r"[a-z]{2}_?\.[a-z0-9_]+", name):
                yield f"{path}.national_ids[{number}] must be like us.ssn, is {name!r}"


class WordGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="words"):
    """Finds words and phrases of a list."""

    deny: tuple[str, ...] = ()
    """Words and phrases, in any case; as whole words."""
    deny_patterns: tuple[str, ...] = ()
    """Regular expressions, in any case."""

    def problems(self, path: str) -> Iterator[str]:
        """See `_Common`."""
        yield from super().problems(path)
        if not self.deny and not self.deny_patterns:
            yield f"{path} looks for nothing: set deny or deny_patterns"
        for number, word in enumerate(self.deny):
            if not word.strip():
                yield f"{path}.deny[{number}] is blank"
        for number, pattern in enumerate(self.deny_patterns):
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"{path}.deny_patterns[{number}] is not a regular expression: {error}"


class SizeGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sizes"):
    """Finds texts that are too long; `mask` cuts them."""

    max_query_chars: int | None = None
    """Characters of the query."""
    max_document_chars: int | None = None
    """Characters of one document."""

    def problems(self, path: str) -> Iterator[str]:
        """See `_Common`."""
        yield from super().problems(path)
        sizes = {"max_query_chars": self.max_query_chars, "max_document_chars": self.max_document_chars}
        if all(value is None for value in sizes.values()):
            yield f"{path} limits nothing: set max_query_chars or max_document_chars"
        for name, value in sizes.items():
            if value is not None and value < 1:
                yield f"{path}.{name} must be at least 1, is {value}"


class InjectionGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="injection"):
    """Finds texts that give orders to a language model, by their usual wording; meant for LLM strategies.

    It finds crude attempts and overlooks subtle ones: the strategies' own defences do not depend on it.
    """


class HookGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="http"):
    """Asks a service of the operator's own: one request for each call, with query and documents.

    It is sent `{"request_id", "model", "caller", "query", "documents"}` and answers `{"action": "allow"}`,
    `{"action": "block", "reason"}` or `{"action": "modify", "query", "documents": {"3": "new text"}}`. `mode` is not
    used.
    """

    url: str
    """http or https address."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Sent with every request; `${NAME}` is replaced by an environment variable."""
    timeout_ms: float = 1000.0
    """Longest wait."""
    fail_mode: Literal["open", "closed"] = "closed"
    """What happens where it fails: `open` goes on without it, `closed` refuses the call with 503."""

    def problems(self, path: str) -> Iterator[str]:
        """See `_Common`."""
        yield from super().problems(path)
        if urlsplit(self.url).scheme not in ("http", "https"):
            yield f"{path}.url must be an http or https address, is {self.url!r}"
        if not 0 < self.timeout_ms < math.inf:
            yield f"{path}.timeout_ms must be above 0, is {self.timeout_ms:g}"


class PluginGuardrail(_Common, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="plugin"):
    """Finds what a plugin of the entry-point group `rerankd.guardrails` finds."""

    plugin: str
    """Name of the entry point, a function that takes `options` and returns a `Finder`."""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """For the plugin."""


AnyGuardrail = PatternGuardrail | WordGuardrail | SizeGuardrail | InjectionGuardrail | HookGuardrail | PluginGuardrail
"""Settings of one guardrail."""
