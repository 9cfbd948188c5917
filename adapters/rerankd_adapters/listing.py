"""Base adapter for servers that list their models and report capabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from rerankd_adapters.capability import UNKNOWN, Capabilities
from rerankd_adapters.dialect import JsonDialect
from rerankd_adapters.error import AdapterError
from rerankd_adapters.failure import clean, error_text, kind_of_status, words_of
from rerankd_adapters.http import Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.wire import Path, at, bad_response, get_json, read_json

MAX_MODELS: Final = 1000
_MAX_NAME_CHARS: Final = 200
_MAX_LIMIT: Final = 2**31


class ListingDialect(JsonDialect):
    """Reads capabilities from the provider's `list_route`, which returns a list of objects."""

    listing: Path = ("data",)
    """Path of the list in the response."""
    name_key: str = "id"
    """Key of the model name in an entry."""

    def capabilities_request(self, endpoint: Endpoint) -> HttpRequest | None:
        """Build the request for the model list."""
        path = self.provider.list_route.removeprefix("GET ")
        return get_json(endpoint, self.wire.path, path, self.headers())

    def parse_capabilities(self, response: HttpResponse) -> Mapping[str, Capabilities]:
        """Parse the model list; entries that are not rerankers are skipped."""
        found = {}
        for name, entry in listed_models(read_listing(response), self.listing, self.name_key):
            facts = self.capabilities_of_entry(name, entry)
            if facts is not None:
                found[name] = facts
        return found

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return the capabilities that an entry reports; `None` if the model is not a reranker."""
        return self.reported_capabilities()

    def reported_capabilities(self, facts: Capabilities = UNKNOWN) -> Capabilities:
        """Build capabilities with the list route as their source."""
        return replace(facts, source=f"the server itself, {self.provider.list_route}")


def read_listing(response: HttpResponse) -> object:
    """Decode the response of a list route.

    Raises:
        AdapterError: The response is an error or not JSON.
    """
    if response.status != 200:
        said = clean(error_text(response))
        message = f"HTTP {response.status}: {said}" if said else f"HTTP {response.status}"
        raise AdapterError(kind_of_status(response.status), message, status=response.status)
    return read_json(response)


def listed_models(body: object, path: Path, name_key: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield name and entry of each listed model, at most `MAX_MODELS`; entries without a valid name are skipped.

    Raises:
        AdapterError: `BAD_RESPONSE` when there is no list at `path`.
    """
    entries = at(body, path)
    if not isinstance(entries, list):
        said = clean(words_of(body))
        raise bad_response(f"there is no list of models: {said}" if said else "there is no list of models")
    for entry in entries[:MAX_MODELS]:
        name = at(entry, (name_key,))
        if is_name(name):
            yield name, entry


def is_name(value: object) -> bool:
    """Whether `value` is a valid model name: a printable string of 1 to 200 characters."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME_CHARS and value.isprintable()


def read_limit(body: object, *path: str) -> int | None:
    """Return the integer at `path` if it is a plausible limit (1 to 2^31 - 1), else `None`."""
    value = at(body, path)
    return value if type(value) is int and 0 < value < _MAX_LIMIT else None
