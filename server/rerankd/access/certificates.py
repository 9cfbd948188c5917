"""Tells callers by the certificate of their connection, which the listener has verified."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from rerankd.access.certificate_settings import CertificateRule
from rerankd.access.grant import Grant
from rerankd.access.model_bounds import compile_globs
from rerankd.contract.call_context import Caller
from rerankd.contract.errors import Reason, ServiceError

MAX_KEPT: Final = 1000
"""Most certificates whose rights are kept."""
_PREFIXES: Final[Mapping[str, str]] = {"uri": "", "dns": "dns:", "email": "email:", "common_name": "cn:"}
"""What stands before a name in the identity of its caller."""
_CASELESS: Final = frozenset({"dns", "email"})
_SPIFFE: Final = "spiffe://"


class _Rule(NamedTuple):
    kind: str
    pattern: re.Pattern[str]
    settings: CertificateRule


class _Known(NamedTuple):
    grant: Grant | None
    ends_at: float


class Certificates:
    """Rights by certificate. For one event loop.

    Args:
        rules: The first that a certificate matches counts.
        clock: Returns seconds since 1970.
    """

    def __init__(self, rules: Sequence[CertificateRule], clock: Callable[[], float] = time.time) -> None:
        self._rules = [_rule_of(rule) for rule in rules]
        self._clock = clock
        self._known: dict[bytes, _Known] = {}

    def find(self, certificate: bytes) -> Grant | None:
        """Return the rights of callers with a certificate; None if no rule is about it.

        Args:
            certificate: PEM.

        Raises:
            ServiceError: `API_KEY_INVALID` for a certificate that has expired since the connection was made.
        """
        known = self._known.get(certificate) or self._read(certificate)
        if known.grant is not None and self._clock() >= known.ends_at:
            message = "the certificate of this connection has expired; connect again with a new one"
            raise ServiceError(Reason.API_KEY_INVALID, message)
        return known.grant

    def _read(self, certificate: bytes) -> _Known:
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            known = _Known(self._grant_of(_names_of(parsed)), parsed.not_valid_after_utc.timestamp())
        except ValueError:
            known = _Known(None, math.inf)
        if len(self._known) >= MAX_KEPT:
            del self._known[next(iter(self._known))]
        self._known[certificate] = known
        return known

    def _grant_of(self, names: Mapping[str, Sequence[str]]) -> Grant | None:
        for kind, pattern, settings in self._rules:
            for name in names[kind]:
                if pattern.fullmatch(name):
                    caller = Caller(_PREFIXES[kind] + name, groups=settings.groups)
                    return Grant(caller, settings.scopes, settings.models)
        return None


def _rule_of(rule: CertificateRule) -> _Rule:
    kind, pattern = rule.name()
    return _Rule(kind, compile_globs([pattern.lower() if kind in _CASELESS else pattern]), rule)


def _names_of(certificate: x509.Certificate) -> Mapping[str, Sequence[str]]:
    """Return the names of a certificate by kind; none where they cannot be read.

    A certificate with a SPIFFE id has no other URI (X.509-SVID, section 2); of one that has, no URI counts.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = found.get_values_for_type(x509.UniformResourceIdentifier)
        names = {
            "uri": [] if len(uris) > 1 and any(uri.startswith(_SPIFFE) for uri in uris) else uris,
            "dns": [name.lower() for name in found.get_values_for_type(x509.DNSName)],
            "email": [name.lower() for name in found.get_values_for_type(x509.RFC822Name)],
            "common_name": [],
        }
    except x509.ExtensionNotFound:
        subject = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = {"uri": [], "dns": [], "email": [], "common_name": [str(each.value) for each in subject]}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        names = {kind: [] for kind in _PREFIXES}
    return {kind: [name for name in some if name.isprintable()] for kind, some in names.items()}
