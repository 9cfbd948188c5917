"""Finders of words, sizes and orders to a model, and how a guardrail's finder is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Final

from rerankd.access.guardrails.finding import Finder, Finding
from rerankd.access.guardrails.patterns import PatternFinder
from rerankd.access.guardrails.settings import (
    AnyGuardrail,
    HookGuardrail,
    InjectionGuardrail,
    PatternGuardrail,
    PluginGuardrail,
    SizeGuardrail,
    WordGuardrail,
)

ENTRY_POINT_GROUP: Final = "rerankd.guardrails"

_INJECTION: Final = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|above|prior|earlier|all|other|system)\b.{0,30}"
    r"\b(?:instructions?|prompts?|rules?|documents?|passages?|text)\b"
    r"|\b(?:rank|place|put|score|rate|list|mark)\b.{0,30}\b(?:this|me|document|passage)\b.{0,40}"
    r"\b(?:first|top|highest|most relevant|number one|maximum|10/10)\b"
    r"|\b(?:this|the present) (?:document|passage|text) is (?:the )?(?:most|only|highly|perfectly) relevant\b"
    r"|\byou (?:are|must|will) now\b|\bnew (?:system )?instructions?\s*:"
    r"|ignor(?:iere|ez|a|e) .{0,40}(?:anweisungen|instructions|instrucciones|istruzioni|instru\u00e7\u00f5es)"
    r"|\u0438\u0433\u043d\u043e\u0440\u0438\u0440\u0443\u0439 .{0,40}"
    r"\u0438\u043d\u0441\u0442\u0440\u0443\u043a\u0446\u0438"
    r"|\u5ffd\u7565.{0,12}(?:\u6307\u4ee4|\u6307\u793a|\u8bf4\u660e)"
    r"|<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|assistant)>",
    re.IGNORECASE | re.DOTALL,
)
"""Usual wordings in eight languages, and the role markers of chat templates."""


class _Pattern:
    """Finds the matches of a regular expression. Satisfies `Finder`."""

    reads_pieces = True

    def __init__(self, kind: str, pattern: re.Pattern[str]) -> None:
        self._kind = kind
        self._pattern = pattern

    def find(self, text: str, *, is_query: bool) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's
        """See `Finder`."""
        return [
            Finding(match.start(), match.end(), self._kind)
            for match in self._pattern.finditer(text)
            if match.end() > match.start()
        ]


class _Sizes:
    """Finds the part of a text beyond its most characters. Satisfies `Finder`."""

    reads_pieces = False

    def __init__(self, settings: SizeGuardrail) -> None:
        self._settings = settings

    def find(self, text: str, *, is_query: bool) -> Sequence[Finding]:
        """See `Finder`."""
        most = self._settings.max_query_chars if is_query else self._settings.max_document_chars
        return [] if most is None or len(text) <= most else [Finding(most, len(text), "")]


def open_finder(settings: AnyGuardrail) -> Finder | None:
    """Make the finder of a guardrail; `None` for one that asks a service.

    Raises:
        ValueError: It cannot be made; the text says why.
    """
    match settings:
        case PatternGuardrail():
            try:
                return PatternFinder(settings)
            except ModuleNotFoundError as error:
                raise ValueError(f"it needs {error.name}; install rerankd[guardrails]") from None
        case WordGuardrail():
            words = [rf"(?<!\w){re.escape(word.strip())}(?!\w)" for word in settings.deny]
            patterns = [*words, *(f"(?:{each})" for each in settings.deny_patterns)]
            return _Pattern("denied", re.compile("|".join(patterns), re.IGNORECASE))
        case SizeGuardrail():
            return _Sizes(settings)
        case InjectionGuardrail():
            return _Pattern("instruction", _INJECTION)
        case PluginGuardrail():
            return _open_plugin(settings)
        case HookGuardrail():
            return None


def _open_plugin(settings: PluginGuardrail) -> Finder:
    found = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if settings.plugin not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ValueError(f"no installed package has the plugin {settings.plugin} ({ENTRY_POINT_GROUP} has {known})")
    make: Callable[[dict[str, object]], Finder] = found[settings.plugin].load()
    try:
        return make(settings.options)
    except Exception as error:
        raise ValueError(f"plugin {settings.plugin} failed: {type(error).__name__}: {error}") from error
