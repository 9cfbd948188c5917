"""Base adapter for rerank APIs with one JSON request and one JSON response.

An adapter declares field names in a `Wire` and overrides methods of `JsonDialect` where the API differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from msgspec import structs

from rerankd_adapters.call import ProviderCall, ProviderReply
from rerankd_adapters.capability import Capabilities, Truncation
from rerankd_adapters.documents import image_documents, object_documents, refuse_images, refuse_query_image
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.failure import (
    clean,
    failure_of,
    kind_of_status,
    message_in,
    plain_words,
    printable,
    stated_status,
    withhold,
    words_of,
)
from rerankd_adapters.http import Endpoint, Exchange, HttpAdapter, HttpRequest, HttpResponse
from rerankd_adapters.parameter import NO_PARAMETERS, Parameters, has_no
from rerankd_adapters.provider import Provider
from rerankd_adapters.usage_fields import read_completion_tokens, read_prompt_tokens, read_search_units
from rerankd_adapters.wire import (
    Path,
    at,
    bad_response,
    post_json,
    read_json,
    read_ranking,
    read_usd,
    read_warnings,
    whole_numbers,
)

DOCUMENTS_PER_SEARCH_UNIT = 100
NOT_SERVED: Final = (404, 405, 501)
"""Statuses of a server without the route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Field names of one API. `None`: the API has no such field. The defaults are Jina's."""

    path: str = "/v1/rerank"
    """Path below the base URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request; lower-case names. Headers of the endpoint override them."""
    option_headers: Mapping[str, str] = field(default_factory=dict)
    """Header name to adapter option; sent with the option's value if it is set."""
    old_path: str | None = None
    """Fallback path, tried after a 404, 405 or 501; used from then on if it works."""
    model: str | None = "model"
    query: str = "query"
    documents: str = "documents"
    rank_fields: str | None = None
    """Field that lists the scored fields of object documents; `None`: documents are sent as text."""
    fields_are_text: bool = False
    """Whether fields of object documents must be strings."""
    takes_images: bool = False
    """Whether documents may be objects with `text` and `image`; otherwise images are rejected."""
    takes_query_images: bool = False
    """Whether `query_of` sends an image; otherwise it is rejected."""
    top_n: str | None = "top_n"
    needs_top_n: bool = False
    """Whether `top_n` is always sent, because the server's default is not "all"."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Fields of every request that call options cannot override, such as the echo flag."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Fields of every request that call options may override."""
    truncation: Mapping[Truncation, Mapping[str, object]] = field(default_factory=dict)
    """Fields to send per truncation mode; a call without a mode uses `END`."""
    always: Truncation | None = Truncation.END
    """The only mode of an API without a truncation field; `None` if the server decides."""
    max_tokens_per_doc: str | None = None
    max_passages_per_doc: str | None = None
    instruction: str | None = None
    priority: str | None = None
    results: Path = ("results",)
    """Path of the result list in the response; empty for a bare array."""
    index: str = "index"
    score: str = "relevance_score"
    answered_model: Path = ("model",)
    prompt_tokens: tuple[Path, ...] = (("usage", "prompt_tokens"), ("usage", "total_tokens"))
    """Where the response reports them; `usage_fields` knows the usual other objects."""
    completion_tokens: tuple[Path, ...] = (("usage", "completion_tokens"),)
    search_units: tuple[Path, ...] = (("meta", "billed_units", "search_units"),)
    cost_usd: Path | None = None
    warnings: Path = ("meta", "warnings")
    kinds: Mapping[int, AdapterErrorKind] = field(default_factory=dict)
    """HTTP statuses that deviate from `failure.KIND_OF_STATUS`."""


