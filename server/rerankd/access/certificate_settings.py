"""Settings of callers that are identified by the certificate of their connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from rerankd.access.api_key import KeyDetails
from rerankd.access.scopes import DEFAULT_SCOPES

KINDS: Final = ("uri", "dns", "email", "common_name")
"""Names of a certificate that a rule can be about."""


class CertificateRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What callers with certain certificates may do. One of the names, `*` in it for any text; the rest is theirs."""

    uri: str = ""
    """URI among the certificate's alternative names, such as `spiffe://prod.example/ns/search/*`."""
    dns: str = ""
    """DNS name among them."""
    email: str = ""
    """E-mail address among them."""
    common_name: str = ""
    """Common name of the subject; only of certificates without alternative names."""
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    """What callers may do: `rerank`, `models`, `rerankers.read`, `rerankers.write`, `runs.read`, `metrics`,
    `admin`."""
    groups: tuple[str, ...] = ()
    """Groups whose limits they share."""
    models: tuple[str, ...] = ()
    """Models that may be named in a call, `*` for any text (`cohere/*`). Empty: all."""

    def name(self) -> tuple[str, str]:
        """Return which kind of name it is about, and the pattern; for a rule without problems."""
        return next((kind, pattern) for kind in KINDS if (pattern := getattr(self, kind)))

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if sum(bool(getattr(self, kind)) for kind in KINDS) != 1:
            yield f"{path} needs one of {', '.join(KINDS)}"
        yield from (f"{path}.{name}: {rule}" for name, rule in KeyDetails(scopes=self.scopes).problems())
        yield from (f"{path}.models: {rule}" for _, rule in KeyDetails(models=self.models).problems())
        yield from (f"{path}.groups: {rule}" for _, rule in KeyDetails(tags=self.groups).problems())
