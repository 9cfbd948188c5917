"""HTTP routes by path; paths are normalised because clients append theirs to varying base URLs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from rerankd.contract.errors import Reason
from rerankd.gateway.refusal import HttpRefusalError

_VERSIONS: Final = frozenset({"v1", "v2"})
_NO_MANAGEMENT: Final = frozenset({"rerank_service", "rerank_service_streams", ""})
_VARIABLE: Final = re.compile(r"\{(\w+)(=\*\*)?\}")
_SHOWN_PATH_CHARS: Final = 200


class Route(NamedTuple):
    """One HTTP binding of an RPC."""

    http_method: str
    template: str
    """Path; `{name}` matches a segment up to the colon of a verb (`keys/{key_id}:rotate`), `{name=**}` one or more."""
    rpc: str
    service: str
    """Member of `Services` that answers; empty for a compatibility route."""
    method: str
    """Name of that member's method."""
    request_type: type[Any]
    response_type: type[Any]
    has_body: bool
    """Whether the body is the request; otherwise query parameters are."""
    response_body: str | None
    """Field of the response to return; None for the whole response."""
    is_streaming: bool
    """Whether request and response are NDJSON."""
    dialect: str = ""
    """Dialect of a rerank path; empty if the body decides."""
    success_status: int = 200
    """HTTP status of a successful answer; 204 has no body."""

    @property
    def api_version(self) -> str:
        """API version in the path: "2" for /v2, else "1"."""
        return "2" if "/v2/" in self.template else "1"

    @property
    def is_management(self) -> bool:
        """Whether it manages what is served: any service but the one that reranks and lists models answers it."""
        return self.service not in _NO_MANAGEMENT


class Match(NamedTuple):
    """The route of a call and the values of its path variables."""

    route: Route
    variables: dict[str, str]


class RouteTable:
    """Finds routes by path; of two with the same method and path the later one counts. Immutable."""

    def __init__(self, routes: Iterable[Route], page_paths: Sequence[str] = ()) -> None:
        self._exact: dict[str, dict[str, Match]] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        known_routes = [f"GET {path}" for path in page_paths]
        for route in routes:
            known_routes.append(f"{route.http_method} {route.template.replace('=**', '')}")
            if "{" in route.template:
                self._patterns.append((_compile_template(route.template), route))
            else:
                self._exact.setdefault(route.template, {})[route.http_method] = Match(route, {})
        self._known_routes = list(dict.fromkeys(known_routes))
        for path, found in self._exact.items():
            self._exact[path] = {**self._match_templates(path), **found}

    def matches(self, path: str) -> dict[str, Match]:
        """Return the routes of a normalised path, by HTTP method; empty if there are none.

        A route with an exact path takes precedence over templates of the same method.
        """
        exact = self._exact.get(path)
        return exact if exact is not None else self._match_templates(path)

    def _match_templates(self, path: str) -> dict[str, Match]:
        found: dict[str, Match] = {}
        for pattern, route in self._patterns:
            if matched := pattern.fullmatch(path):
                found.setdefault(route.http_method, Match(route, matched.groupdict()))
        return found

    def route_not_found(self, http_method: str, path: str) -> HttpRefusalError:
        """Build the 404 for a path, with the most similar routes as suggestions."""
        requested = f"{http_method} {path[:_SHOWN_PATH_CHARS]}"
        similar = difflib.get_close_matches(requested, self._known_routes, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(similar)}?" if similar else "; GET / lists the routes"
        metadata = {"path": path[:_SHOWN_PATH_CHARS], **({"suggestion": similar[0]} if similar else {})}
        return HttpRefusalError(Reason.ROUTE_NOT_FOUND, f"no route {requested}{hint}", metadata=metadata, status=404)


def allowed_methods(http_methods: Iterable[str]) -> str:
    """Render the `allow` header of a path; GET implies HEAD, and OPTIONS is always allowed."""
    methods = set(http_methods)
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def method_not_allowed(http_method: str, path: str, allowed: str) -> HttpRefusalError:
    """Build the 405 for a path that has only the `allowed` methods."""
    return HttpRefusalError(
        Reason.ROUTE_NOT_FOUND,
        f"{path[:_SHOWN_PATH_CHARS]} does not take {http_method}; it takes {allowed}",
        metadata={"path": path[:_SHOWN_PATH_CHARS], "method": http_method, "allowed": allowed},
        status=405,
        headers=[(b"allow", allowed.encode("ascii"))],
    )


@lru_cache(maxsize=256)
def normalise_path(path: str) -> str:
    """Remove repeated and trailing slashes, and all but the last of repeated version prefixes.

    A base URL ending in /v1 makes clients that append /v2/rerank call /v1/v2/rerank.
    """
    segments = [segment for segment in path.split("/") if segment]
    while len(segments) > 1 and segments[0] in _VERSIONS and segments[1] in _VERSIONS:
        del segments[0]
    return "/" + "/".join(segments)


def _compile_template(template: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for variable in _VARIABLE.finditer(template):
        pattern += re.escape(template[end : variable.start()])
        pattern += f"(?P<{variable[1]}>{'.+' if variable[2] else '[^/:]+'})"
        end = variable.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL)
