"""Feedback on a logged run: which query and document it is about."""

from __future__ import annotations

from rerankd.contract import evaluation_messages as messages
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.evaluation.judgements.judgement import MAX_GRADE, MAX_ID_CHARS, Subject
from rerankd.evaluation.replay import documents_of, query_hash_of
from rerankd.runs.run import Run, RunDetails


def check_feedback(request: messages.SendFeedbackRequest) -> None:
    """Check what needs no run.

    Raises:
        ServiceError: `INVALID_REQUEST` with every field that cannot be used.
    """
    found = []
    if not request.run_id:
        found.append(FieldViolation("run_id", "run_id is required"))
    if bool(request.document_id) == (request.index is not None):
        found.append(FieldViolation("document_id", "document_id or index is needed, and not both"))
    if request.clicked == (request.grade is not None):
        found.append(FieldViolation("grade", "grade or clicked is needed, and not both"))
    if request.grade is not None and not 0 <= request.grade <= MAX_GRADE:
        found.append(FieldViolation("grade", f"grade must be 0 to {MAX_GRADE}, was {request.grade}"))
    if found:
        raise invalid_request(found)


def subject_of(run: Run, request: messages.SendFeedbackRequest) -> Subject:
    """Return what feedback is about.

    Args:
        run: With its details.
        request: Checked by `check_feedback`.

    Raises:
        ServiceError: `INVALID_REQUEST` if the run has no such document, `RUN_INCOMPLETE` if the log did not keep enough
            of the run to know its texts again.
    """
    details = run.details or RunDetails()
    documents = documents_of(run, details)
    index = request.index
    if index is None:
        index = next((at for at, (_, name) in enumerate(documents) if name == request.document_id), None)
        if index is None and not details.documents:
            raise _incomplete(run)
        if index is None:
            raise _unknown("document_id", f"run {run.run_id} has no document with this id")
    if not 0 <= index < len(documents):
        raise _unknown("index", f"index must be 0 to {len(documents) - 1} for run {run.run_id}, was {index}")
    content, name = documents[index]
    if len(name) > MAX_ID_CHARS or "\0" in name:
        name = ""
    query_hash = query_hash_of(run, details)
    if not query_hash or not (content or name):
        raise _incomplete(run)
    is_whole = run.capture != "hashes" and not details.query_hash
    return Subject(query_hash, content, name, details.query if is_whole else "")


def _unknown(field: str, problem: str) -> ServiceError:
    return invalid_request([FieldViolation(field, problem)])


def _incomplete(run: Run) -> ServiceError:
    message = (
        f"run {run.run_id} cannot be judged: its texts were not kept, since runs.capture was {run.capture}; "
        "runs.capture: hashes or more lets later runs be judged"
    )
    metadata = {"run_id": run.run_id, "setting": "runs.capture", "capture": run.capture}
    return ServiceError(Reason.RUN_INCOMPLETE, message, metadata=metadata)
