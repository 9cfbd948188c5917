"""From error responses to `AdapterError`: statuses, words, waiting times, nothing secret."""

from __future__ import annotations

import json

import pytest

from rerankd_adapters.base import AdapterErrorKind, HttpResponse, ProviderCall
from rerankd_adapters.failure import (
    clean,
    error_text,
    failure_of,
    kind_of_status,
    retry_after_s,
    retry_info_s,
    stated_status,
    told_window,
    withhold,
)

CALL = ProviderCall(model="m", query="a query of the caller", documents=["a document of the caller"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, AdapterErrorKind.BAD_RESPONSE),
        (400, AdapterErrorKind.REJECTED),
        (402, AdapterErrorKind.CREDENTIALS),
        (404, AdapterErrorKind.MODEL_NOT_FOUND),
        (418, AdapterErrorKind.REJECTED),
        (424, AdapterErrorKind.UNAVAILABLE),
        (429, AdapterErrorKind.RATE_LIMITED),
        (529, AdapterErrorKind.UNAVAILABLE),
    ],
)
def test_status(status: int, kind: AdapterErrorKind) -> None:
    assert kind_of_status(status) is kind


def test_provider_overrides_a_status() -> None:
    assert kind_of_status(400, {400: AdapterErrorKind.RATE_LIMITED}) is AdapterErrorKind.RATE_LIMITED


def test_retryable_kinds() -> None:
    assert {kind.value for kind in AdapterErrorKind if kind.is_retryable} == {"rate_limited", "unavailable"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message": "a"}', "a"),
        (b'{"error": "a"}', "a"),
        (b'{"error": {"message": "a", "code": 400}}', "a"),
        (b'{"detail": "a"}', "a"),
        (b'{"detail": {"error": "a"}}', "a"),
        (b'{"detail": [{"loc": ["body"], "msg": "a"}]}', "a"),
        (b'{"errors": [{"code": "x", "message": "a"}]}', "a"),
        (b'{"status": 429, "title": "a"}', "a"),
        (b'["a"]', "a"),
        (b'{"code": 1}', "code 1"),
        (b'{"error": {"type": "x", "code": "busy"}}', "code busy"),
        (b'{"error_code": 110, "error_msg": "a"}', "a (error_code 110)"),
        (b'{"errorMessage": "a"}', "a"),
        (b'{"base_resp": {"status_code": 1004, "status_msg": "a"}}', "a"),
        (b"plain text\n", "plain text"),
        (b"  <html><body>x</body></html>", "an HTML page"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
        (b"[" * 5000, "[" * 5000),
    ],
)
def test_words_of_a_body(body: bytes, text: str) -> None:
    assert error_text(HttpResponse(status=400, body=body)) == text


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://user:secret@new.host:8443/v1/rerank?key=secret", "https://new.host:8443/v1/rerank"),
        ("//new.host/rerank", "https://new.host/rerank"),
        ("/rerank/?token=secret", "the path /rerank/ of the same host"),
        ("http://[::1", "a malformed address"),
        ("http://h:99999/", "a malformed address"),
    ],
)
def test_words_of_a_redirect(location: str, place: str) -> None:
    response = HttpResponse(status=307, headers={"location": location}, body=b"Temporary Redirect")
    said = failure_of(CALL, response, kind_of_status(307)).message
    assert said.startswith(f"HTTP 307: redirected to {place}")
    assert "secret" not in said
    assert ("base_url" in said) == ("malformed" not in place)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 429}}, 429),
        ({"code": "503", "message": "busy"}, 503),
        ({"error_code": 110, "status": 401}, 401),
        ({"code": 200}, None),
        ({"code": 20012}, None),
        ({"status": True}, None),
        ([], None),
    ],
)
def test_status_stated_in_a_body(body: object, status: int | None) -> None:
    assert stated_status(body) == status


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: ***"),
        ("key sk-abcdefghijklmnopqrstuv12 is wrong", "key *** is wrong"),
        ('{"api_key": "abcdef"}', '{"api_key": "***"}'),
        ("https://user:password@host/path", "https://***@host/path"),
        (
            "model jina-reranker-v2-base-multilingual is gone",
            "model jina-reranker-v2-base-multilingual is gone",
        ),
        (
            "the maximum token length exceeded, use basic authentication",
            "the maximum token length exceeded, use basic authentication",
        ),
        ("one\ntwo\x00three\u202efour", "one two three four"),
    ],
)
def test_cleaning(said: str, kept: str) -> None:
    assert clean(said) == kept


def test_quotes_are_brief() -> None:
    assert len(clean("x" * 10_000)) == 300


def test_texts_of_the_caller_are_withheld() -> None:
    assert withhold("bad input: a document of the caller, twice", CALL) == "bad input: [text withheld]"
    assert withhold("bad input", CALL) == "bad input"


def test_failure_carries_status_and_wait() -> None:
    response = HttpResponse(status=429, headers={"retry-after": "3"}, body=b'{"message": "wait"}')
    error = failure_of(CALL, response, AdapterErrorKind.RATE_LIMITED)
    assert (error.message, error.status, error.retry_after_s) == ("HTTP 429: wait", 429, 3.0)


NOW_S = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:00:10 GMT", "date": "Wed, 21 Oct 2026 09:00:00 GMT"}, 10.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e12"}, 86_400.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == seconds


def test_date_without_a_clock_says_nothing() -> None:
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0) is None


def google_error(*details: object) -> bytes:
    return json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": list(details)}}).encode()


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (google_error({"@type": "type.googleapis.com/google.rpc.ErrorInfo"}, RETRY_INFO), 3.5),
        (google_error({"retryDelay": "0s"}), 0.0),
        (google_error({"retryDelay": "999999999s"}), 86_400.0),
        (google_error({"retryDelay": "3.5"}, None, "retryDelay", {"retryDelay": "-1s"}, {"retryDelay": 3}), None),
        (google_error({"retryDelay": "nans"}), None),
        (b'{"error": "retryDelay"}', None),
        (b'[{"retryDelay": "1s"}]', None),
        (b'{"error": {"details": {"retryDelay": "1s"}}}', None),
        (b"retryDelay", None),
        (b"", None),
    ],
)
def test_retry_info_of_google(body: bytes, seconds: float | None) -> None:
    assert retry_info_s(body) == seconds


def test_the_header_goes_before_the_body() -> None:
    body = google_error(RETRY_INFO)
    for headers, seconds in (({}, 3.5), ({"retry-after": "2"}, 2.0), ({"retry-after": "soon"}, 3.5)):
        response = HttpResponse(status=429, headers=headers, body=body)
        assert failure_of(CALL, response, AdapterErrorKind.RATE_LIMITED).retry_after_s == seconds


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("This model's maximum context length is 512 tokens. However, you requested 600 tokens", 512),
        ("The input (600 tokens) is longer than the model's context length (8192 tokens).", 8192),
        ("input (9 tokens) is too large to process. increase the physical batch size (current batch size: 8)", 8),
        ("Input validation error: `inputs` must have less than 512 tokens. Given: 600", 512),
        ("maximum context length is 0 tokens", None),
        ("maximum context length is 99999999999999 tokens", None),
        ("too long", None),
        ("", None),
    ],
)
def test_window_that_a_refusal_tells(said: str, tokens: int | None) -> None:
    assert told_window(said) == tokens
    response = HttpResponse(status=400, body=json.dumps({"message": said}).encode())
    assert failure_of(CALL, response, AdapterErrorKind.REJECTED).max_tokens == tokens
    assert failure_of(CALL, response, AdapterErrorKind.UNAVAILABLE).max_tokens is None