class JsonDialect(HttpAdapter):
    """Adapter driven by a `Wire`. Subclasses set `wire` and override methods where the API differs."""

    wire: Wire = Wire()

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        self._serves_old_path = False

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request.

        Raises:
            AdapterError: `UNSUPPORTED` for a truncation mode that the API does not have.
        """
        fixed = self.options.get("path")
        path = str(fixed or self.path_of(call))
        names_model = not fixed and path != self.wire.path
        request = post_json(endpoint, path, self.body_of(call), self.headers(), names_model=names_model)
        return self._at_old_path(request) if self._serves_old_path else request

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model`; the `Wire` decides on objects, passages and query images."""
        known, wire = super().capabilities(model), self.wire
        if known.takes_query_images and not wire.takes_query_images:
            known = replace(known, takes_query_images=False)
        takes_objects = wire.rank_fields is not None and not known.takes_objects
        cuts_passages = wire.max_passages_per_doc is not None and not known.cuts_passages
        if not takes_objects and not cuts_passages:
            return known
        return known.override(Capabilities(takes_objects=takes_objects or None, cuts_passages=cuts_passages or None))

    def headers(self) -> Mapping[str, str]:
        """Return the adapter's headers, without content headers and those of the endpoint."""
        wire = self.wire
        if not wire.option_headers:
            return wire.headers
        set_by_operator = {name: self.options.get(option) for name, option in wire.option_headers.items()}
        return {**wire.headers, **{name: str(value) for name, value in set_by_operator.items() if value}}

    def path_of(self, call: ProviderCall) -> str:
        """Return the path below the base URL; the option `path` overrides it."""
        return self.wire.path

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object to send.

        Raises:
            AdapterError: `UNSUPPORTED` for an image or truncation mode that the API does not have.
        """
        wire = self.wire
        if not wire.takes_images:
            refuse_images(call, self.provider.title)
        elif not wire.takes_query_images:
            refuse_query_image(call, self.provider.title)
        body: dict[str, object] = {wire.model: call.model} if wire.model and call.model else {}
        body[wire.query] = self.query_of(call)
        body[wire.documents] = self.documents_of(call)
        if wire.rank_fields and call.objects is not None and call.images is None:
            body[wire.rank_fields] = list(call.rank_fields)
        body.update(wire.fixed)
        body.update(wire.defaults)
        count = len(call.documents)
        if wire.top_n and (call.top_n is not None or wire.needs_top_n):
            body[wire.top_n] = min(call.top_n or count, count)
        body.update(truncation_of(call, wire, self.provider.title))
        if optional := _optional(call, wire):
            body.update({name: value for _, name, value, unset in optional if name and value != unset})
        if call.options:
            body.update(options_of(call, wire, self.parameters(call.model)))
        return body

    def query_of(self, call: ProviderCall) -> object:
        """Return the query, prefixed by the instruction if the API has no field for it."""
        return f"{call.instruction}\n{call.query}" if call.instruction and not self.wire.instruction else call.query

    def documents_of(self, call: ProviderCall) -> object:
        """Return the documents as JSON values of the API, in the call's order."""
        wire = self.wire
        if call.images is not None:
            return image_documents(call)
        if call.objects is not None and wire.rank_fields:
            return object_documents(call, values_are_text=wire.fields_are_text)
        return call.documents

    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Parse the response.

        Raises:
            AdapterError: The response is an error or invalid.
        """
        if response.status != 200:
            raise self.failure_of(call, response)
        wire = self.wire
        body: object = None
        try:
            body = read_json(response)
            indices, scores = self.ranking_of(call, body)
            if not scores and message_in(body):
                raise bad_response("there are no results")
        except AdapterError as error:
            raise _explained(error, body, call, wire, plain_words(response)) from None
        model = at(body, wire.answered_model)
        prompt_tokens = self.prompt_tokens_of(body, response)
        return ProviderReply(
            indices=indices,
            scores=scores,
            model=printable(model[:200]) if isinstance(model, str) and model else None,
            prompt_tokens=prompt_tokens,
            completion_tokens=read_completion_tokens(body, wire.completion_tokens) if prompt_tokens else 0,
            search_units=self._search_units_of(call, body),
            cost_usd=self.cost_usd_of(body, response),
            warnings=[*self.warnings_of(call), *read_warnings(body, wire.warnings)],
        )

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that is not sent."""
        parameters = self.parameters(call.model) if call.options else NO_PARAMETERS
        return ignored(call, self.wire, self.provider.title, parameters)

    def ranking_of(self, call: ProviderCall, body: object) -> tuple[list[int], list[float]]:
        """Return indices and scores, one per result, in the order of the response.

        Raises:
            AdapterError: `BAD_RESPONSE`.
        """
        return read_ranking(at(body, self.wire.results), self.wire.index, self.wire.score)

    def prompt_tokens_of(self, body: object, response: HttpResponse) -> int:
        """Return the prompt tokens; 0 if not reported."""
        return read_prompt_tokens(body, self.wire.prompt_tokens)

    def cost_usd_of(self, body: object, response: HttpResponse) -> float | None:
        """Return the cost in US dollars; `None` if not reported."""
        return read_usd(body, self.wire.cost_usd)

    def _search_units_of(self, call: ProviderCall, body: object) -> int:
        told = read_search_units(body, self.wire.search_units)
        if told or self.capabilities(call.model).billing_unit != "search_unit":
            return told
        return math.ceil(len(call.documents) / DOCUMENTS_PER_SEARCH_UNIT)

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Send one request; on 404, 405 or 501 retry once with `Wire.old_path`.

        Raises:
            AdapterError: As `build` and `parse`.
        """
        request = self.build(call, endpoint)
        response = yield request
        if response.status in NOT_SERVED and (old := self._at_old_path(request)).url != request.url:
            second = yield old
            if second.status not in NOT_SERVED:
                self._serves_old_path = True
                response = second
        return self.parse(call, response)

    def _at_old_path(self, request: HttpRequest) -> HttpRequest:
        if self.wire.old_path is None or self.options.get("path"):
            return request
        return structs.replace(request, url=request.url.replace(self.wire.path, self.wire.old_path))

    def failure_of(self, call: ProviderCall, response: HttpResponse) -> AdapterError:
        """Build the error of a response with a status other than 200."""
        return failure_of(call, response, self.kind_of(response))

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Classify an error response; override if the body matters."""
        return kind_of_status(response.status, self.wire.kinds)


