"""What callers of a service are told where the store cannot be used. Cheap to import: no database library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rerankd.contract.errors import Reason, ServiceError
from rerankd.store.errors import StoreError

_RETRY_AFTER_S: Final = 2.0


@contextmanager
def store_faults() -> Iterator[None]:
    """Turn a `StoreError` of the body into a `ServiceError`: `STORE_UNAVAILABLE`, with when to come back."""
    try:
        yield
    except StoreError as error:
        raise ServiceError(Reason.STORE_UNAVAILABLE, str(error), retry_after_s=_RETRY_AFTER_S) from error
