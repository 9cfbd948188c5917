"""Finds personal data and secrets by patterns; checksums are verified, so few order numbers are taken for cards."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Final

from rerankd.access.guardrails.finding import Finding
from rerankd.access.guardrails.settings import PatternGuardrail

_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_PHONE: Final = re.compile(r"(?<![\w+])(?:\+|\(?\d)[\d ()./-]{5,22}\d(?!\w)")
_CARD: Final = re.compile(
    r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{5})(?![\w-]| \d)"
)
_IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")
_IP: Final = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f:.]{1,39})(?![\w:]|\.\d)")
_NATIONAL_ID: Final = re.compile(
    r"(?<![\w-])(?:[A-Za-z]{0,2}\d(?:[ ./-]?\d){5,20}[A-Za-z]?|[A-Za-z0-9](?:[./-]?[A-Za-z0-9]){6,20})(?![\w-])"
)
_SECRET: Final = re.compile(
    r"(?<![\w-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{50,255}"
    r"|glpat-[0-9A-Za-z_-]{20,64}"
    r"|xox[abprs]-[0-9A-Za-z-]{10,250}"  # Slack
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|sk-[0-9A-Za-z_-]{20,200}"  # OpenAI, Anthropic, LiteLLM
    r"|rk_[0-9A-Za-z_]{20,200}"
    r"|[rs]k_live_[0-9A-Za-z]{16,200}"  # Stripe
    r"|npm_[0-9A-Za-z]{36}|pypi-[0-9A-Za-z_-]{50,255}|hf_[0-9A-Za-z]{30,64}"
    r"|eyJ[0-9A-Za-z_-]{10,2000}\.eyJ[0-9A-Za-z_-]{10,4000}\.[0-9A-Za-z_-]{10,1000}"  # JWT
    r")(?![\w-])"
    r"|-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY-----"
)
_CARD_STARTS: Final = ("2", "3", "4", "5", "6", "8")

Check = Callable[[str], bool]


class PatternFinder:
    """Satisfies `Finder`.

    Args:
        settings: What to look for.

    Raises:
        ValueError: A kind of national ids is not known.
        ModuleNotFoundError: The libraries of the extra `guardrails` are not installed.
    """

    def __init__(self, settings: PatternGuardrail) -> None:
        self._allow = settings.allow
        self._parts: list[tuple[str, re.Pattern[str], Check | None]] = []
        for kind in settings.kinds:
            pattern, check = _PARTS[kind]
            self._parts.append((kind, pattern, _phone_check(settings.phone_region) if kind == "phone" else check()))
        for name in settings.national_ids:
            self._parts.append(("national_id", _NATIONAL_ID, _national_id_check(name)))

    @property
    def reads_pieces(self) -> bool:
        """See `Finder`."""
        return True

    def find(self, text: str, *, is_query: bool) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's
        """See `Finder`."""
        return list(self._found(text))

    def _found(self, text: str) -> Iterator[Finding]:
        for kind, pattern, check in self._parts:
            for match in pattern.finditer(text):
                value = _longest_valid(match.group(), check, 8 if kind == "iban" else 1) if check else match.group()
                if value and not any(fnmatchcase(value, each) for each in self._allow):
                    yield Finding(match.start(), match.start() + len(value), kind)


def _longest_valid(value: str, check: Check, tries: int) -> str:
    """Return the value, or what is left of it without the last words, that is valid; empty if none of `tries` is."""
    for _ in range(tries):
        if check(value):
            return value
        value = value.rpartition(" ")[0]
    return ""


def _unchecked() -> Check | None:
    return None


def _phone_check(region: str) -> Check:
    from phonenumbers import NumberParseException, is_valid_number, parse

    def is_phone(value: str) -> bool:
        if not region and not value.startswith("+"):
            return False
        try:
            return is_valid_number(parse(value, region or None))
        except NumberParseException:
            return False

    return is_phone


def _card_check() -> Check:
    from stdnum import luhn

    def is_card(value: str) -> bool:
        digits = value.replace(" ", "").replace("-", "")
        return digits.startswith(_CARD_STARTS) and luhn.is_valid(digits) and len(set(digits)) > 1

    return is_card


def _iban_check() -> Check:
    from stdnum import iban

    return iban.is_valid


def _ip_check() -> Check:
    def is_address(value: str) -> bool:
        try:
            return bool(ipaddress.ip_address(value))
        except ValueError:
            return False

    return is_address


def _national_id_check(name: str) -> Check:
    import stdnum

    try:
        module: Any = import_module(f"{stdnum.__name__}.{name}")
    except ModuleNotFoundError:
        raise ValueError(f"python-stdnum has no {name}") from None
    is_valid: Check = module.is_valid
    return is_valid


_PARTS: Final[dict[str, tuple[re.Pattern[str], Callable[[], Check | None]]]] = {
    "email": (_EMAIL, _unchecked),
    "phone": (_PHONE, _unchecked),
    "card": (_CARD, _card_check),
    "iban": (_IBAN, _iban_check),
    "ip_address": (_IP, _ip_check),
    "secret": (_SECRET, _unchecked),
}
