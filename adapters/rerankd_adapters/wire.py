"""Encoding of JSON requests, and defensive reading of JSON responses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.failure import clean
from rerankd_adapters.http import Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.non_finite import find_non_finite

JSON_HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json", "accept": "application/json"}

Path = tuple[str, ...]
"""Path of object keys, outermost first, such as `("usage", "total_tokens")`."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_NUMBERS: Final = frozenset({float, int})
_UNCHANGED: Final = frozenset({str, int, bool, type(None)})
"""Types of values that `whole_numbers` returns as they are."""
_JSON_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    type(None): "null",
    list: "an array",
    dict: "an object",
}
_MAX_WARNINGS = 10
_VERSION = re.compile(r"v\d+")


def post_json(
    endpoint: Endpoint,
    path: str,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    names_model: bool = False,
) -> HttpRequest:
    """Build a POST of `body` to `path` below the endpoint's base URL.

    Args:
        endpoint: Base URL and headers.
        path: As of `join_url`.
        body: JSON value.
        headers: Additional headers; those of the endpoint win.
        names_model: As of `join_url`.

    Raises:
        AdapterError: `REJECTED` when the body contains text that UTF-8 cannot encode.
    """
    url = join_url(endpoint.base_url, path, names_model=names_model)
    try:
        encoded = _encode(body)
    except (UnicodeEncodeError, TypeError) as error:
        message = f"the request cannot be written as JSON: {type(error).__name__}"
        raise AdapterError(AdapterErrorKind.REJECTED, message) from None
    return HttpRequest(url=url, headers={**JSON_HEADERS, **(headers or {}), **endpoint.headers}, body=encoded)


def get_json(endpoint: Endpoint, route: str, path: str, headers: Mapping[str, str] | None = None) -> HttpRequest:
    """Build a GET of `path`; the endpoint's base URL may end in `route`, the adapter's rerank route."""
    url = join_url(without_route(endpoint.base_url, route), path)
    return HttpRequest(
        method="GET", url=url, headers={"accept": "application/json", **(headers or {}), **endpoint.headers}
    )


def without_route(base_url: str, route: str) -> str:
    """Strip a suffix of the base URL that belongs to `route`: `http://host/rerank` becomes `http://host`."""
    parts = urlsplit(base_url)
    base, own = _segments(parts.path), _segments(route)
    longest = min(len(base), len(own))
    size = next((size for size in range(longest, 0, -1) if base[-size:] == own[-size:]), 0)
    return urlunsplit(parts._replace(path="/" + "/".join(base[: len(base) - size])))


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


@lru_cache(maxsize=1024)
def join_url(base_url: str, path: str, *, names_model: bool = False) -> str:
    """Append `path` to a base URL that may already contain a part of it; both query strings are kept.

    `http://host/v1` and `/v1/rerank` give `http://host/v1/rerank`: a suffix of the base that is a prefix of the path is
    not repeated. Version segments at the end of the base give way to the path's.

    Args:
        base_url: Absolute URL.
        path: Path, optionally with a query string.
        names_model: Whether the path contains a caller-chosen segment, such as a model. False: the path is a fixed
            route, and a base that ends in the route's last segment is complete (`http://host/api/rerank` is unchanged).
            True: the result always ends in the whole path.
    """
    parts = urlsplit(base_url)
    path, _, query = path.partition("?")
    base, wanted = _segments(parts.path), _segments(path)
    if base and wanted and base[-1] == wanted[-1] and not names_model:
        wanted = []
    elif wanted and _VERSION.fullmatch(wanted[0]):
        while base and _VERSION.fullmatch(base[-1]):
            base.pop()
    longest = min(len(base), len(wanted))
    shared = next((size for size in range(longest, 0, -1) if base[-size:] == wanted[:size]), 0)
    joined = "/" + "/".join(base + wanted[shared:])
    queries = "&".join(each for each in (parts.query, query) if each)
    return urlunsplit((parts.scheme, parts.netloc, joined, queries, ""))


