"""Provider declarations: names, variables, authentication, capabilities, prices and quirks, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

from rerankd_adapters.capability import Capabilities, Price, Scoring
from rerankd_adapters.chat_api import ChatApi
from rerankd_adapters.models import SHARED_MODELS, ModelRule, matches
from rerankd_adapters.parameter import Parameters

__all__ = ["BEARER", "NO_KEY", "Authentication", "ModelRule", "Price", "Provider", "Scheme", "header_key"]


class Scheme(StrEnum):
    """Authentication scheme."""

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
    VOLCENGINE = "volcengine"
    """Volcengine's signature with an access key: its id is the key, its secret the option `secret_access_key`."""
    OCI = "oci"
    """Oracle Cloud's signature with an RSA key; options `tenancy`, `user`, `fingerprint`, `private_key`, `key_file`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """An authentication method. The first method of a provider whose inputs are configured is used."""

    scheme: Scheme
    header: str = "authorization"
    """`HEADER`: lower-case name of the header."""
    prefix: str = ""
    """`HEADER`: prefix of the key, including the space."""
    service: str = ""
    """`SIGV4`, `VOLCENGINE`: signing name of the service."""
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
    """Declaration of one provider. Its adapter is imported on first use."""

    name: str
    """Name that callers write before the slash, such as `voyage`."""
    title: str
    """Product name."""
    adapter: str = ""
    """`module:Class` of the `HttpAdapter`, or of the `GrpcUpstream` if `is_grpc`; empty without a rerank API."""
    reference: str
    """URL of the provider's documentation of its rerank API, or of the only one it has."""
    checked: str
    """Date of the last check against the reference, `YYYY-MM-DD`."""
    is_grpc: bool = False
    """Whether the API is gRPC: the adapter is then a `GrpcUpstream`, not an `HttpAdapter`."""
    aliases: tuple[str, ...] = ()
    """Alternative names, including those of LiteLLM and Bifrost."""
    base_url: str = ""
    """Public base URL; empty if it must be configured."""
    key_variables: tuple[str, ...] = ()
    """Environment variables of the API key; the first one set wins."""
    base_url_variables: tuple[str, ...] = ()
    """Environment variables of the base URL; the first one set wins."""
    presence_variables: tuple[str, ...] = ()
    """Environment variables any of which enables the provider, for providers without a key or base URL variable."""
    option_variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Environment variables by option; the first one set wins."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Adapter options: name to a one-sentence description."""
    parameters: Parameters = field(default_factory=dict)
    """Parameters of its API that the contract has under another name or not at all; `None`: any is sent."""
    authentication: tuple[Authentication, ...] = (BEARER,)
    """Authentication methods in order of preference."""
    key_is_required: bool = True
    capabilities: Capabilities = Capabilities()
    """Defaults for all models."""
    models: Mapping[str, Capabilities] = field(default_factory=dict)
    """Known models; each entry overrides `capabilities`."""
    may_reroute: bool = False
    """Whether different servers may answer calls of one model. Their scores must not be mixed, so `SHARED_MODELS` does
    not make such a model pointwise."""
    pinned_models: str = ""
    """Glob of full model names that `may_reroute` does not apply to, such as `*/*`."""
    rules: tuple[ModelRule, ...] = ()
    """Overrides by model name pattern; later rules win."""
    usage_units: tuple[str, ...] = ("token",)
    """What its responses report: "token", "search_unit" or both; a model's billing unit is estimated besides."""
    prices: tuple[Price, ...] = ()
    """Prices; the first match wins."""
    quirks: tuple[str, ...] = ()
    """Known peculiarities, one sentence each, for the provider's page."""
    list_route: str = ""
    """Route that lists the models, such as `GET /v1/models`; empty if there is none."""
    chat: ChatApi | None = None
    """Its chat API; `None` without one."""

    def capabilities_of(self, model: str) -> Capabilities:
        """Return the capabilities of `model`.

        Precedence, highest first: the entry in `models`, `rules`, `SHARED_MODELS`, `capabilities`. A model that
        `SHARED_MODELS` declares listwise is always listwise.
        """
        return _capabilities(self, model)

    def parameters_of(self, model: str) -> Parameters:
        """Return the own parameters that `model` has; `None` if any is sent."""
        return _parameters(self, model)

    def reports(self, unit: str, model: str) -> bool:
        """Whether calls of `model` report a unit of `Price`, or are estimated in it."""
        bills = self.capabilities_of(model).billing_unit
        return unit == "call" or unit in self.usage_units or unit == bills

    def price_of(self, model: str) -> Price | None:
        """Return the price of `model`; `None` if unknown."""
        prices: tuple[Price, ...] = (*self.prices, *self.chat.prices) if self.chat else self.prices
        return next((price for price in prices if fnmatchcase(model, price.model)), None)

    def is_chat(self, model: str) -> bool:
        """Whether `model` chats and does not rerank."""
        return self.chat is not None and (not self.adapter or self.chat.serves(model))


@lru_cache(maxsize=4096)
def _parameters(provider: Provider, model: str) -> Parameters:
    known = provider.parameters
    if known is None or not any(each.models for each in known.values()):
        return known
    return {
        name: each
        for name, each in known.items()
        if not each.models or any(matches(pattern, model) for pattern in each.models)
    }


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
    """Return `known` overridden by the entries `*` and `model` of each mapping in `told`; later mappings win."""
    for facts in told:
        for key in ("*", model):
            if key in facts:
                known = known.override(facts[key])
    return known
