"""A value that is computed by the first worker that needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """Computes a value at the first `get`. Safe to use from any thread: concurrent callers wait for one computation.

    An exception is not kept: it is raised to the caller, and the next `get` computes again.

    Args:
        make: Computes the value.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._values: list[T] = []

    def get(self) -> T:
        """Return the value; raises what `make` raises."""
        if not self._values:
            with self._lock:
                if not self._values:
                    self._values.append(self._make())
        return self._values[0]
