"""Bounds the bytes of all requests that are being read or answered."""

from __future__ import annotations

from typing import Final, Self

from rerankd.contract.errors import Reason, ServiceError

FREE_BYTES: Final = 64 * 1024
"""Bytes of each body that the budget does not count."""
_RETRY_AFTER_S: Final = 1.0


class ByteBudget:
    """Counts the bytes of the bodies that are being read or answered. For one event loop.

    The first 64 KiB of a body are free, so that those who hold the budget cannot keep small calls out.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.in_use = 0
        """Bytes that are counted now."""

    def hold(self) -> HeldBytes:
        """Begin to count a body; leaving the context releases its bytes."""
        return HeldBytes(self)


class HeldBytes:
    """The bytes that one body takes of a budget; a context manager that releases them."""

    __slots__ = ("_budget", "_counted")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._counted = 0

    def grow(self, size: int) -> None:
        """Count a body of which `size` bytes have come so far.

        Raises:
            ServiceError: `OVERLOADED` when the budget has no room for them.
        """
        wanted = size - FREE_BYTES - self._counted
        if wanted <= 0:
            return
        budget = self._budget
        if budget.in_use + wanted > budget.max_bytes:
            raise ServiceError(
                Reason.OVERLOADED,
                f"{budget.in_use} bytes of requests are in flight and this server holds {budget.max_bytes}; "
                "try again shortly, or send fewer documents at once",
                metadata={"limit": "max_bytes_in_flight", "max_bytes_in_flight": str(budget.max_bytes)},
                retry_after_s=_RETRY_AFTER_S,
            )
        budget.in_use += wanted
        self._counted += wanted

    def clear(self) -> None:
        """Release the bytes, to count the next body."""
        self._budget.in_use -= self._counted
        self._counted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
