"""Converts error responses to `AdapterError`: a table of statuses, and a parser of error bodies."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec

from rerankd_adapters.call import ProviderCall
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.http import HttpResponse

KIND_OF_STATUS: Final[Mapping[int, AdapterErrorKind]] = {
    400: AdapterErrorKind.REJECTED,
    401: AdapterErrorKind.CREDENTIALS,
    402: AdapterErrorKind.CREDENTIALS,
    403: AdapterErrorKind.CREDENTIALS,
    404: AdapterErrorKind.MODEL_NOT_FOUND,
    405: AdapterErrorKind.BAD_RESPONSE,
    407: AdapterErrorKind.UNAVAILABLE,
    408: AdapterErrorKind.UNAVAILABLE,
    409: AdapterErrorKind.UNAVAILABLE,
    413: AdapterErrorKind.REJECTED,
    422: AdapterErrorKind.REJECTED,
    424: AdapterErrorKind.UNAVAILABLE,
    425: AdapterErrorKind.UNAVAILABLE,
    429: AdapterErrorKind.RATE_LIMITED,
    498: AdapterErrorKind.REJECTED,
    499: AdapterErrorKind.UNAVAILABLE,
    501: AdapterErrorKind.BAD_RESPONSE,
}
"""HTTP status to error kind. Adapters override single statuses with `Wire.kinds`.

402 means exhausted credit (Hugging Face, Jina), which only the operator can resolve. Statuses that are not listed:
other 4xx are `REJECTED`, 5xx `UNAVAILABLE`, everything else `BAD_RESPONSE` (redirects are not followed).
"""

MAX_QUOTE_CHARS = 300
"""Maximum characters quoted from a provider's error message."""

_MAX_ERROR_BYTES = 65_536
_MAX_RETRY_AFTER_S = 86_400.0
_MESSAGE_KEYS = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "error_message",
    "errorMessage",
    "err_msg",
    "errmsg",
    "error",
    "errors",
    "title",
    "error_description",
    "Message",
    "status_msg",
    "base_resp",
)
_CODE_KEYS = ("error_code", "errorCode", "err_code", "errcode", "code", "status_code", "statusCode", "status")
_SECRETS = re.compile(
    r"(?i)(?P<scheme>\b(?:bearer|basic|apikey|token)\s+)(?=\S*\d)[\w.~+/=:-]{8,}"
    r"|(?P<name>(?:api[-_ ]?key|access[-_ ]?token|secret|password|authorization)['\"]?\s*[:=]\s*['\"]?)"
    r"(?:(?:bearer|basic)\s+)?"
    r"[^\s'\",;&]{4,}"
    r"|\b(?:sk|pa|al|nvapi|key)-(?=\S*\d)[A-Za-z0-9_-]{20,}"
    r"|\b(?:jina|hf|fw|pcsk|gsk|sk)_(?=\S*\d)[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA|AIza)[A-Za-z0-9_-]{16,}"
    r"|(?P<user>//)[^/@\s]+@"
)
_MIN_ECHO_CHARS = 12
_ECHO_CHARS = 24
_ECHO_STEP = 8
_WINDOW = re.compile(
    r"maximum context length is (\d{1,9}) tokens"
    r"|longer than the model's context length \((\d{1,9}) tokens"
    r"|current batch size: (\d{1,9})\b"
    r"|must have less than (\d{1,9}) tokens"
)
_ERROR_STATUS = re.compile(r"[45]\d\d")


def kind_of_status(status: int, overrides: Mapping[int, AdapterErrorKind] | None = None) -> AdapterErrorKind:
    """Classify an HTTP status other than 200."""
    if overrides and status in overrides:
        return overrides[status]
    if status in KIND_OF_STATUS:
        return KIND_OF_STATUS[status]
    if status >= 500:
        return AdapterErrorKind.UNAVAILABLE
    return AdapterErrorKind.REJECTED if status >= 400 else AdapterErrorKind.BAD_RESPONSE


def failure_of(
    call: ProviderCall, response: HttpResponse, kind: AdapterErrorKind, said: str | None = None
) -> AdapterError:
    """Build the error of an error response.

    Args:
        call: The failed call; its texts are removed from the message.
        response: Error response.
        kind: Its classification.
        said: The provider's error message, if it was already extracted.
    """
    words = error_text(response) if said is None else said
    return failure_with(withhold(words, call), response, kind, max_tokens=told_window(words))


def failure_with(
    words: str, response: HttpResponse, kind: AdapterErrorKind, *, max_tokens: int | None = None
) -> AdapterError:
    """Build the error of an error response.

    Args:
        words: The provider's error message, without texts of the call.
        response: Error response.
        kind: Its classification.
        max_tokens: The window that the message told, if any.
    """
    quote = clean(words)
    return AdapterError(
        kind,
        f"HTTP {response.status}: {quote}" if quote else f"HTTP {response.status}",
        retry_after_s=_wait_s(response),
        status=response.status,
        max_tokens=max_tokens if kind is AdapterErrorKind.REJECTED else None,
    )


def told_window(text: str) -> int | None:
    """Return the tokens that a server says it takes in its refusal of a longer input; `None` if it says no such thing.

    Sources: vLLM and OpenAI ("maximum context length is 512 tokens"), SGLang ("longer than the model's context length
    (512 tokens)"), llama.cpp ("increase the physical batch size (current batch size: 512)"), TEI ("must have less than
    512 tokens").
    """
    told = _WINDOW.search(text[:_MAX_ERROR_BYTES])
    return int(next(filter(None, told.groups()))) or None if told else None


def _wait_s(response: HttpResponse) -> float | None:
    """Return the retry delay in seconds from the headers, else from the body."""
    named = retry_after_s(response.headers, response.received_unix_s)
    return retry_info_s(response.body) if named is None else named