def _optional(call: ProviderCall, wire: Wire) -> tuple[tuple[str, str | None, Any, Any], ...]:
    """List the optional parameters: contract name, field of the API, value, unset value.

    Empty for most calls. The instruction has no contract name here because the engine warns about ignoring it.
    """
    if call.max_passages_per_doc == 1 and call.max_tokens_per_doc is None and not (call.instruction or call.priority):
        return ()
    return (
        ("max_tokens_per_doc", wire.max_tokens_per_doc, call.max_tokens_per_doc, None),
        ("max_chunks_per_doc", wire.max_passages_per_doc, call.max_passages_per_doc, 1),
        ("", wire.instruction, call.instruction, ""),
        ("priority", wire.priority, call.priority, 0),
    )


def ignored(call: ProviderCall, wire: Wire, title: str, parameters: Parameters = NO_PARAMETERS) -> list[str]:
    """Return a warning for every parameter of the call that the API does not have."""
    warnings = [
        has_no(title, name)
        for name, ours, value, unset in _optional(call, wire)
        if name and not ours and value != unset
    ]
    if call.options and parameters is not None:
        warnings += [has_no(title, name) for name in call.options if name not in parameters]
    return warnings


def truncation_of(call: ProviderCall, wire: Wire, title: str) -> Mapping[str, object]:
    """Return the request fields of the truncation mode.

    Raises:
        AdapterError: `UNSUPPORTED` for a mode that the API does not have.
    """
    wanted = call.truncation or Truncation.END
    if wanted in wire.truncation:
        return wire.truncation[wanted]
    if call.truncation is not None and call.truncation is not wire.always:
        modes = [*wire.truncation, *([wire.always] if wire.always else [])]
        message = f"{title} cannot be asked for truncation {wanted.value}; leave it out or use "
        message += " or ".join(mode.value for mode in modes) or "another provider"
        raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field="truncation")
    return {}


def options_of(call: ProviderCall, wire: Wire, parameters: Parameters) -> Mapping[str, object]:
    """Return the call's options that the API takes; `ignored` names the others.

    Raises:
        AdapterError: `UNSUPPORTED` for an option that would replace a field set from the request.
    """
    if not call.options:
        return {}
    ours = {wire.model, wire.query, wire.documents, wire.rank_fields, wire.top_n, *wire.fixed}
    taken: dict[str, object] = {}
    for name, value in call.options.items():
        if name in ours:
            why = f"{name[:60]} is set by the request's own fields"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, why, field=f"provider_options.{name[:60]}")
        if parameters is None or (name in parameters and not parameters[name].field):
            taken[name] = whole_numbers(value)
    return taken


def _explained(error: AdapterError, body: object, call: ProviderCall, wire: Wire, text: str) -> AdapterError:
    """Add what the provider says in a body without results, as JSON or `text`: some send errors with status 200."""
    said = clean(withhold(words_of(body) or text, call))
    status = stated_status(body)
    kind = AdapterErrorKind.BAD_RESPONSE if status is None else kind_of_status(status, wire.kinds)
    return AdapterError(kind, f"{error.message}: {said}" if said else error.message, status=200)
