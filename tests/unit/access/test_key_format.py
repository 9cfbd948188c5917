"""The text of an API key."""

from __future__ import annotations

import hashlib

import pytest

from rerankd.access.key_format import digest_of, has_our_form, hint_of, new_secret, parse_digest, weakness

FOREIGN = "sk-9fJ2kLx0Qp7vTz4RbN8wYc"


def test_a_new_key_has_our_form_and_is_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("rerankd_")
        assert len(secret) == 54
        assert has_our_form(secret)
        assert weakness(secret) is None


@pytest.mark.parametrize("position", [8, 20, 47, 48, 53])
def test_a_mistyped_character_is_found_by_the_checksum(position: int) -> None:
    secret = new_secret()
    wrong = secret[:position] + ("a" if secret[position] != "a" else "b") + secret[position + 1 :]
    assert not has_our_form(wrong)
    assert weakness(wrong) == "its checksum is wrong: it was cut or mistyped"
    assert not has_our_form(secret[:-1])


def test_only_the_digest_is_kept() -> None:
    assert digest_of("abc") == hashlib.sha256(b"abc").hexdigest()
    assert parse_digest(" SHA256:" + digest_of("abc").upper()) == digest_of("abc")
    assert parse_digest(digest_of("abc")[:-1]) is None


def test_the_hint_tells_keys_apart_and_helps_nobody_to_guess_one() -> None:
    secret = new_secret()
    assert hint_of(secret) == "..." + secret[44:48]
    assert hint_of(FOREIGN) == "...wYc"[:3] + FOREIGN[-4:]


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        ("admin", "24 to 512 characters, has 5"),
        ("x" * 513, "24 to 512 characters, has 513"),
        ("a" * 40, "repeats few characters"),
        ("abcabcabcabcabcabcabcabcabc", "repeats few characters"),
        ("my-secret-key-9fJ2kLx0Qp7vTz4R", "looks like a placeholder"),
        ("CHANGEME9fJ2kLx0Qp7vTz4RbN8w", "looks like a placeholder"),
        ("9fJ2kLx0Qp7vTz4RbN8wYc 9fJ2kLx0", "printable ASCII without spaces"),
        ("9fJ2kLx0Qp7vTz4RbN8wYcé9fJ2kLx0", "printable ASCII without spaces"),
        ("", "24 to 512 characters, has 0"),
    ],
)
def test_weak_keys_are_refused(secret: str, rule: str) -> None:
    assert rule in (weakness(secret) or "")


def test_strong_keys_of_other_forms_are_taken() -> None:
    assert weakness(FOREIGN) is None
