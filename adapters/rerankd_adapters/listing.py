"""Dialects whose server says which models it serves, and what they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rerankd_adapters.capability import Capabilities
from rerankd_adapters.dialect import JsonDialect
from rerankd_adapters.error import AdapterError
from rerankd_adapters.failure import clean, error_text, kind_of_status
from rerankd_adapters.http import Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.wire import Path, at, bad_response, get_json, read_json

MAX_MODELS: Final = 1000
_MAX_NAME_CHARS: Final = 200
_MAX_LIMIT: Final = 2**31


class ListingDialect(JsonDialect):
    """Asks the provider's `list_route`, which answers with a list of objects."""

    listing: Path = ("data",)
    """Where the list is."""
    name_key: str = "id"
    """Where each entry has the name that calls use."""

    def capabilities_request(self, endpoint: Endpoint) -> HttpRequest | None:
        """Build the request for the list."""
        path = self.provider.list_route.removeprefix("GET ")
        return get_json(endpoint, self.wire.path, path, self.headers())

    def parse_capabilities(self, response: HttpResponse) -> Mapping[str, Capabilities]:
        """Read the list, entries that are no rerankers left out."""
        found = {}
        for name, entry in listed_models(read_listing(response), self.listing, self.name_key):
            facts = self.capabilities_of_entry(name, entry)
            if facts is not None:
                found[name] = facts
        return found

    def capabilities_of_entry(self, model: str, entry: Mapping[str, Any]) -> Capabilities | None:  # noqa: ARG002
        """Return what an entry states of its model; `None` when that cannot rerank."""
        return self.reported_capabilities()

    def reported_capabilities(self, **facts: Any) -> Capabilities:
        """Return facts that the server stated."""
        return Capabilities(**facts, source=f"the server itself, {self.provider.list_route}")


def read_listing(response: HttpResponse) -> Any:
    """Decode what a server answers when it is asked what it serves.

    Raises:
        AdapterError: What it did instead.
    """
    if response.status != 200:
        said = clean(error_text(response))
        message = f"HTTP {response.status}: {said}" if said else f"HTTP {response.status}"
        raise AdapterError(kind_of_status(response.status), message, status=response.status)
    return read_json(response)


def listed_models(body: Any, path: Path, name_key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and entry of each model of a list, at most `MAX_MODELS`; entries without a name are left out.

    Raises:
        AdapterError: `BAD_RESPONSE` when there is no list.
    """
    entries = at(body, path)
    if not isinstance(entries, list):
        raise bad_response("there is no list of models")
    for entry in entries[:MAX_MODELS]:
        name = at(entry, (name_key,))
        if is_name(name):
            yield name, entry


def is_name(value: Any) -> bool:
    """Whether `value` may be the name of a model."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME_CHARS and value.isprintable()


def read_limit(body: Any, *path: str) -> int | None:
    """Return the whole number > 0 at `path`, or `None` where there is none: a limit that is nonsense is no limit."""
    value = at(body, path)
    return value if type(value) is int and 0 < value < _MAX_LIMIT else None
