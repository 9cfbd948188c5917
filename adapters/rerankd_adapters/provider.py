"""The declaration of a provider: everything about it that is data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

from rerankd_adapters.capability import Capabilities, Price, Scoring
from rerankd_adapters.models import SHARED_MODELS, ModelRule, matches

__all__ = ["BEARER", "NO_KEY", "Authentication", "ModelRule", "Price", "Provider", "Scheme", "header_key"]


class Scheme(StrEnum):
    """How requests prove who sends them."""

    NONE = "none"
    HEADER = "header"
    """A static key in a header."""
    SIGV4 = "sigv4"
    """AWS Signature Version 4 with the standard credential chain."""
    GOOGLE = "google"
    """Application-default credentials of Google Cloud."""
    ENTRA = "entra"
    """Microsoft Entra client credentials."""
    IBM_IAM = "ibm-iam"
    """An IBM Cloud API key, exchanged for a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """One way to authenticate; the deployment uses the first of a provider's that it has the inputs for."""

    scheme: Scheme
    header: str = "authorization"
    """`HEADER`: lower-case name of the header."""
    prefix: str = ""
    """`HEADER`: what stands before the key, with its space."""
    service: str = ""
    """`SIGV4`: signing name."""
    scope: str = ""
    """`GOOGLE`, `ENTRA`: OAuth scope."""


BEARER = Authentication(scheme=Scheme.HEADER, prefix="Bearer ")
"""`Authorization: Bearer KEY`."""
NO_KEY = Authentication(scheme=Scheme.NONE)


def header_key(name: str, prefix: str = "") -> Authentication:
    """Declare a static key in header `name`."""
    return Authentication(scheme=Scheme.HEADER, header=name.lower(), prefix=prefix)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provider:
    """One provider. Data only: its adapter is imported when it is used."""

    name: str
    """As callers write it before the slash: `voyage`."""
    title: str
    """As the provider writes itself."""
    adapter: str
    """`module:Class` of the `HttpAdapter`."""
    reference: str
    """Where the provider documents its rerank API."""
    checked: str
    """Day the facts were read, `YYYY-MM-DD`."""
    is_grpc: bool = False
    """Whether it is spoken to over gRPC: its adapter is then a `GrpcUpstream`, not an `HttpAdapter`."""
    aliases: tuple[str, ...] = ()
    """Other names, those of LiteLLM and Bifrost among them."""
    base_url: str = ""
    """Empty when only the operator knows it."""
    key_variables: tuple[str, ...] = ()
    """Environment variables with the key, first found wins."""
    base_url_variables: tuple[str, ...] = ()
    """Environment variables with the base URL, first found wins."""
    presence_variables: tuple[str, ...] = ()
    """Environment variables any of which shows that it is meant to be used, where a key or base does not."""
    option_variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Environment variables of each option, first found wins."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Name of each `Endpoint.options` entry it reads: a sentence on it."""
    authentication: tuple[Authentication, ...] = (BEARER,)
    """In order of preference."""
    key_is_required: bool = True
    capabilities: Capabilities = Capabilities()
    """Of any model nothing more is known about."""
    models: Mapping[str, Capabilities] = field(default_factory=dict)
    """Known models; each entry states what differs from `capabilities`."""
    may_reroute: bool = False
    """Whether calls of one model may be answered by different servers, whose scores must not be mixed: what
    every server of a model shares then says nothing of scoring, unless it is listwise."""
    pinned_models: str = ""
    """Glob of the whole names that `may_reroute` leaves out, such as `*/*`."""
    rules: tuple[ModelRule, ...] = ()
    """What models of a name pattern have in common, at this provider."""
    prices: tuple[Price, ...] = ()
    """First match wins."""
    quirks: tuple[str, ...] = ()
    """One sentence each."""
    list_route: str = ""
    """How its models are listed, such as `GET /v1/models`; empty when it cannot be asked."""

    def capabilities_of(self, model: str) -> Capabilities:
        """Return what is known of `model`, most specific fact first.

        The order is: the entry in `models`, `rules`, the facts every server of a model shares,
        `capabilities`. A model that is listwise anywhere is listwise here.
        """
        return _capabilities(self, model)

    def price_of(self, model: str) -> Price | None:
        """Return the price of `model` where one is known."""
        return next((price for price in self.prices if fnmatchcase(model, price.model)), None)


@lru_cache(maxsize=4096)
def _capabilities(provider: Provider, model: str) -> Capabilities:
    known = provider.capabilities
    for rule in SHARED_MODELS:
        if matches(rule.pattern, model):
            known = known.override(rule.facts)
    if provider.may_reroute and not fnmatchcase(model, provider.pinned_models):
        known = replace(known, scoring=provider.capabilities.scoring)
    for rule in provider.rules:
        if matches(rule.pattern, model):
            known = known.override(rule.facts)
    if model in provider.models:
        known = known.override(provider.models[model])
    if any(rule.facts.scoring is Scoring.LISTWISE and matches(rule.pattern, model) for rule in SHARED_MODELS):
        known = replace(known, scoring=Scoring.LISTWISE)
    return known


def apply_overrides(known: Capabilities, model: str, *told: Mapping[str, Capabilities]) -> Capabilities:
    """Return `known` with what each of `told` states of every model (`*`) and of `model`; later ones win."""
    for facts in told:
        for key in ("*", model):
            if key in facts:
                known = known.override(facts[key])
    return known
