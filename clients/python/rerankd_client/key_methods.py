"""The methods of `client.keys`, blocking and asynchronous. They need an API key with the scope `admin`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar, Unpack

from rerankd_client.calls import Call
from rerankd_client.keys import (
    ApiKey,
    ExistingKey,
    KeyOptions,
    NewKey,
    create_key_call,
    get_key_call,
    import_keys_call,
    list_keys_call,
    revoke_key_call,
    rotate_key_call,
)

T = TypeVar("T")
Metadata = Mapping[str, str] | None


class Invoke(Protocol):
    """Makes a call and waits for its answer."""

    def __call__(self, call: Call[T], timeout_s: float | None, metadata: Metadata, /) -> T:
        """Return what the answer is read as; raises `RerankError`."""
        ...


class InvokeAsync(Protocol):
    """Makes a call."""

    def __call__(self, call: Call[T], timeout_s: float | None, metadata: Metadata, /) -> Awaitable[T]:
        """Return what the answer is read as; raises `RerankError`."""
        ...


class Keys:
    """Manages the server's API keys. Methods, arguments and errors are those of `AsyncKeys`.

    Args:
        invoke: Makes the calls.
    """

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke

    def create(
        self,
        name: str,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = None,
        **options: Unpack[KeyOptions],
    ) -> NewKey:
        """Make a key."""
        return self._invoke(create_key_call(name, options), timeout_s, metadata)

    def list(
        self,
        *,
        with_revoked: bool = False,
        page_size: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata = None,
    ) -> Iterator[ApiKey]:
        """Iterate over the keys."""
        token = ""
        while True:
            page = self._invoke(list_keys_call(with_revoked, page_size, token), timeout_s, metadata)
            yield from page.keys
            token = page.next_page_token
            if not token:
                return

    def get(self, key_id: str, *, timeout_s: float | None = None, metadata: Metadata = None) -> ApiKey:
        """Return one key by its id."""
        return self._invoke(get_key_call(key_id), timeout_s, metadata)

    def rotate(
        self,
        key_id: str,
        *,
        overlap_s: float | None = None,
        timeout_s: float | None = None,
        metadata: Metadata = None,
    ) -> NewKey:
        """Give a key a new secret."""
        return self._invoke(rotate_key_call(key_id, overlap_s), timeout_s, metadata)

    def revoke(self, key_id: str, *, timeout_s: float | None = None, metadata: Metadata = None) -> ApiKey:
        """Revoke a key, for good."""
        return self._invoke(revoke_key_call(key_id), timeout_s, metadata)

    def add(
        self, keys: Iterable[ExistingKey], *, timeout_s: float | None = None, metadata: Metadata = None
    ) -> tuple[ApiKey, ...]:
        """Add existing keys, all or none."""
        return self._invoke(import_keys_call(keys), timeout_s, metadata)


class AsyncKeys:
    """Manages the server's API keys, for callers whose own key has the scope `admin`.

    Every method takes `timeout_s` and `metadata`, as those of the client, and raises `RerankError`:
    `FailedPrecondition` where callers need no keys (`SERVICE_DISABLED`), or a key is one of the settings.

    Args:
        invoke: Makes the calls.
    """

    def __init__(self, invoke: InvokeAsync) -> None:
        self._invoke = invoke

    async def create(
        self,
        name: str,
        *,
        timeout_s: float | None = None,
        metadata: Metadata = None,
        **options: Unpack[KeyOptions],
    ) -> NewKey:
        """Make a key.

        Args:
            name: What people call it.
            timeout_s: Deadline of the call.
            metadata: Sent with the call.
            **options: `KeyOptions`.

        Raises:
            TypeError: There is no such option.
            ValueError: A time has no zone.
        """
        return await self._invoke(create_key_call(name, options), timeout_s, metadata)

    async def list(
        self,
        *,
        with_revoked: bool = False,
        page_size: int | None = None,
        timeout_s: float | None = None,
        metadata: Metadata = None,
    ) -> AsyncIterator[ApiKey]:
        """Iterate over the keys, those of the settings first; `timeout_s` is for each page.

        Args:
            with_revoked: Whether revoked ones are listed too.
            page_size: Keys of a page, 1 to 1000; default: the server's.
            timeout_s: Deadline of each page.
            metadata: Sent with the calls.
        """
        token = ""
        while True:
            page = await self._invoke(list_keys_call(with_revoked, page_size, token), timeout_s, metadata)
            for key in page.keys:
                yield key
            token = page.next_page_token
            if not token:
                return

    async def get(self, key_id: str, *, timeout_s: float | None = None, metadata: Metadata = None) -> ApiKey:
        """Return one key by its id; raises `NotFound`."""
        return await self._invoke(get_key_call(key_id), timeout_s, metadata)

    async def rotate(
        self,
        key_id: str,
        *,
        overlap_s: float | None = None,
        timeout_s: float | None = None,
        metadata: Metadata = None,
    ) -> NewKey:
        """Give a key a new secret; the old one is taken for `overlap_s` seconds more, by default a day."""
        return await self._invoke(rotate_key_call(key_id, overlap_s), timeout_s, metadata)

    async def revoke(self, key_id: str, *, timeout_s: float | None = None, metadata: Metadata = None) -> ApiKey:
        """Revoke a key, for good."""
        return await self._invoke(revoke_key_call(key_id), timeout_s, metadata)

    async def add(
        self, keys: Iterable[ExistingKey], *, timeout_s: float | None = None, metadata: Metadata = None
    ) -> tuple[ApiKey, ...]:
        """Add existing keys, all or none; raises `AlreadyExists`."""
        return await self._invoke(import_keys_call(keys), timeout_s, metadata)
