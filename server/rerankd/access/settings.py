"""Settings of access."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from rerankd.access.api_key import ApiKey
from rerankd.access.certificate_settings import CertificateRule
from rerankd.access.guardrails.finders import open_finder
from rerankd.access.guardrails.settings import AnyGuardrail
from rerankd.access.key_settings import DeclaredKey, declared_keys, key_problems
from rerankd.access.limits.settings import BudgetSettings, LedgerSettings, LimitSettings, budget_problems
from rerankd.access.sessions.settings import SessionSettings
from rerankd.access.spend.settings import SpendSettings
from rerankd.access.tokens.settings import TokenIssuer, issuer_problems


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may call what, and how much; guardrails on queries and documents."""

    enabled: bool = False
    """Whether callers need a key, of this section or of the store (`rerankd keys create`). Other than loopback
    addresses need this, or `server.allow_unauthenticated`; a change needs a restart."""
    bootstrap_key: str = ""
    """A key with every scope, to make the first others with, as a reference: `${NAME}` or `${file:PATH}`. Weak ones are
    refused."""
    keys: dict[str, DeclaredKey] = msgspec.field(default_factory=dict)
    """API keys by name, in addition to those in the store."""
    revoked_within_s: float = 5.0
    """Longest time in seconds until a key that was revoked, rotated or created by another process is known here; a
    change needs a restart."""
    stale_for_s: float = 300.0
    """How long the keys of a store that cannot be reached are still taken, in seconds, from the last time it could; a
    change needs a restart."""
    jwt: tuple[TokenIssuer, ...] = ()
    """Issuers whose JSON Web Tokens callers may send instead of a key."""
    certificates: tuple[CertificateRule, ...] = ()
    """Callers known by the certificate of their connection, which `server.tls.client_ca_file` has them present; the
    first rule that fits counts. A key or a token that is sent as well counts instead."""
    metrics: Literal["open", "key"] = "open"
    """Who may scrape `/metrics`: everybody who reaches the port, or callers with a key of the scope `metrics` or
    `admin`."""
    sessions: SessionSettings = SessionSettings()
    """Sessions of browsers; a change needs a restart."""
    limits: tuple[LimitSettings, ...] = ()
    """Limits and budgets; a call must pass all that apply to it."""
    provider_budgets: dict[str, tuple[BudgetSettings, ...]] = msgspec.field(default_factory=dict)
    """Budgets by provider; one that has spent its budget is taken out of routing, and fallbacks answer."""
    ledger: LedgerSettings = LedgerSettings()
    """Where they are counted; a change needs a restart."""
    spend: SpendSettings = SpendSettings()
    """What calls used and cost, kept in the store; a change needs a restart."""
    guardrails: tuple[AnyGuardrail, ...] = ()
    """What query and documents may hold; they read in this order, each what those before have left."""

    @property
    def keeps_spend(self) -> bool:
        """Whether what calls used and cost is kept in the store."""
        return self.enabled if self.spend.enabled is None else self.spend.enabled

    def declared_keys(self) -> list[ApiKey]:
        """Return the keys of the settings; for settings without problems."""
        return declared_keys(self.keys, self.bootstrap_key)

    def problems(self, path: str = "access") -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not self.enabled and (self.keys or self.bootstrap_key or self.jwt or self.certificates):
            yield f"{path}.enabled is false, so that nobody is asked who calls; set it to true"
        if not self.enabled and self.metrics == "key":
            yield f"{path}.metrics is key and {path}.enabled is false, so that there are no keys; set it to true"
        yield from key_problems(self.keys, self.bootstrap_key, path)
        yield from self.sessions.problems(f"{path}.sessions")
        yield from issuer_problems(self.jwt, f"{path}.jwt")
        for number, issuer in enumerate(self.jwt):
            if issuer.login is not None and not (self.sessions.enabled and self.sessions.public_url):
                missing = "public_url" if self.sessions.enabled else "enabled"
                yield f"{path}.jwt[{number}].login has no effect without {path}.sessions.{missing}; set it"
        for number, rule in enumerate(self.certificates):
            yield from rule.problems(f"{path}.certificates[{number}]")
        if not 0.1 <= self.revoked_within_s <= 3600:
            yield f"{path}.revoked_within_s must be 0.1 to 3600, is {self.revoked_within_s:g}"
        if not self.stale_for_s >= 0:
            yield f"{path}.stale_for_s must not be negative, is {self.stale_for_s:g}"
        names = [limit.name for limit in self.limits]
        for number, limit in enumerate(self.limits):
            yield from limit.problems(f"{path}.limits[{number}]")
            if names.index(limit.name) < number:
                yield f"{path}.limits[{number}].name {limit.name!r} is the name of another limit"
        for provider, budgets in self.provider_budgets.items():
            yield from budget_problems(budgets, f"{path}.provider_budgets.{provider}")
        yield from self.ledger.problems(f"{path}.ledger")
        yield from self.spend.problems(f"{path}.spend")
        names = [guardrail.name for guardrail in self.guardrails]
        for number, guardrail in enumerate(self.guardrails):
            yield from _guardrail_problems(guardrail, f"{path}.guardrails[{number}]")
            if names.index(guardrail.name) < number:
                yield f"{path}.guardrails[{number}].name {guardrail.name!r} is the name of another guardrail"


def _guardrail_problems(guardrail: AnyGuardrail, path: str) -> Iterator[str]:
    problems = list(guardrail.problems(path))
    yield from problems
    if not problems:
        try:
            open_finder(guardrail)
        except ValueError as error:
            yield f"{path}: {error}"
