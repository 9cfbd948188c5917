"""`RerankerService`: stored rerankers over the transports, for callers who have been admitted."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog

from rerankd.access.model_bounds import bounds_of, may_see_run, require_run
from rerankd.contract import reranker_messages as messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.service import RerankService
from rerankd.contract.suggestions import did_you_mean
from rerankd.contract.value_types import paths_of
from rerankd.registry.listing import RerankerFilter, RerankerListing
from rerankd.registry.message_forms import difference_message, reranker_message, version_message
from rerankd.registry.reranker_registry import RerankerRegistry
from rerankd.registry.runs import RerankerRuns
from rerankd.registry.stored_reranker import FIELDS, RerankerContent, StoredReranker
from rerankd.runs.run import Run
from rerankd.runs.run_reading import RunReading

_DEFAULTS: Final = msgspec.structs.asdict(RerankerContent())
_REQUIRED: Final = ("name", "strategy", "config")
_log = structlog.get_logger("rerankd.registry")


class StoredRerankerService:
    """Manages and tries rerankers. Satisfies `RerankerService`. Task-safe.

    Args:
        changes: Makes changes.
        listing: Reads.
        rerank_service: Answers runs, as it answers every other call.
        logged: Reads logged runs.
    """

    def __init__(
        self,
        changes: RerankerRegistry,
        listing: RerankerListing,
        rerank_service: RerankService,
        logged: RunReading,
    ) -> None:
        self._logged = logged
        self._changes = changes
        self._listing = listing
        self._runs = RerankerRuns(rerank_service, changes.engine)

    async def create_reranker(
        self, request: messages.CreateRerankerRequest, call: CallContext
    ) -> messages.CreateRerankerResponse:
        """Store a reranker."""
        missing = [name for name in _REQUIRED if not getattr(request, name) and getattr(request, name) != {}]
        if missing:
            raise invalid_request([FieldViolation(name, f"{name} is required") for name in missing])
        content = RerankerContent(
            name=request.name,
            description=request.description,
            strategy=request.strategy,
            status=_status(request.status) or "active",
            config=request.config or {},
            metadata=request.metadata or {},
        )
        made = await self._changes.create(content, key=request.key, author=_author(call), bounds=bounds_of(call.caller))
        return messages.CreateRerankerResponse(reranker=_changed("created", made, call))

    async def get_reranker(
        self, request: messages.GetRerankerRequest, call: CallContext
    ) -> messages.GetRerankerResponse:
        """Return one reranker."""
        found = await self._listing.get(request.key, bounds_of(call.caller))
        _tell_etag(found, call)
        return messages.GetRerankerResponse(reranker=reranker_message(found))

    async def list_rerankers(
        self, request: messages.ListRerankersRequest, call: CallContext
    ) -> messages.ListRerankersResponse:
        """List one page of rerankers."""
        wanted = RerankerFilter(_status(request.status), request.search)
        page, token = await self._listing.page(
            wanted, bounds_of(call.caller), size=request.page_size, after=request.page_token
        )
        return messages.ListRerankersResponse(rerankers=list(map(reranker_message, page)), next_page_token=token)

    async def update_reranker(
        self, request: messages.UpdateRerankerRequest, call: CallContext
    ) -> messages.UpdateRerankerResponse:
        """Change fields of a reranker."""
        changed = await self._changes.update(
            request.key,
            _changes_of(request),
            etag=request.etag or _if_match(call),
            author=_author(call),
            bounds=bounds_of(call.caller),
        )
        return messages.UpdateRerankerResponse(reranker=_changed("changed", await self._full(changed), call))

    async def delete_reranker(
        self, request: messages.DeleteRerankerRequest, call: CallContext
    ) -> messages.DeleteRerankerResponse:
        """Delete a reranker."""
        await self._changes.delete(request.key, etag=request.etag or _if_match(call), bounds=bounds_of(call.caller))
        _log.info("reranker deleted", reranker=request.key, by=call.caller.identity)
        return messages.DeleteRerankerResponse(success=True)

    async def run_reranker(
        self, request: messages.RunRerankerRequest, call: CallContext
    ) -> messages.RunRerankerResponse:
        """Rerank with a reranker."""
        return await self._runs.run(request, msgspec.structs.replace(call, source=call.source or "playground"))

    async def list_runs(self, request: messages.ListRunsRequest, call: CallContext) -> messages.ListRunsResponse:
        """List one page of logged runs; a reranker that was deleted has some for a while."""
        bounds = bounds_of(call.caller)
        if request.key:
            bounds.require(request.key)

        def allows(run: Run) -> bool:
            return may_see_run(call.caller, run.asked, run.key_id)

        found = await self._logged.list(request, allows if bounds.is_limited else None)
        if request.key and not found.runs and not await self._logged.has_runs_of(request.key):
            await self._listing.get(request.key)
        return found

    async def get_run(self, request: messages.GetRunRequest, call: CallContext) -> messages.GetRunResponse:
        """Return one logged run."""
        answer = await self._logged.get(request)
        if (run := answer.run) is not None:
            requested = "" if run.details is None else run.details.requested_model
            require_run(call.caller, requested or run.reranker or run.model, run.key_id)
        return answer

    async def list_reranker_versions(
        self, request: messages.ListRerankerVersionsRequest, call: CallContext
    ) -> messages.ListRerankerVersionsResponse:
        """List one page of versions."""
        bounds_of(call.caller).require(request.key)
        before = _version_of_token(request.page_token)
        page, more = await self._listing.versions(request.key, size=request.page_size, before=before)
        token = "" if more is None else str(more)
        return messages.ListRerankerVersionsResponse(versions=list(map(version_message, page)), next_page_token=token)

    async def diff_reranker_versions(
        self, request: messages.DiffRerankerVersionsRequest, call: CallContext
    ) -> messages.DiffRerankerVersionsResponse:
        """Compare two versions."""
        bounds_of(call.caller).require(request.key)
        found = await self._listing.diff(request.key, request.from_version, request.to_version)
        return messages.DiffRerankerVersionsResponse(differences=list(map(difference_message, found)))

    async def rollback_reranker(
        self, request: messages.RollbackRerankerRequest, call: CallContext
    ) -> messages.RollbackRerankerResponse:
        """Go back to a version."""
        changed = await self._changes.rollback(
            request.key,
            request.version,
            etag=request.etag or _if_match(call),
            author=_author(call),
            bounds=bounds_of(call.caller),
        )
        return messages.RollbackRerankerResponse(reranker=_changed("rolled back", await self._full(changed), call))

    async def _full(self, changed: StoredReranker) -> StoredReranker:
        """Return a reranker with its totals."""
        (full,) = await self._listing.completed([changed])
        return full


def _changes_of(request: messages.UpdateRerankerRequest) -> dict[str, Any]:
    """Return new values by field: those that are set, or those of the mask."""
    given: dict[str, Any] = {name: getattr(request, name) for name in FIELDS}
    given["status"] = _status(request.status) or None
    mask = paths_of(request.update_mask)
    if unknown := [path for path in mask if path not in FIELDS]:
        hints = [did_you_mean(path, FIELDS) or f"; it takes {', '.join(FIELDS)}" for path in unknown]
        raise invalid_request(
            [
                FieldViolation("update_mask", f"update_mask: {path[:100]} cannot be changed{hint}")
                for path, hint in zip(unknown, hints, strict=True)
            ]
        )
    if not mask:
        return {name: value for name, value in given.items() if value is not None}
    return {name: _DEFAULTS[name] if given[name] is None else given[name] for name in mask}


def _status(status: messages.RerankerStatus) -> str:
    return "" if status is messages.RerankerStatus.UNSPECIFIED else status.value


def _author(call: CallContext) -> str:
    return call.caller.identity or call.caller.key_id


def _if_match(call: CallContext) -> str:
    return call.metadata.get("if-match", "").removeprefix("W/").strip('"').removeprefix("*")


def _tell_etag(reranker: StoredReranker, call: CallContext) -> None:
    if reranker.etag:
        call.response_metadata["etag"] = f'"{reranker.etag}"'


def _changed(what: str, reranker: StoredReranker, call: CallContext) -> messages.Reranker:
    """Log a change, and return the reranker as it is now."""
    _log.info(f"reranker {what}", reranker=reranker.key, version=reranker.version, by=_author(call))
    _tell_etag(reranker, call)
    return reranker_message(reranker)


def _version_of_token(token: str) -> int | None:
    if not token:
        return None
    if not token.isdecimal() or len(token) > 9:
        raise invalid_request([FieldViolation("page_token", "page_token is not that of an answer of this call")])
    return int(token)
