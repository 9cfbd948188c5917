"""Revocation lists as files: which count, which do not, and what happens when they change or end."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from rerankd.access import revocation
from rerankd.access.revocation import RevocationLists
from rerankd.contract.errors import Reason, ServiceError
from tests.support.certificates import authority, issue_client, revocation_list, write_authority
from tests.support.engines import Clock

NAME = x509.DNSName("client.example")
OTHER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another")])


class Revoking:
    """Lists of a file, with clocks of their own."""

    def __init__(self, folder: Path, *lists: bytes) -> None:
        self.file = folder / "crl.pem"
        self.file.write_bytes(b"# a comment\n" + b"".join(lists))
        self.wall, self.clock = Clock(), Clock()
        self.wall.now_s = time.time()
        self.lists = RevocationLists(str(self.file), str(write_authority(folder)), self.wall, self.clock)

    def refuses(self, certificate: bytes) -> bool:
        try:
            self.lists.check(lambda: certificate)
        except ServiceError as error:
            return error.reason is Reason.API_KEY_INVALID
        return False


def certificate() -> bytes:
    return issue_client(NAME)[0]


def test_those_that_a_list_names_are_refused(tmp_path: Path) -> None:
    revoked, good, both = certificate(), certificate(), certificate()
    found = Revoking(tmp_path, revocation_list(revoked), revocation_list(both))
    for _ in range(2):
        assert (found.refuses(revoked), found.refuses(both), found.refuses(good)) == (True, True, False)
    assert found.refuses(b"no certificate")


def test_a_list_of_one_authority_says_nothing_of_anothers_certificates(tmp_path: Path) -> None:
    other = trustme.CA()
    issued = other.issue_cert("client.example").cert_chain_pems[0].bytes()
    ca = write_authority(tmp_path)
    ca.write_bytes(ca.read_bytes() + other.cert_pem.bytes())
    file = tmp_path / "crl.pem"
    file.write_bytes(revocation_list(issued))  # of a serial number that the authority itself has not given
    RevocationLists(str(file), str(ca)).check(lambda: issued)
    file.write_bytes(revocation_list(issued, issuer=other))
    with pytest.raises(ServiceError):
        RevocationLists(str(file), str(ca)).check(lambda: issued)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no PEM certificate revocation list"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "that cannot be read"),
        (revocation_list(issuer=trustme.CA()), "is signed by no authority of client_ca_file"),
        (revocation_list(name=OTHER_NAME), "is signed by no authority of client_ca_file"),
        (
            revocation_list(
                issuer=trustme.CA(), name=x509.load_pem_x509_certificate(authority().cert_pem.bytes()).subject
            ),
            "is signed by no authority of client_ca_file",
        ),
        (revocation_list(extension=x509.DeltaCRLIndicator(1)), "whole lists are needed"),
        (
            revocation_list(extension=x509.IssuingDistributionPoint(None, None, False, False, None, True, False)),
            "whole lists are needed",
        ),
    ],
)
def test_files_that_cannot_be_used_are_told(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(OSError, match=problem) as refused:
        Revoking(tmp_path, content)
    assert refused.value.filename == str(tmp_path / "crl.pem")
    with pytest.raises(FileNotFoundError):
        RevocationLists(str(tmp_path / "none.pem"), str(tmp_path / "ca.pem"))


def test_a_changed_file_counts_within_a_second_and_a_broken_one_not_at_all(tmp_path: Path) -> None:
    first, second = certificate(), certificate()
    found = Revoking(tmp_path, revocation_list(first))
    assert (found.refuses(first), found.refuses(second)) == (True, False)
    found.file.write_bytes(revocation_list(second) + b"\n")
    assert (found.refuses(first), found.refuses(second)) == (True, False)
    found.clock.now_s += 1
    assert (found.refuses(first), found.refuses(second)) == (False, True)
    for content in (b"broken", revocation_list(issuer=trustme.CA())):
        found.file.write_bytes(content)
        found.clock.now_s += 1
        with capture_logs() as logs:
            assert (found.refuses(first), found.refuses(second)) == (False, True)
        assert [entry["event"] for entry in logs] == ["changed certificate revocation lists not taken up"]
    found.file.unlink()
    found.clock.now_s += 1
    assert found.refuses(second)


def test_a_list_that_has_expired_counts_on_with_one_warning(tmp_path: Path) -> None:
    revoked, good = certificate(), certificate()
    found = Revoking(tmp_path, revocation_list(revoked, ends=timedelta(hours=1)))
    with capture_logs() as logs:
        assert (found.refuses(revoked), found.refuses(good)) == (True, False)
    assert logs == []
    with capture_logs() as logs:
        found.wall.now_s += 3601
        for _ in range(3):
            found.clock.now_s += 1
            assert (found.refuses(revoked), found.refuses(good)) == (True, False)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("a certificate revocation list has expired", "warning")
    ]
    with capture_logs() as logs:
        found.file.write_bytes(revocation_list(good, ends=timedelta(hours=2)))
        found.clock.now_s += 1
        assert (found.refuses(revoked), found.refuses(good)) == (False, True)
    assert "certificate revocation lists are current" in [entry["event"] for entry in logs]


def test_what_is_kept_of_certificates_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MAX_KEPT", 2)
    some = [certificate() for _ in range(4)]
    found = Revoking(tmp_path, revocation_list(some[0], some[3]))
    for _ in range(2):
        assert [found.refuses(each) for each in some] == [True, False, False, True]
