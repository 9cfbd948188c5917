"""How an adapter handles each parameter of a call, found by building requests with and without it.

No parameter may be dropped silently: it is sent, emulated by the engine, rejected, or named in a warning. The tests and
the tables of the providers' pages are generated from this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
from msgspec import structs

from rerankd_adapters.base import AdapterError, Capabilities, ProviderCall, Truncation
from rerankd_adapters.parameter import Parameter, Parameters, sent

INSTRUCTION: Final = "Prefer what is recent."
UNKNOWN_OPTION: Final = "no_such_option"
PARAMETERS: Final = (
    *("top_n", "max_tokens_per_doc", "max_chunks_per_doc", "priority", "truncation"),
    *("instruction", "return_documents", "rank_fields", "image", "query_image", "provider_options"),
)
"""Parameters by contract name."""

_ECHO_FIELDS: Final = ("return_documents", "return_text", "return_input", "isEcho")
_CHANGES: Final[Mapping[str, Mapping[str, object]]] = {
    "top_n": {"top_n": 1},
    "max_tokens_per_doc": {"max_tokens_per_doc": 7},
    "max_chunks_per_doc": {"max_passages_per_doc": 3},
    "priority": {"priority": 5},
}
_ENGINE: Final = {"top_n": "not sent; results are cut by rerankd"}
"""Parameters that the engine emulates if they are not sent, with a description."""


class How(StrEnum):
    """How a parameter is handled."""

    SENT = "sent"
    EMULATED = "emulated"
    """Implemented by the engine, or the provider's fixed behaviour."""
    REFUSED = "refused"
    """The call fails with an error that names the parameter."""
    WARNED = "warned"
    """A warning in the response names the parameter."""
    DROPPED = "dropped"
    """Silently ignored: a bug of the adapter."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one parameter, or one value of it, is handled."""

    how: How
    text: str
    """Description in Markdown."""