def retry_info_s(body: bytes) -> float | None:
    """Return the retry delay in seconds of a `google.rpc.RetryInfo` in a Google error body."""
    if b"retryDelay" not in body or len(body) > _MAX_ERROR_BYTES:
        return None
    try:
        details = msgspec.json.decode(body)["error"]["details"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    for detail in details if isinstance(details, list) else ():
        said = detail.get("retryDelay") if isinstance(detail, dict) else None
        seconds = _number(said[:-1]) if isinstance(said, str) and said.endswith("s") else None
        if seconds is not None:
            return min(seconds, _MAX_RETRY_AFTER_S)
    return None


def error_text(response: HttpResponse) -> str:
    """Return the error message of a body: JSON with a common key, or plain text; of a redirect, where it leads to."""
    if 300 <= response.status < 400 and (target := response.headers.get("location")):
        return _redirected(target)
    body = response.body[:_MAX_ERROR_BYTES]
    try:
        return words_of(msgspec.json.decode(response.body if len(body) < _MAX_ERROR_BYTES else b""))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return "an HTML page" if text[:200].lstrip().startswith("<") else text


def plain_words(response: HttpResponse) -> str:
    """Return a body that is plain text; empty for JSON, also broken JSON, a page, or bytes that are no text."""
    try:
        text = response.body[:_MAX_ERROR_BYTES].decode().strip()
    except UnicodeDecodeError:
        return ""
    return "" if text.startswith(("<", "{", "[")) else text


def _redirected(target: str) -> str:
    """Say where a redirect leads to, without user, password and query; redirects are not followed."""
    try:
        parts = urlsplit(target)
        host = parts.hostname and f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return "redirected to a malformed address"
    address = f"{parts.scheme or 'https'}://{host}{parts.path}" if host else f"the path {parts.path} of the same host"
    return f"redirected to {address}; redirects are not followed, set the provider's base_url to the final address"


def words_of(body: object) -> str:
    """Return the error message of a JSON body with an `error_code` beside it, or a code where there is no message."""
    said = message_in(body)
    if not said:
        return next((f"code {code}" for code in _codes_in(body)), "")
    code = body.get("error_code") if isinstance(body, Mapping) else None
    return f"{said} (error_code {code})" if isinstance(code, int | str) and code != "" else said


def stated_status(body: object) -> int | None:
    """Return the HTTP status, 400 to 599, that an error object within a body states; `None` without one."""
    statuses = (str(code) for code in _codes_in(body))
    return next((int(text) for text in statuses if _ERROR_STATUS.fullmatch(text)), None)


def _codes_in(body: object) -> Iterator[int | str]:
    if not isinstance(body, Mapping):
        return
    inner = body.get("error")
    for each in (inner if isinstance(inner, Mapping) else {}, body):
        for code in map(each.get, _CODE_KEYS):
            if type(code) is int or (isinstance(code, str) and code):
                yield code


def message_in(body: object, depth: int = 4) -> str:
    """Return the first text under a common key, such as `error.message` or `detail[0].msg`; empty if none."""
    if isinstance(body, str):
        return body
    if isinstance(body, list) and body and depth:
        return message_in(body[0], depth - 1)
    if isinstance(body, dict) and depth:
        for key in _MESSAGE_KEYS:
            if found := message_in(body.get(key), depth - 1):
                return found
    return ""


def clean(text: str) -> str:
    """Sanitize a provider's message: printable, at most `MAX_QUOTE_CHARS`, strings like credentials masked."""
    scrubbed = _SECRETS.sub(_hide, printable(text[: MAX_QUOTE_CHARS * 8]))
    return scrubbed if len(scrubbed) <= MAX_QUOTE_CHARS else scrubbed[: MAX_QUOTE_CHARS - 3] + "..."


def printable(text: str) -> str:
    """Collapse white space and unprintable characters to single spaces."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


def _hide(match: re.Match[str]) -> str:
    kept = match["scheme"] or match["name"] or match["user"] or ""
    return f"{kept}***" + ("@" if match["user"] else "")


def withhold(text: str, call: ProviderCall) -> str:
    """Truncate `text` before the first quote of the call's query or documents."""
    values = (value for fields in call.objects or () for value in (fields or {}).values() if isinstance(value, str))
    images = (image for image in call.images or () if image)
    for ours in (call.query, call.query_image, *call.documents, *values, *images):
        start = ours.strip()[:40]
        if len(start) >= _MIN_ECHO_CHARS and (position := text.find(start)) >= 0:
            text = text[:position] + "[text withheld]"
    return text


def withhold_echo(text: str, prompts: Iterable[str]) -> str:
    """Truncate `text` before the first piece of some 30 characters that a prompt has too."""
    said = text[: MAX_QUOTE_CHARS * 8]
    contents = list(prompts)
    for start in range(0, len(said) - _ECHO_CHARS + 1, _ECHO_STEP):
        echoed = next((each for each in contents if said[start : start + _ECHO_CHARS] in each), None)
        if echoed is not None:
            while start and said[start - 1 : start + _ECHO_CHARS] in echoed:
                start -= 1
            return f"{said[:start]}[text withheld]"
    return said


def retry_after_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Return the retry delay in seconds from response headers; `None` without one.

    `retry-after-ms` takes precedence over `retry-after` (seconds or an HTTP date). A date is compared with the
    response's `date` header, so that clocks need not agree, else with `now_unix_s`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, _MAX_RETRY_AFTER_S)
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is None and said:
        until, now = _unix_s(said), _unix_s(headers.get("date")) or now_unix_s
        seconds = max(until - now, 0.0) if until and now else None
    return None if seconds is None else min(seconds, _MAX_RETRY_AFTER_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _unix_s(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
