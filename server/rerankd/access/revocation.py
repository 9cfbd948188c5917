"""Certificates of callers that their authorities have revoked (certificate revocation lists, RFC 5280)."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from rerankd.contract.errors import Reason, ServiceError
from rerankd.http.tls import file_states
from rerankd.telemetry.fault_log import FaultLog

MAX_KEPT: Final = 1000
"""Most certificates of which it is kept whether they are revoked."""
_LOOK_EVERY_S: Final = 1.0
_LIST: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)

_log = structlog.get_logger("rerankd.access")


class RevocationLists:
    """The revocation lists of a file, which is read again when it changes. For one event loop.

    A list that has expired still counts, with a warning: those whom it names stay out, and nobody else does.

    Args:
        file: Lists, PEM.
        authorities_file: Authorities of callers' certificates, PEM; one of them must have signed each list.
        clock: Returns seconds since 1970.
        monotonic: Returns seconds that only grow.

    Raises:
        OSError: For a file that cannot be used; names it.
    """

    def __init__(
        self,
        file: str,
        authorities_file: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._authorities_file = authorities_file
        self._clock = clock
        self._now_s = monotonic
        self._seen = file_states(self._files)
        self._lists = _read(file, authorities_file)
        self._known: dict[bytes, bool] = {}
        self._looked_at_s = -math.inf
        self._expiry = FaultLog(
            _log, "a certificate revocation list has expired", "certificate revocation lists are current", file=file
        )

    def check(self, certificate: Callable[[], bytes]) -> None:
        """Return if a connection's client may call.

        Args:
            certificate: Returns the certificate of the client, PEM, which the listener has verified.

        Raises:
            ServiceError: `API_KEY_INVALID` for one that was revoked, or that cannot be read.
        """
        self._look()
        shown = certificate()
        is_revoked = self._known.get(shown)
        if is_revoked is None:
            is_revoked = self._is_revoked(shown)
            if len(self._known) >= MAX_KEPT:
                del self._known[next(iter(self._known))]
            self._known[shown] = is_revoked
        if is_revoked:
            message = "the certificate of this connection was revoked; connect again with another one"
            raise ServiceError(Reason.API_KEY_INVALID, message)

    @property
    def _files(self) -> list[Path]:
        return [Path(self._file), Path(self._authorities_file)]

    def _look(self) -> None:
        """Take up a changed file, at most once a second."""
        if self._now_s() - self._looked_at_s < _LOOK_EVERY_S:
            return
        self._looked_at_s = self._now_s()
        found = file_states(self._files)
        if found != self._seen:
            self._seen = found
            try:
                self._lists = _read(self._file, self._authorities_file)
                self._known.clear()
                _log.info("changed certificate revocation lists taken up", file=self._file, lists=len(self._lists))
            except OSError as error:
                _log.warning(
                    "changed certificate revocation lists not taken up", file=error.filename, problem=error.strerror
                )
        self._warn_of_expiry()

    def _warn_of_expiry(self) -> None:
        ends = [(each.next_update_utc, each.issuer.rfc4514_string()) for each in self._lists]
        over = [name for end, name in ends if end is not None and end.timestamp() <= self._clock()]
        if over:
            self._expiry.failed(f"of {over[0]}")
        else:
            self._expiry.succeeded()

    def _is_revoked(self, certificate: bytes) -> bool:
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            return any(
                each.issuer == parsed.issuer
                and each.get_revoked_certificate_by_serial_number(parsed.serial_number) is not None
                for each in self._lists
            )
        except ValueError:
            return True  # nobody can say that it was not


def _read(file: str, authorities_file: str) -> Sequence[x509.CertificateRevocationList]:
    """Read the lists of a file.

    Raises:
        OSError: Names the file that cannot be used.
    """
    blocks = _LIST.findall(Path(file).read_bytes())
    if not blocks:
        raise OSError(0, "it holds no PEM certificate revocation list", file)
    try:
        authorities = x509.load_pem_x509_certificates(Path(authorities_file).read_bytes())
    except ValueError as error:
        raise OSError(0, "it holds no PEM certificate", authorities_file) from error
    try:
        lists = [x509.load_pem_x509_crl(block) for block in blocks]
        problems = [problem for each in lists if (problem := _problem_of(each, authorities))]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OSError(0, "it holds a certificate revocation list that cannot be read", file) from error
    if problems:
        raise OSError(0, problems[0], file)
    return lists


def _problem_of(listed: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]) -> str:
    """Return why a list cannot be used; empty if it can."""
    name = listed.issuer.rfc4514_string()
    kinds = {type(extension.value): extension.value for extension in listed.extensions}
    points = kinds.get(x509.IssuingDistributionPoint)
    if x509.DeltaCRLIndicator in kinds or (isinstance(points, x509.IssuingDistributionPoint) and points.indirect_crl):
        return f"the list of {name} has changes alone, or certificates of others; whole lists are needed"
    if not any(each.subject == listed.issuer and _has_signed(each, listed) for each in authorities):
        return f"the list of {name} is signed by no authority of client_ca_file"
    return ""


def _has_signed(authority: x509.Certificate, listed: x509.CertificateRevocationList) -> bool:
    try:
        return listed.is_signature_valid(authority.public_key())  # type: ignore[arg-type] # of other kinds: TypeError
    except TypeError:
        return False