def path_segments(model: str) -> str:
    """Percent-encode a model name as path segments; slashes are kept.

    Raises:
        AdapterError: `MODEL_NOT_FOUND` for a name with an empty, `.` or `..` segment.
    """
    if any(segment in ("", ".", "..") for segment in model.split("/")):
        message = f"{clean(model)[:100]!r} is not the name of a model"
        raise AdapterError(AdapterErrorKind.MODEL_NOT_FOUND, message)
    return quote(model, safe="/:@")


def read_json(response: HttpResponse) -> object:
    """Decode the body of a successful response.

    Raises:
        AdapterError: `BAD_RESPONSE` when it is not JSON; a number that is not finite is named.
    """
    try:
        return _decode(response.body)
    except (ValueError, RecursionError):
        if not_finite := find_non_finite(response.body):
            raise bad_response(f"{not_finite}, which is not a finite number", response.status) from None
        said = f"{len(response.body)} bytes of {response.headers.get('content-type', 'no content type')}"
        raise bad_response(f"the body is not JSON: {clean(said)}", response.status) from None


def bad_response(message: str, status: int | None = None) -> AdapterError:
    """Build a `BAD_RESPONSE` error."""
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, message, status=status)


def at(body: object, path: Path) -> Any:
    """Return the value at `path`; `None` if there is none."""
    for key in path:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def read_ranking(items: object, index_key: str, score_key: str) -> tuple[list[int], list[float]]:
    """Read a list of result objects into indices and scores, in list order.

    Raises:
        AdapterError: `BAD_RESPONSE` unless every item has an integer index and a numeric score.
    """
    if not isinstance(items, list):
        raise bad_response("there is no list of results")
    try:
        indices = list(map(itemgetter(index_key), items))
        scores = list(map(itemgetter(score_key), items))
    except (KeyError, TypeError, IndexError):
        raise bad_response(f"a result lacks {index_key} or {score_key}") from None
    if not set(map(type, indices)) <= {int}:
        raise bad_response(f"{index_key} of a result is not an integer")
    return indices, read_scores(scores)


def read_scores(values: object) -> list[float]:
    """Check that `values` is a list of numbers.

    Raises:
        AdapterError: `BAD_RESPONSE` otherwise.
    """
    if not isinstance(values, list):
        raise bad_response("there is no list of scores")
    if not set(map(type, values)) <= _NUMBERS:
        index = next(index for index, value in enumerate(values) if type(value) not in _NUMBERS)
        raise bad_response(f"a score is not a number: that of result {index} is {_JSON_NAMES[type(values[index])]}")
    try:
        return list(map(float, values))
    except OverflowError:
        raise bad_response("a score is too large") from None


def read_count(body: object, paths: Sequence[Path]) -> int:
    """Return the first integer > 0 at one of `paths`, none empty; else 0: malformed usage never fails a call."""
    if isinstance(body, dict):
        for path in paths:
            if path[0] in body and (count := as_count(at(body, path))):
                return count
    return 0


def as_count(value: Any) -> int:
    """Return an integer > 0, also one written as a float; 0 for anything else."""
    return int(value) if type(value) in _NUMBERS and 0 < value < 2**53 and value == int(value) else 0


def read_usd(body: object, path: Path | None) -> float | None:
    """Return the cost in US dollars at `path`; `None` if there is none."""
    value = None if path is None else at(body, path)
    if not isinstance(value, int | float) or type(value) not in _NUMBERS:
        return None
    return float(value) if 0 <= value < 2**53 else None


def read_warnings(body: object, path: Path) -> list[str]:
    """Return at most ten warnings of the provider, each sanitized; `path` is not empty."""
    if not isinstance(body, dict) or path[0] not in body:
        return []
    said = at(body, path)
    if not isinstance(said, list):
        return []
    return [clean(warning) for warning in said[:_MAX_WARNINGS] if isinstance(warning, str) and warning]


def whole_numbers(value: object) -> Any:
    """Convert floats without a fraction to integers, recursively: a protobuf `Struct` has no integers.

    Objects and lists without numbers, objects and lists are not copied.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict) and not _UNCHANGED.issuperset(map(type, value.values())):
        return {key: whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list) and not _UNCHANGED.issuperset(map(type, value)):
        return [whole_numbers(each) for each in value]
    return value
