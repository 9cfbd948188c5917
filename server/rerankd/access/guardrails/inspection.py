"""Runs the guardrails of a call over its query and documents, before anything is sent to a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import structlog
from msgspec import structs

from rerankd.access.guardrails.finders import open_finder
from rerankd.access.guardrails.finding import Finder, Finding, masked
from rerankd.access.guardrails.hook import Hook, HookFailedError
from rerankd.access.guardrails.pieces import pieces_of
from rerankd.access.guardrails.settings import AnyGuardrail, HookGuardrail
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import MAX_VIOLATIONS, FieldViolation, Reason, ServiceError
from rerankd.engine.rendering import RenderedRequest, select_documents
from rerankd.engine.time_slice import TimeSlice
from rerankd.http.transport import HttpTransport

_MAX_NAMED: Final = 5
_log = structlog.get_logger("rerankd.access")


class Guardrails:
    """All guardrails of one version of the settings. For one event loop.

    Args:
        settings: Guardrails, in the order in which they read; each reads what those before have left.
        transport: Sends the requests of hooks.

    Raises:
        ValueError: One cannot be used; the text names its number.
    """

    def __init__(self, settings: Sequence[AnyGuardrail], transport: HttpTransport) -> None:
        self._guardrails: list[tuple[AnyGuardrail, Finder | Hook]] = []
        for number, each in enumerate(settings):
            try:
                finder = Hook(each, transport) if isinstance(each, HookGuardrail) else open_finder(each)
            except ValueError as error:
                raise ValueError(f"access.guardrails[{number}]: {error}") from None
            assert finder is not None  # noqa: S101 - only hooks have none
            self._guardrails.append((each, finder))

    async def inspect(self, rendered: RenderedRequest, call: CallContext, model: str) -> RenderedRequest:
        """Return the request as it may be scored.

        The event loop is yielded every millisecond; within a long text too.

        Args:
            rendered: The request.
            call: The call.
            model: Public name of the model it asks for.

        Raises:
            ServiceError: `GUARDRAIL_BLOCKED`, naming guardrail, fields and kinds, never what was found;
                `GUARDRAIL_UNAVAILABLE` where a hook fails and calls are not to go on without it.
        """
        for settings, finder in self._guardrails:
            if not _is_for(settings, call, model):
                continue
            if isinstance(finder, Hook):
                rendered = await _asked(settings, finder, rendered, call, model)
            else:
                rendered = await _Reading(settings, finder, rendered, call).run()
        return rendered


class _Reading:
    """One guardrail that reads one request."""

    def __init__(self, settings: AnyGuardrail, finder: Finder, rendered: RenderedRequest, call: CallContext) -> None:
        self._settings = settings
        self._finder = finder
        self._rendered = rendered
        self._call = call
        self._turn = TimeSlice()
        self._kinds: Counter[str] = Counter()

    async def run(self) -> RenderedRequest:
        """Read, and do what the mode says."""
        rendered, settings = self._rendered, self._settings
        query: Sequence[Finding] = ()
        instruction: Sequence[Finding] = ()
        found: dict[int, Sequence[Finding]] = {}
        if "query" in settings.reads:
            query = await self._find(rendered.query, is_query=True)
            instruction = await self._find(rendered.request.instruction, is_query=True)
        if "documents" in settings.reads:
            for position, text in enumerate(rendered.texts):
                if findings := await self._find(text, is_query=False):
                    found[position] = findings
        if not query and not instruction and not found:
            return rendered
        fields = [name for name, some in (("query", query), ("instruction", instruction)) if some]
        fields += [f"documents[{rendered.indices[position]}]" for position in found]
        self._log_line(len(fields))
        match settings.mode:
            case "block":
                raise _blocked(settings.name, fields, self._kinds)
            case "mask":
                return self._masked(query, instruction, found)
            case "drop":
                return self._without(found)
            case "log":
                return rendered

    async def _find(self, text: str, *, is_query: bool) -> Sequence[Finding]:
        if not text:
            return ()
        found = set[Finding]()
        for start, piece in pieces_of(text) if self._finder.reads_pieces else [(0, text)]:
            findings = self._finder.find(piece, is_query=is_query)
            found.update(Finding(start + each.start, start + each.end, each.kind) for each in findings)
            if self._turn.is_over():
                await self._turn.rest()
        self._kinds.update(finding.kind or "size" for finding in found)
        return sorted(found)

    def _masked(
        self, query: Sequence[Finding], instruction: Sequence[Finding], found: dict[int, Sequence[Finding]]
    ) -> RenderedRequest:
        rendered = self._rendered
        texts = {position: masked(rendered.texts[position], findings) for position, findings in found.items()}
        request = rendered.request
        if instruction:
            request = structs.replace(request, instruction=masked(request.instruction, instruction))
        changed = _with_texts(rendered, masked(rendered.query, query), texts)
        return structs.replace(changed, request=request, warnings=[*rendered.warnings, self._warning("masked")])

    def _without(self, found: dict[int, Sequence[Finding]]) -> RenderedRequest:
        rendered = self._rendered
        kept = [index for position, index in enumerate(rendered.indices) if position not in found]
        warnings = [*rendered.warnings, self._warning("left out")]
        if not kept:
            raise _blocked(self._settings.name, [f"documents[{index}]" for index in rendered.indices], self._kinds)
        changed = select_documents(rendered, kept, rendered.request)
        return structs.replace(changed, blank_indices=rendered.blank_indices, warnings=warnings)

    def _warning(self, what: str) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._kinds.items()))
        return f"guardrail {self._settings.name}: {kinds} {what}"

    def _log_line(self, texts: int) -> None:
        """Log what was found by kind and number, never the text."""
        _log.info(
            "guardrail_found",
            guardrail=self._settings.name,
            mode=self._settings.mode,
            request_id=self._call.request_id,
            key_id=self._call.caller.key_id,
            texts=texts,
            kinds=dict(self._kinds),
        )


async def _asked(
    settings: AnyGuardrail, hook: Hook, rendered: RenderedRequest, call: CallContext, model: str
) -> RenderedRequest:
    query = rendered.query if "query" in settings.reads else ""
    texts = rendered.texts if "documents" in settings.reads else ()
    try:
        verdict = await hook.ask(query, texts, model, call)
    except HookFailedError as error:
        _log.warning("guardrail_failed", guardrail=settings.name, request_id=call.request_id, problem=str(error))
        if isinstance(settings, HookGuardrail) and settings.fail_mode == "closed":
            raise ServiceError(
                Reason.GUARDRAIL_UNAVAILABLE,
                f"guardrail {settings.name} cannot be asked at the moment; try again shortly",
                metadata={"guardrail": settings.name},
                retry_after_s=1.0,
            ) from None
        return rendered
    match verdict.action:
        case "allow":
            return rendered
        case "block":
            reason = f": {verdict.reason[:200]}" if verdict.reason else ""
            raise ServiceError(
                Reason.GUARDRAIL_BLOCKED,
                f"guardrail {settings.name} refuses the call{reason}",
                metadata={"guardrail": settings.name},
            )
        case "modify":
            query = rendered.query if verdict.query is None else verdict.query
            changed = _with_texts(rendered, query, verdict.documents)
            warning = f"guardrail {settings.name}: texts changed before they were scored"
            return structs.replace(changed, warnings=[*rendered.warnings, warning])


def _with_texts(rendered: RenderedRequest, query: str, texts: Mapping[int, str]) -> RenderedRequest:
    """Return the request with other texts by position; a changed document is sent as text, not as an object."""
    if not texts:
        return structs.replace(rendered, query=query)
    new = [texts.get(position, text) for position, text in enumerate(rendered.texts)]
    objects = rendered.objects
    if objects is not None:
        objects = [None if position in texts else each for position, each in enumerate(objects)]
    changed = {*rendered.changed_indices, *(rendered.indices[position] for position in texts)}
    return structs.replace(rendered, query=query, texts=new, objects=objects, changed_indices=changed)


def _is_for(settings: AnyGuardrail, call: CallContext, model: str) -> bool:
    is_model = any(fnmatchcase(model, each) for each in settings.models)
    caller = call.caller.key_id or call.caller.identity
    return is_model and any(fnmatchcase(caller, each) for each in settings.keys)


def _blocked(name: str, fields: Sequence[str], kinds: Counter[str]) -> ServiceError:
    more = f" and {len(fields) - _MAX_NAMED} more" if len(fields) > _MAX_NAMED else ""
    what, violated = ", ".join(sorted(kinds)), fields[:MAX_VIOLATIONS]
    return ServiceError(
        Reason.GUARDRAIL_BLOCKED,
        f"guardrail {name} refuses the call: {what} in {', '.join(fields[:_MAX_NAMED])}{more}",
        metadata={"guardrail": name, "kinds": what, "fields": ",".join(violated)},
        violations=[FieldViolation(field, f"{field} holds {what}, refused by guardrail {name}") for field in violated],
    )