class Adapter(Protocol):
    """The inspected methods of an adapter; implemented by `HttpAdapter` and `GrpcUpstream`."""

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model`."""
        ...

    def parameters(self, model: str) -> Parameters:
        """Return the own parameters that `model` has; `None` if any is sent."""
        ...

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter that is not sent."""
        ...


Encode = Callable[[ProviderCall], Any]
"""Builds the request of a call and returns its body as JSON values; raises what the adapter raises."""


def treatments(adapter: Adapter, encode: Encode, model: str) -> dict[str, tuple[Treatment, ...]]:
    """Determine how every parameter is handled in calls of `model`.

    Returns:
        One treatment a parameter; of `truncation` one for calls that do not say, then one a mode.
    """
    probe = _Probe(adapter, encode, model)
    found = {name: (probe.plain(name, changes),) for name, changes in _CHANGES.items()}
    return found | {
        "truncation": probe.truncation(),
        "instruction": (probe.instruction(),),
        "return_documents": (probe.echo(),),
        "rank_fields": (probe.rank_fields(),),
        "image": (probe.image(),),
        "query_image": (probe.query_image(),),
        "provider_options": (probe.options(),),
    }


class _Probe:
    def __init__(self, adapter: Adapter, encode: Encode, model: str) -> None:
        self._adapter = adapter
        self._encode = encode
        self._facts = adapter.capabilities(model)
        self._call = ProviderCall(model=model, query="q", documents=["title: a\nbody: b", "c"])

    def _body(self, **changes: Any) -> dict[str, object]:
        return dict(_flat(self._encode(structs.replace(self._call, **changes))))

    def plain(self, name: str, changes: Mapping[str, object]) -> Treatment:
        try:
            fields = _differences(self._body(), self._body(**changes))
        except AdapterError as error:
            return _refusal(error, name)
        warnings = self._adapter.warnings_of(structs.replace(self._call, **changes))
        if any(warning.startswith(f"{name} ") for warning in warnings):
            return Treatment(How.DROPPED, "sent despite a warning") if fields else _WARNED
        if fields:
            return _sent(fields)
        return Treatment(How.EMULATED, _ENGINE[name]) if name in _ENGINE else _DROPPED

    def truncation(self) -> tuple[Treatment, ...]:
        bodies: dict[Truncation, dict[str, object]] = {}
        refusals: dict[Truncation, Treatment] = {}
        for mode in Truncation:
            try:
                bodies[mode] = self._body(truncation=mode)
            except AdapterError as error:
                refusals[mode] = _refusal(error, "truncation")
        differing = {name for one in bodies.values() for other in bodies.values() for name in _differences(one, other)}
        found = [_unset(self._body(), bodies)]
        for mode in Truncation:
            fields = sorted(name for name in differing if name in bodies.get(mode, {}))
            if mode in refusals:
                found.append(refusals[mode])
            elif fields:
                pairs = (f"`{name}: {_json(bodies[mode][name])}`" for name in fields)
                found.append(Treatment(How.SENT, ", ".join(pairs)))
            elif len(bodies) > 1:
                found.append(Treatment(How.SENT, "by omitting the field"))
            else:
                found.append(Treatment(How.EMULATED, "always"))
        return tuple(found)

    def instruction(self) -> Treatment:
        if not self._facts.takes_instruction:
            return _WARNED
        try:
            before, after = self._body(), self._body(instruction=INSTRUCTION)
        except AdapterError as error:
            return _refusal(error, "instruction")
        fields = _differences(before, after)
        if any(after[name] == f"{INSTRUCTION}\nq" for name in fields):
            return Treatment(How.SENT, "before the query")
        return _sent(fields) if fields else _DROPPED

    def echo(self) -> Treatment:
        echoes = any(value is True and name.rpartition(".")[2] in _ECHO_FIELDS for name, value in self._body().items())
        if echoes:
            return Treatment(How.DROPPED, "the provider is asked for documents")
        return Treatment(How.EMULATED, "not requested; rerankd re-attaches the documents")

    def rank_fields(self) -> Treatment:
        objects = {"objects": [{"title": "a", "body": "b"}, None], "rank_fields": ["title", "body"]}
        after = self._body(**objects)
        fields = _differences(self._body(), after)
        if not fields:
            return Treatment(How.EMULATED, "rendered to text")
        names = [name for name in fields if after.get(name) == ["title", "body"]]
        suffix = f", with {', '.join(f'`{name}`' for name in names)}" if names else ""
        return Treatment(How.SENT, f"objects unchanged{suffix}")

    def image(self) -> Treatment:
        if not self._facts.takes_images:
            return _REFUSED
        try:
            self._body(images=["data:image/png;base64,iVBORw0KGgo=", None])
        except AdapterError as error:
            return _refusal(error, "documents[0].image")
        return Treatment(How.SENT, "sent")

    def query_image(self) -> Treatment:
        if not self._facts.takes_query_images:
            return _REFUSED
        image = "data:image/png;base64,iVBORw0KGgo="
        try:
            self._body(query="", query_image=image)
        except AdapterError as error:
            return _refusal(error, "query_image")
        try:
            self._body(query_image=image)
        except AdapterError:
            return Treatment(How.SENT, "sent, instead of a text")
        return Treatment(How.SENT, "sent")

    def options(self) -> Treatment:
        known = self._adapter.parameters(self._call.model)
        options = {UNKNOWN_OPTION: 1}
        body = self._body(options=options)
        if any(UNKNOWN_OPTION in name or value == UNKNOWN_OPTION for name, value in body.items()):
            return Treatment(How.SENT, "any, unchanged") if known is None else _DROPPED
        warnings = self._adapter.warnings_of(structs.replace(self._call, options=options))
        if known is None or not any(warning.startswith(f"{UNKNOWN_OPTION} ") for warning in warnings):
            return _DROPPED
        unsent = [name for name in sent(known) if not self._is_sent(name, known[name])]
        if unsent:
            return Treatment(How.DROPPED, f"not sent although declared: {', '.join(unsent)}")
        names = ", ".join(f"`{name}`" for name in known)
        return Treatment(How.WARNED, f"{names or 'none'}; others: warning")

    def _is_sent(self, name: str, parameter: Parameter) -> bool:
        """Whether the example of a parameter, or another of its values, changes the request."""
        before = self._body()
        return any(self._body(options={name: value}) != before for value in parameter.examples)


_WARNED: Final = Treatment(How.WARNED, "warning")
_REFUSED: Final = Treatment(How.REFUSED, "refused")
_DROPPED: Final = Treatment(How.DROPPED, "dropped silently")


def _refusal(error: AdapterError, name: str) -> Treatment:
    is_named = error.field == name
    return _REFUSED if is_named else Treatment(How.DROPPED, f"refused without naming it: {error.message}")


def _sent(fields: list[str]) -> Treatment:
    return Treatment(How.SENT, ", ".join(f"`{name}`" for name in fields))


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    missing = object()
    names = dict.fromkeys((*before, *after))
    return [name for name in names if before.get(name, missing) != after.get(name, missing)]


def _flat(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its path; a list of scalars is a leaf."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, each in enumerate(value):
            yield from _flat(each, f"{path}[{index}]")
    else:
        yield path, value


def _unset(body: Mapping[str, object], bodies: Mapping[Truncation, Mapping[str, object]]) -> Treatment:
    """Return the treatment of a call without a truncation mode."""
    same = [mode for mode, other in bodies.items() if other == body]
    return Treatment(How.EMULATED, f"as {same[0].value}" if len(same) == 1 else "the provider's own default")


def _json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
