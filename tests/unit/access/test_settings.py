"""Keys of the settings file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.scopes import ALL_SCOPES
from rerankd.settings import SettingsError, load_settings, update

SECRET = new_secret()
ISSUER = {"name": "idp", "issuer": "https://login.example", "audience": ["rerankd"]}
HASH = digest_of(new_secret())


def load(folder: Path, access: dict[str, object]) -> list[str]:
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"access": access}))
    try:
        load_settings(file)
    except SettingsError as error:
        return error.problems
    return []


def test_keys_are_declared_by_hash_or_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_KEY", SECRET)
    (tmp_path / "boot").write_text(SECRET[::-1] + "\n")
    file = tmp_path / "rerankd.yaml"
    file.write_text(f"""
access:
  enabled: true
  bootstrap_key: ${{file:boot}}
  keys:
    search: {{secret: "${{SEARCH_KEY}}", owner: team, group: g, tags: [a], models: ["cohere/*"]}}
    operator: {{hash: "sha256:{HASH}", scopes: [admin], expires_at: 2030-01-01T00:00:00Z}}
""")
    search, operator, bootstrap = load_settings(file).access.declared_keys()
    assert (search.id, search.digest, search.hint) == ("search", digest_of(SECRET), "..." + SECRET[44:48])
    assert (search.details.owner, search.details.group, search.details.models) == ("team", "g", ("cohere/*",))
    assert search.details.scopes == ("rerank", "models")
    assert (operator.digest, operator.hint, operator.expires_at) == (HASH, "", 1893456000.0)
    assert operator.details.scopes == ("admin",)
    assert (bootstrap.id, bootstrap.digest) == ("bootstrap", digest_of(SECRET[::-1]))
    assert bootstrap.details.scopes == ALL_SCOPES
    assert all(each.is_declared for each in (search, operator, bootstrap))


@pytest.mark.parametrize(
    ("access", "problem"),
    [
        (
            {"bootstrap_key": SECRET},
            "access.enabled is false, so that nobody is asked who calls; set it to true",
        ),
        (
            {"enabled": True, "bootstrap_key": "admin"},
            "access.bootstrap_key is weak: it must have 24 to 512 characters",
        ),
        ({"enabled": True, "keys": {"a": {}}}, "access.keys.a needs one of hash and secret"),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "secret": SECRET}}}, "access.keys.a needs one of"),
        ({"enabled": True, "keys": {"a": {"hash": "abc"}}}, "access.keys.a.hash must be 64 hexadecimal digits"),
        ({"enabled": True, "keys": {"a": {"secret": "a" * 40}}}, "access.keys.a.secret is weak: it repeats"),
        ({"enabled": True, "keys": {"a b": {"hash": HASH}}}, "access.keys.a b: a name has 1 to 100 letters"),
        ({"enabled": True, "keys": {"bootstrap": {"hash": HASH}}}, "access.keys.bootstrap: the name is that of"),
        (
            {"enabled": True, "keys": {"a": {"hash": HASH}, "b": {"hash": HASH}}},
            "access.keys: two of them are the same",
        ),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "scopes": []}}}, "access.keys.a.scopes: is empty; it takes"),
        (
            {"enabled": True, "keys": {"a": {"hash": HASH, "scopes": ["rerankk"]}}},
            "access.keys.a.scopes: 'rerankk' is not a scope; did you mean rerank?",
        ),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "models": [" "]}}}, "access.keys.a.models: has an empty item"),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "owner": "x" * 201}}}, "access.keys.a.owner: is longer than"),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "tags": ["x"] * 101}}}, "access.keys.a.tags: has more than"),
        ({"enabled": True, "keys": {"a": {"hash": HASH, "group": "a\nb"}}}, "access.keys.a.group: has characters"),
        (
            {"enabled": True, "keys": {"a": {"hash": HASH, "expires_at": "2030-01-01T00:00:00"}}},
            "access.keys.a.expires_at needs a time zone",
        ),
        *[
            ({"enabled": True, "jwt": [{**ISSUER, **change}]}, f"access.jwt[0].{problem}")
            for change, problem in (
                ({"name": "a b"}, "name needs 1 to 50 letters"),
                ({"issuer": "", "jwks_url": "https://a.example"}, "issuer is empty"),
                ({"issuer": "login.example"}, "jwks_url is needed, since the issuer is no https:// address"),
                ({"issuer": "http://login.example"}, "jwks_url is needed"),
                ({"issuer": "https://user@login.example"}, "jwks_url is needed"),
                ({"jwks_url": "http://10.0.0.1/keys"}, "jwks_url must be https://"),
                ({"jwks_url": "file:///etc/passwd"}, "jwks_url must be https://"),
                ({"audience": []}, "audience needs at least one name"),
                ({"audience": [""]}, "audience needs at least one name"),
                ({"algorithms": []}, "algorithms is empty; it takes RS256"),
                ({"algorithms": ["none"]}, "algorithms: 'none' cannot be allowed"),
                ({"algorithms": ["HS256"]}, "algorithms: 'HS256' cannot be allowed; did you mean"),
                ({"leeway_s": -1}, "leeway_s must be 0 to 600, is -1"),
                ({"refresh_s": 1}, "refresh_s must be 30 to 86400, is 1"),
                ({"stale_for_s": -1}, "stale_for_s must be 0 to 604800"),
                ({"identity_claim": ""}, "identity_claim is empty"),
                ({"scopes": ["rerankk"]}, "scopes: 'rerankk' is not a scope; did you mean rerank?"),
                ({"scope_names": {"users": ["root"]}}, "scope_names.users: 'root' is not a scope"),
                ({"groups": [" "]}, "groups has an empty item"),
                ({"models": ["x" * 201]}, "models is longer than"),
                ({"login": {"client_id": "a"}}, "login has no effect without access.sessions.public_url; set it"),
            )
        ],
        (
            {"enabled": True, "jwt": [ISSUER, {**ISSUER, "name": "b"}]},
            "access.jwt[1].issuer 'https://login.example' is",
        ),
        (
            {"enabled": True, "jwt": [ISSUER, {**ISSUER, "issuer": "https://b.example"}]},
            "access.jwt[1].name 'idp' is that of another issuer",
        ),
        ({"enabled": True, "jwt": [{**ISSUER, "name": "dns"}]}, "access.jwt[0].name dns stands before names of cert"),
        *[
            ({"enabled": True, "certificates": [rule]}, f"access.certificates[0]{problem}")
            for rule, problem in (
                ({}, " needs one of uri, dns, email, common_name"),
                ({"dns": "a", "uri": "b"}, " needs one of"),
                ({"dns": "a", "scopes": ["root"]}, ".scopes: 'root' is not a scope"),
                ({"dns": "a", "models": [""]}, ".models: has an empty item"),
                ({"dns": "a", "groups": ["\n"]}, ".groups: has an empty item"),
            )
        ],
        ({"enabled": True, "certificates": [{"dns": "a"}]}, "access.certificates has no effect without server.tls.cli"),
        ({"jwt": [ISSUER]}, "access.enabled is false"),
        (
            {"enabled": True, "jwt": [{**ISSUER, "login": {"client_id": "a"}}], "sessions": {"enabled": False}},
            "access.jwt[0].login has no effect without access.sessions.enabled; set it",
        ),
        *[
            (
                {"enabled": True, "jwt": [{**ISSUER, **change}], "sessions": {"public_url": "https://a.example"}},
                f"access.jwt[0].login{problem}",
            )
            for change, problem in (
                ({"login": {"client_id": ""}}, ".client_id is empty"),
                ({"login": {"client_id": "a", "scopes": ["profile"]}}, ".scopes needs openid"),
                ({"login": {"client_id": "a", "scopes": ["openid", "a b"]}}, ".scopes has a name"),
                (
                    {"login": {"client_id": "a"}, "issuer": "urn:a", "jwks_url": "https://a.example"},
                    " needs an issuer at an https:// address",
                ),
            )
        ],
        *[
            ({"sessions": {"public_url": url}}, "access.sessions.public_url must be https://..., or http:// on this")
            for url in ("rerank.example", "http://rerank.example", "https://a.example/?b", "https://a.example/#b")
        ],
        ({"metrics": "key"}, "access.metrics is key and access.enabled is false"),
        ({"revoked_within_s": 0}, "access.revoked_within_s must be 0.1 to 3600, is 0"),
        ({"stale_for_s": -1}, "access.stale_for_s must not be negative, is -1"),
        ({"spend": {"write_every_s": 0}}, "access.spend.write_every_s must be at least 0.1, is 0"),
        ({"spend": {"max_names": 0}}, "access.spend.max_names must be at least 1, is 0"),
        ({"spend": {"keep_days": 0}}, "access.spend.keep_days must be at least 1, is 0"),
        ({"ledger": {"timeout_ms": 0}}, "access.ledger.timeout_ms must be above 0, is 0"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_a_key(
    access: dict[str, object], problem: str, tmp_path: Path
) -> None:
    found, *others = load(tmp_path, access)
    assert found.startswith(problem)
    assert all("client_ca_file" in other for other in others)
    assert SECRET not in found


def test_spend_is_kept_where_callers_need_keys(tmp_path: Path) -> None:
    assert not load_settings().access.keeps_spend
    file = tmp_path / "rerankd.yaml"
    for spend, is_kept in (({}, True), ({"enabled": False}, False)):
        file.write_text(yaml.safe_dump({"access": {"enabled": True, "spend": spend}}))
        assert load_settings(file).access.keeps_spend is is_kept


def test_keys_are_reloaded_and_the_switch_is_not(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"access": {"enabled": True, "keys": {"a": {"hash": HASH}}}}))
    running = load_settings(file)
    file.write_text(yaml.safe_dump({"access": {"enabled": False}}))
    found = update(running, load_settings(file))
    assert found.needs_restart == ["access.enabled"]
    assert found.settings.access.enabled
    assert found.settings.access.keys == {}
