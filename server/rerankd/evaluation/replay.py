"""Makes the request of a logged run again, for the same or another model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.evaluation.experiment import Side
from rerankd.runs.run import Run, RunDetails, RunDocument
from rerankd.runs.text_hash import hash_of

_OF_ONE_MODEL: Final = frozenset({"fallbacks", "provider_options", "score_threshold", "normalization"})
"""Parameters that mean something else to another model."""


class Replay(msgspec.Struct, frozen=True):
    """A run that can be replayed."""

    run_id: str
    request: RerankRequest
    """For the model that was asked for; n documents. It names no `user`."""
    indices: Sequence[int]
    """n indices: that in the run's own request of each document, ascending."""
    has_blank: bool
    """Whether some of the documents are blank; they were ranked last."""
    order: Sequence[int]
    """Indices in the run's own request, best first, as the run answered."""
    documents: Sequence[tuple[str, str]]
    """Hash of the text and id of each document of the run's own request; empty texts for those that are not known."""
    query_hash: str
    side: Side
    """What the run took."""

    def context_of(self, call: CallContext, experiment_id: str = "") -> CallContext:
        """Return the context of the replay as a call of the same caller."""
        return replace(
            call,
            source="replay",
            replay_of=self.run_id,
            experiment_id=experiment_id,
            ranks_blank_last=call.ranks_blank_last or self.has_blank,
        )

    def order_of(self, positions: Sequence[int]) -> list[int]:
        """Return the indices in the run's own request of documents of `request`."""
        return [self.indices[position] for position in positions]


def side_of(run: Run) -> Side:
    """Return what a run took."""
    return Side(run.reranker or run.model, run.latency_ms, run.cost_usd, run.cache_hits)


def side_of_response(response: RerankResponse) -> Side:
    """Return what a call took."""
    usage, extra = response.usage, response.extra_fields
    return Side(
        response.model,
        0.0 if extra is None else extra.latency,
        None if usage is None else usage.cost,
        0 if usage is None else usage.cached_documents,
    )


def query_hash_of(run: Run, details: RunDetails) -> str:
    """Return the hash of a run's query; empty where nothing of it was kept."""
    if details.query_hash or not details.query:
        return details.query_hash
    return details.query if run.capture == "hashes" else hash_of(details.query)


def documents_of(run: Run, details: RunDetails) -> list[tuple[str, str]]:
    """Return hash of the text and id of each document of a run's request, empty where they were not kept."""
    found = [("", "")] * run.document_count
    for each in details.documents:
        if each.index < len(found):
            found[each.index] = (each.hash or (hash_of(each.text) if each.text else ""), each.id)
    return found


def replay_of(run: Run, model: str) -> Replay:
    """Make the request of a run again.

    Args:
        run: With its details.
        model: Model or reranker to send it to; empty: the one that the run asked for, with all of its parameters.

    Raises:
        ServiceError: `RUN_INCOMPLETE`: it failed, or not all of the request was kept; says which setting keeps it.
    """
    details = run.details or RunDetails()
    if run.status != "ok":
        raise _not_replayable(run, _Gap(f"it failed with {run.reason}", ""))
    if (gap := _gap(run, details)) is not None:
        raise _not_replayable(run, gap)
    kept = sorted([*details.documents, *details.blank_documents], key=lambda each: each.index)
    is_same = model in ("", details.requested_model)
    parameters = {name: value for name, value in details.parameters.items() if is_same or name not in _OF_ONE_MODEL}
    return Replay(
        run_id=run.run_id,
        request=_request(details, kept, parameters, model or details.requested_model),
        indices=[each.index for each in kept],
        has_blank=bool(details.blank_documents),
        order=[result.index for result in details.results],
        documents=documents_of(run, details),
        query_hash=query_hash_of(run, details),
        side=side_of(run),
    )


def _request(details: RunDetails, kept: Sequence[RunDocument], parameters: dict[str, Any], model: str) -> RerankRequest:
    given = {**parameters, "model": model, "query": details.query, "query_image": details.query_image}
    request = msgspec.convert(given, RerankRequest)
    request.documents = [_document(each) for each in kept]
    return request


def _document(kept: RunDocument) -> str | Document:
    document = Document(
        text=kept.text if kept.own_text is None else kept.own_text,
        id=kept.id,
        fields=kept.fields,
        prior_score=kept.prior_score,
        metadata=kept.metadata,
        image=kept.image,
    )
    return document.text if document == Document(text=document.text) else document


class _Gap(NamedTuple):
    """Why a run cannot be replayed."""

    problem: str
    setting: str
    """What to change so that later runs can be; may be empty."""


_LEFT_OUT: Final[dict[str, str]] = {
    "texts": "it takes more than {setting}, so its texts were cut",
    "images": "its images were not kept, because of {setting}",
    "fields": "fields and metadata of its documents were not kept, because of {setting}",
}
_ADVICE: Final = {
    "runs.capture": "runs.capture: full keeps later requests whole",
    "runs.max_run_kb": "a larger runs.max_run_kb keeps later requests whole",
    "access.guardrails": "of documents that guardrails change, only the text that they leave is kept",
}


def _gap(run: Run, details: RunDetails) -> _Gap | None:
    """Return what of a run's request was not kept; `None` if it is complete."""
    if run.capture in ("none", "hashes"):
        problem = f"runs.capture was {run.capture} when it was logged, so its texts were not kept"
        return _Gap(problem, "runs.capture")
    for what, setting in details.left_out.items():
        return _Gap(_LEFT_OUT[what].format(setting=setting), setting)
    problem = ""
    if not details.query and not details.query_image:
        problem = "its query was not kept"
    elif details.query_hash or "instruction_hash" in details.parameters:
        problem = "its query or its instruction was cut"
    elif len(details.documents) < details.scored_documents:
        problem = f"only {len(details.documents)} of its {details.scored_documents} documents were kept"
    elif any(each.hash for each in details.documents):
        problem = "some of its documents were cut"
    return _Gap(problem, "runs.capture") if problem else None


def _not_replayable(run: Run, gap: _Gap) -> ServiceError:
    advice = f"; {_ADVICE[gap.setting]}" if gap.setting else ""
    metadata = {"run_id": run.run_id, "setting": gap.setting, "capture": run.capture}
    message = f"run {run.run_id} cannot be replayed: {gap.problem}{advice}"
    return ServiceError(Reason.RUN_INCOMPLETE, message, metadata={k: v for k, v in metadata.items() if v})
