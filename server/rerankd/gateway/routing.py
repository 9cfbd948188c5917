"""Which route a method and path mean, forgiving what clients' base URLs do to paths."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from rerankd.contract.errors import Reason
from rerankd.gateway.refusal import HttpRefusalError

_VERSIONS: Final = frozenset({"v1", "v2"})
_VARIABLE: Final = re.compile(r"\{(\w+)(=\*\*)?\}")
_SHOWN_PATH_CHARS: Final = 200


class Route(NamedTuple):
    """One HTTP form of an rpc."""

    http_method: str
    template: str
    """Path; `{name}` stands for one segment, `{name=**}` for one or more."""
    rpc: str
    service: str
    """Member of `Services` that answers; empty for a compatibility route."""
    method: str
    """Name of that member's method."""
    request_type: type[Any]
    response_type: type[Any]
    has_body: bool
    """The body is the request; otherwise query parameters fill it."""
    response_body: str | None
    """The response's field that is the answer; None for the whole response."""
    is_streaming: bool
    """Both bodies are newline-delimited JSON."""
    dialect: str = ""
    """Whose API the path belongs to, for `rerank`; empty where the body has to say."""

    @property
    def api_version(self) -> str:
        """The version the path names: "2" under /v2, else "1"."""
        return "2" if "/v2/" in self.template else "1"


class Match(NamedTuple):
    """The route of a call and what its path variables hold."""

    route: Route
    variables: dict[str, str]


class Router:
    """Finds routes; of two for one method and path the later counts. Immutable after construction."""

    def __init__(self, routes: Iterable[Route], page_paths: Sequence[str] = ()) -> None:
        self._exact: dict[str, dict[str, Match]] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        listed = [f"GET {path}" for path in page_paths]
        for route in routes:
            listed.append(f"{route.http_method} {route.template.replace('=**', '')}")
            if "{" in route.template:
                self._patterns.append((_compile_template(route.template), route))
            else:
                self._exact.setdefault(route.template, {})[route.http_method] = Match(route, {})
        self._listed = list(dict.fromkeys(listed))
        for path, found in self._exact.items():
            self._exact[path] = {**self._fitting(path), **found}

    def matches(self, path: str) -> dict[str, Match]:
        """Find the routes of a normalised path, by HTTP method; empty when there are none.

        An exact path hides the patterns of its method that match it too.
        """
        exact = self._exact.get(path)
        return exact if exact is not None else self._fitting(path)

    def _fitting(self, path: str) -> dict[str, Match]:
        found: dict[str, Match] = {}
        for pattern, route in self._patterns:
            if matched := pattern.fullmatch(path):
                found.setdefault(route.http_method, Match(route, matched.groupdict()))
        return found

    def no_such_route(self, http_method: str, path: str) -> HttpRefusalError:
        """Build the 404 for a path, naming the routes nearest to it."""
        asked = f"{http_method} {path[:_SHOWN_PATH_CHARS]}"
        near = difflib.get_close_matches(asked, self._listed, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; GET / lists what there is"
        metadata = {"path": path[:_SHOWN_PATH_CHARS], **({"suggestion": near[0]} if near else {})}
        return HttpRefusalError(Reason.ROUTE_NOT_FOUND, f"no route {asked}{hint}", metadata=metadata, status=404)


def allowed_methods(http_methods: Iterable[str]) -> str:
    """List what a path takes, for `allow`: HEAD comes with GET, OPTIONS with everything."""
    methods = set(http_methods)
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def method_not_allowed(http_method: str, path: str, allowed: str) -> HttpRefusalError:
    """Build the 405 for a path that takes only the `allowed` methods."""
    return HttpRefusalError(
        Reason.ROUTE_NOT_FOUND,
        f"{path[:_SHOWN_PATH_CHARS]} does not take {http_method}; it takes {allowed}",
        metadata={"path": path[:_SHOWN_PATH_CHARS], "method": http_method, "allowed": allowed},
        status=405,
        headers=[(b"allow", allowed.encode("ascii"))],
    )


def normalise_path(path: str) -> str:
    """Drop doubled and trailing slashes, and every version prefix but the last of several.

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
        pattern += f"(?P<{variable[1]}>{'.+' if variable[2] else '[^/]+'})"
        end = variable.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL)
