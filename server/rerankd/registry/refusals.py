"""Errors of the registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.suggestions import closest
from rerankd.registry.stored_reranker import StoredReranker

_SHOWN_CHARS: Final = 100


def not_found(key: str, known: Iterable[str]) -> ServiceError:
    """Build the error for a key that no reranker has."""
    shown = key[:_SHOWN_CHARS]
    match = closest(shown, known)
    hint = f"; did you mean {match}?" if match else ""
    message = f"reranker {shown} not found{hint}"
    metadata = {"reranker": shown} | ({"suggestion": match} if match else {})
    return ServiceError(Reason.RERANKER_NOT_FOUND, message, metadata=metadata)


def version_not_found(key: str, version: int) -> ServiceError:
    """Build the error for a version that is not kept."""
    message = f"reranker {key} has no version {version}, or it is not kept any more"
    return ServiceError(Reason.RERANKER_NOT_FOUND, message, metadata={"reranker": key, "version": str(version)})


def read_only(key: str) -> ServiceError:
    """Build the error for a change of a reranker of the settings."""
    setting = f"rerankers.{key}"
    message = f"{key} is a reranker of the server's settings; change {setting} there"
    return ServiceError(Reason.DECLARED_IN_SETTINGS, message, metadata={"reranker": key, "setting": setting})


def already_exists(key: str) -> ServiceError:
    """Build the error for a key in use."""
    message = f"a reranker, model or alias {key} exists already; choose another key"
    return ServiceError(
        Reason.ALREADY_EXISTS, message, metadata={"reranker": key}, violations=[FieldViolation("key", message)]
    )


def too_many(most: int) -> ServiceError:
    """Build the error for one reranker more than the settings allow."""
    rule = f"there are {most} stored rerankers, as many as registry.max_rerankers allows; delete some"
    return invalid_request([FieldViolation("key", rule)])


def check_etag(reranker: StoredReranker, etag: str) -> None:
    """Check that a reranker is still as its changer has seen it.

    Args:
        reranker: As it is now.
        etag: Of the state that was seen; empty: any.

    Raises:
        ServiceError: `RERANKER_CONFLICT`, naming the current etag.
    """
    if etag and etag != reranker.etag:
        message = (
            f"reranker {reranker.key} was changed since it was read: its etag is {reranker.etag}; read it again, and"
            " change what it is now"
        )
        raise ServiceError(
            Reason.RERANKER_CONFLICT, message, metadata={"reranker": reranker.key, "etag": reranker.etag}
        )
