"""Formatting of provider declarations, shared by the terminal, JSON output and `docs/providers/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rerankd_adapters.base import Authentication, Capabilities, Price, Provider, Scheme
from rerankd_adapters.capability import ChatPrice

OTHER_MODELS: Final = "any other"
"""Label for models without an entry of their own."""
EVERY_MODEL: Final = "every model"
"""Label for all models of a provider that has no entries."""

EXTRA_OF_SCHEME: Final = {
    Scheme.SIGV4: ("botocore", "aws"),
    Scheme.GOOGLE: ("google.auth", "google"),
    Scheme.OCI: ("cryptography", "oci"),
}
"""Library that an authentication scheme needs, and the extra that installs it."""


@dataclass(frozen=True, slots=True)
class ModelFact:
    """Capabilities and price of one model or model pattern."""

    name: str
    """Model name, glob, `OTHER_MODELS` or `EVERY_MODEL`."""
    facts: Capabilities
    price: Price | None


def model_facts(provider: Provider) -> Iterator[ModelFact]:
    """Yield the models by name, then the patterns, then the defaults of all other models."""
    for model in sorted(provider.models):
        yield ModelFact(model, provider.capabilities_of(model), provider.price_of(model))
    for rule in provider.rules:
        yield ModelFact(rule.pattern, provider.capabilities.override(rule.facts), provider.price_of(rule.pattern))
    others = OTHER_MODELS if provider.models or provider.rules else EVERY_MODEL
    yield ModelFact(others, provider.capabilities, provider.price_of(""))


def scoring_text(provider: Provider) -> str:
    """Return the scoring kinds of its models, such as "pointwise"; "chat" if none scores, a hyphen if none is known."""
    if not provider.adapter:
        return "chat"
    stated = {fact.facts.scoring.value for fact in model_facts(provider)} - {"unknown"}
    return " or ".join(sorted(stated, reverse=True)) or "-"


def authentication_text(way: Authentication) -> str:
    """Describe an authentication method in one phrase."""
    match way.scheme:
        case Scheme.NONE:
            return "none"
        case Scheme.HEADER:
            return f"header {way.header}: {way.prefix}KEY"
        case Scheme.SIGV4:
            return f"AWS Signature Version 4 for {way.service}, with the standard credential chain"
        case Scheme.GOOGLE:
            return "Google application-default credentials"
        case Scheme.ENTRA:
            return "Microsoft Entra client credentials"
        case Scheme.IBM_IAM:
            return "IBM Cloud API key, exchanged for a token"
        case Scheme.VOLCENGINE:
            return f"Volcengine signature for {way.service}, with an access key"
        case Scheme.OCI:
            return "OCI request signature, with an RSA key"


def extras_of(provider: Provider) -> list[tuple[str, str]]:
    """List (library, extra) for every authentication method that needs an optional library."""
    return [EXTRA_OF_SCHEME[way.scheme] for way in provider.authentication if way.scheme in EXTRA_OF_SCHEME]


def known(value: str) -> str:
    """Return a value for display; a hyphen when it is unknown."""
    return "-" if value in ("", "unknown") else str(value)


def count_text(value: int | None) -> str:
    """Format a limit; a hyphen when there is none."""
    return "-" if value is None else f"{value:,}"


def price_text(price: Price | None) -> str:
    """Format a price, such as "$2 / 1,000 search units"."""
    if price is None:
        return "-"
    if isinstance(price, ChatPrice):
        return f"${price.usd_per_million:,g} / 1M tokens read, ${price.output_usd_per_million:,g} / 1M written"
    unit = price.unit.replace("_", " ")
    if price.unit == "token":
        return f"${price.usd_per_million:,g} / 1M tokens"
    return f"${price.usd_per_million / 1000:,g} / 1,000 {unit}s"


def price_sources(provider: Provider) -> list[str]:
    """List the sources and dates of its prices."""
    prices = (*provider.prices, *(provider.chat.prices if provider.chat else ()))
    return list(dict.fromkeys(f"{price.source}, {price.date}" for price in prices))


def as_json(provider: Provider) -> dict[str, object]:
    """Return the whole declaration as JSON values."""
    return {
        "aliases": list(provider.aliases),
        "variables": {
            "key": list(provider.key_variables),
            "base_url": list(provider.base_url_variables),
            "presence": list(provider.presence_variables),
            "options": {name: list(variables) for name, variables in provider.option_variables.items()},
        },
        "default_base_url": provider.base_url,
        "authentication": [authentication_text(way) for way in provider.authentication],
        "is_key_required": provider.key_is_required,
        "extras": [extra for _, extra in extras_of(provider)],
        "options": dict(provider.options),
        "known_models": [_model_as_json(fact) for fact in model_facts(provider)],
        "quirks": list(provider.quirks),
        "chat": _chat_as_json(provider),
        "list_route": provider.list_route,
        "reference": provider.reference,
        "checked": provider.checked,
    }


def _chat_as_json(provider: Provider) -> dict[str, object] | None:
    """Return the declaration of the chat API; `None` without one."""
    if (chat := provider.chat) is None:
        return None
    return {
        "path": chat.path,
        "default_base_url": chat.base_url or provider.base_url,
        "prices": {price.model: price_text(price) for price in chat.prices},
        "quirks": list(chat.quirks),
        "reference": chat.reference,
        "checked": chat.checked,
    }


def _model_as_json(fact: ModelFact) -> dict[str, object]:
    facts, price = fact.facts, fact.price
    return {
        "name": fact.name,
        "scoring": facts.scoring.value,
        "score_space": facts.score_space.value,
        "max_documents": facts.max_documents,
        "max_tokens_per_document": facts.max_tokens_per_document,
        "max_total_tokens": facts.max_total_tokens,
        "max_request_bytes": facts.max_request_bytes,
        "billing_unit": facts.billing_unit,
        "truncation_default": facts.truncation_default.value if facts.truncation_default else None,
        "truncates": facts.truncates,
        "takes_instruction": bool(facts.takes_instruction),
        "takes_objects": bool(facts.takes_objects),
        "takes_images": bool(facts.takes_images),
        "takes_query_images": bool(facts.takes_query_images),
        "source": facts.source,
        "price": price
        and {
            "unit": price.unit,
            "usd_per_million": price.usd_per_million,
            "source": price.source,
            "date": price.date,
        },
    }
