"""Callers by their certificates: which name counts, which rule, and until when. The certificates are real ones."""

from __future__ import annotations

import ipaddress
import time
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from rerankd.access import certificates
from rerankd.access.authentication import Authenticator
from rerankd.access.certificate_settings import CertificateRule
from rerankd.access.certificates import Certificates
from rerankd.access.key_format import new_secret
from rerankd.access.key_ring import KeyRing
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from tests.support.certificates import issue_client
from tests.support.engines import Clock

URI, DNS, EMAIL = x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name
SEARCH = "spiffe://prod.example/ns/search/sa/indexer"


def identity(rules: list[dict[str, Any]], *names: x509.GeneralName, common_name: tuple[str, ...] = ()) -> str | None:
    known = Certificates([CertificateRule(**rule) for rule in rules])
    grant = known.find(issue_client(*names, common_name=common_name)[0])
    return None if grant is None else grant.caller.identity


@pytest.mark.parametrize(
    ("rules", "names", "found"),
    [
        ([{"uri": "spiffe://prod.example/ns/search/*"}], [URI(SEARCH)], SEARCH),
        ([{"uri": SEARCH}], [URI(SEARCH)], SEARCH),
        ([{"uri": "spiffe://prod.example/ns/search"}], [URI(SEARCH)], None),
        ([{"uri": "spiffe://PROD.example/*"}], [URI(SEARCH)], None),
        ([{"uri": "spiffe://prod.example/*"}], [URI("spiffe://prod.example.evil.example/a")], None),
        ([{"uri": "spiffe://prod.example/*"}], [URI(f"https://evil.example/{SEARCH}")], None),
        ([{"uri": "*"}], [URI(SEARCH), URI("spiffe://other.example/a")], None),
        ([{"uri": "*"}], [URI(SEARCH), URI("https://other.example/a")], None),
        ([{"uri": "https://b*"}], [URI("https://a.example"), URI("https://b.example")], "https://b.example"),
        ([{"uri": "*"}], [DNS("a.example"), EMAIL("ann@example.com")], None),
        ([{"dns": "*.search.example"}], [DNS("A.Search.example")], "dns:a.search.example"),
        ([{"dns": "*.search.example"}], [DNS("search.example.evil.example")], None),
        ([{"dns": "*.SEARCH.example"}], [URI(SEARCH), DNS("a.search.example")], "dns:a.search.example"),
        ([{"dns": "a.example"}], [URI("dns:a.example"), EMAIL("x@a.example")], None),
        ([{"dns": "10.0.0.1"}], [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))], None),
        ([{"email": "*@example.com"}], [EMAIL("Ann@Example.com")], "email:ann@example.com"),
        ([{"email": "*@example.com"}], [EMAIL("ann@example.com.evil.example")], None),
        ([{"dns": "b*"}, {"dns": "a*"}], [DNS("a.example"), DNS("b.example")], "dns:b.example"),
        ([], [DNS("a.example")], None),
    ],
)
def test_a_name_counts_for_rules_about_its_kind(
    rules: list[dict[str, Any]], names: list[x509.GeneralName], found: str | None
) -> None:
    assert identity(rules, *names) == found


def test_a_common_name_counts_only_without_alternative_names() -> None:
    rules = [{"common_name": "legacy-*"}]
    assert identity(rules, common_name=("legacy-1",)) == "cn:legacy-1"
    assert identity(rules, common_name=("other", "legacy-2")) == "cn:legacy-2"
    assert identity(rules, DNS("a.example"), common_name=("legacy-1",)) is None
    assert identity(rules) is None
    assert identity([{"dns": "legacy-*"}], common_name=("legacy-1",)) is None


def test_a_rule_gives_scopes_groups_and_models() -> None:
    rule = CertificateRule(uri="spiffe://*", scopes=("admin",), groups=("search", "ops"), models=("cohere/*",))
    grant = Certificates([rule]).find(issue_client(URI(SEARCH))[0])
    assert grant is not None
    assert grant.scopes == {"admin"}
    assert grant.caller.groups == ("search", "ops")
    assert grant.caller.key_id == ""
    assert grant.allows_model("cohere/rerank")
    assert not grant.allows_model("local/bm25")


def test_a_certificate_ends_although_its_connection_goes_on() -> None:
    clock = Clock()
    clock.now_s = time.time()
    known = Certificates([CertificateRule(dns="*")], clock)
    certificate, _ = issue_client(DNS("a.example"), lives=timedelta(hours=1))
    assert known.find(certificate) is not None
    clock.now_s += 3601
    with pytest.raises(ServiceError, match="has expired") as refused:
        known.find(certificate)
    assert refused.value.reason is Reason.API_KEY_INVALID


def test_as_many_certificates_are_kept_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "MAX_KEPT", 2)
    known = Certificates([CertificateRule(dns="*")])
    made = [issue_client(DNS(f"{number}.example"))[0] for number in range(4)]
    first = known.find(made[0])
    assert known.find(made[0]) is first
    for certificate in made:
        known.find(certificate)
    assert known.find(made[0]) is not first


def test_what_is_no_certificate_identifies_nobody() -> None:
    known = Certificates([CertificateRule(dns="*")])
    for text in (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"text"):
        assert known.find(text) is None


async def test_a_key_that_is_sent_decides() -> None:
    known = Certificates([CertificateRule(dns="*")])
    certificate, _ = issue_client(DNS("a.example"))
    authenticator = Authenticator(KeyRing([]), certificates=known)

    def call(**metadata: str) -> CallContext:
        return CallContext("r", metadata=metadata, client_certificate=lambda: certificate)

    assert (await authenticator.identify(call())).caller.identity == "dns:a.example"
    assert (await authenticator.identify(call(authorization="Bearer "))).caller.identity == "dns:a.example"
    with pytest.raises(ServiceError) as refused:
        await authenticator.identify(call(authorization=new_secret()))
    assert refused.value.reason is Reason.API_KEY_INVALID
    with pytest.raises(ServiceError) as refused:
        await Authenticator(KeyRing([]), certificates=Certificates([])).identify(call())
    assert refused.value.reason is Reason.API_KEY_MISSING
    assert (await authenticator.identify(call(**{"sec-fetch-site": "same-origin"}))).caller.identity == "dns:a.example"
    for site in ("cross-site", "same-site"):
        with pytest.raises(ServiceError, match="page of another site"):
            await authenticator.identify(call(**{"sec-fetch-site": site}))
    with pytest.raises(ServiceError, match="no API key"):
        await authenticator.identify(CallContext("r"))
