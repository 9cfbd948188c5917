"""Makes the request of a logged run again, for the same or another model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.evaluation.experiment import Side
from rerankd.evaluation.identity import hash_of
from rerankd.runs.run import Run, RunDetails, RunDocument

LOWEST_PRIORITY: Final = 999
_OF_ONE_MODEL: Final = frozenset({"fallbacks", "provider_options", "score_threshold", "normalization"})
"""Parameters that mean something else to another model."""
_NOT_REPEATED: Final = frozenset({"priority"})


class Replay(msgspec.Struct, frozen=True):
    """A run that can be replayed."""

    run_id: str
    request: RerankRequest
    """For the model that was asked for; n documents."""
    indices: Sequence[int]
    """n indices: that in the run's own request of each document, ascending; blank ones were not scored."""
    order: Sequence[int]
    """Indices in the run's own request, best first, as the run answered."""
    documents: Sequence[tuple[str, str]]
    """Hash of the text and id of each document of the run's own request; empty texts for those that are not known."""
    query_hash: str
    side: Side
    """What the run took."""

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
        ServiceError: `RUN_INCOMPLETE`: it failed, or not all of its texts were kept; says which setting keeps them.
    """
    details = run.details or RunDetails()
    if run.status != "ok":
        raise _not_replayable(run, f"it failed with {run.reason}", "")
    if problem := _missing(run, details):
        raise _not_replayable(run, problem, "runs.capture")
    kept = sorted(details.documents, key=lambda each: each.index)
    is_same = model in ("", details.requested_model)
    parameters = {
        name: value
        for name, value in details.parameters.items()
        if name not in _NOT_REPEATED and (is_same or name not in _OF_ONE_MODEL)
    }
    return Replay(
        run_id=run.run_id,
        request=_request(details, kept, parameters, model or details.requested_model),
        indices=[each.index for each in kept],
        order=[result.index for result in details.results],
        documents=documents_of(run, details),
        query_hash=query_hash_of(run, details),
        side=side_of(run),
    )


def _request(details: RunDetails, kept: Sequence[RunDocument], parameters: dict[str, Any], model: str) -> RerankRequest:
    given = {**parameters, "model": model, "query": details.query, "priority": LOWEST_PRIORITY}
    request = msgspec.convert(given, RerankRequest)
    request.documents = [_document(each) for each in kept]
    return request


def _document(kept: RunDocument) -> str | Document:
    if not kept.id and kept.fields is None and kept.prior_score is None:
        return kept.text
    text = "" if kept.fields else kept.text  # which is how the fields were written
    return Document(text=text, id=kept.id, fields=kept.fields, prior_score=kept.prior_score)


def _missing(run: Run, details: RunDetails) -> str:
    """Return what of a run's request was not kept; empty if it is complete."""
    if run.capture in ("none", "hashes"):
        return f"runs.capture was {run.capture} when it was logged, so its texts were not kept"
    if not details.query:
        return "its query was not kept"
    if details.query_hash or "instruction_hash" in details.parameters:
        return "its query or its instruction was cut"
    if len(details.documents) < details.scored_documents:
        return f"only {len(details.documents)} of its {details.scored_documents} documents were kept"
    if any(each.hash for each in details.documents):
        return "some of its documents were cut"
    if any(not each.text for each in details.documents):
        return "it has images, which are not kept"
    return ""


def _not_replayable(run: Run, problem: str, setting: str) -> ServiceError:
    advice = f"; {setting}: full keeps all texts of later runs" if setting else ""
    metadata = {"run_id": run.run_id, "setting": setting, "capture": run.capture}
    message = f"run {run.run_id} cannot be replayed: {problem}{advice}"
    return ServiceError(Reason.RUN_INCOMPLETE, message, metadata={k: v for k, v in metadata.items() if v})
