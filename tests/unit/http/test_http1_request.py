"""What a request looks like on the wire, and which ones are none."""

from __future__ import annotations

import pytest

from rerankd.http.http1_request import form_key, form_of
from rerankd_adapters.base import AdapterError, HttpRequest

DEFAULTS = "user-agent: rerankd\r\naccept: */*\r\naccept-encoding: zstd, gzip\r\n"


def head(request: HttpRequest) -> str:
    return form_of(request).head_of(request).decode()


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "named"),
    [
        ("http://host/v1/rerank", "host", 80, "/v1/rerank", "host"),
        ("http://host:80/v1/rerank", "host", 80, "/v1/rerank", "host"),
        ("HTTP://Host:8080", "host", 8080, "/", "host:8080"),
        ("http://host:8080?a=1", "host", 8080, "/?a=1", "host:8080"),
        ("http://127.0.0.1:8080/a?b=c%2Fd&e=#part", "127.0.0.1", 8080, "/a?b=c%2Fd&e=", "127.0.0.1:8080"),
        ("http://[::1]:8080/a", "::1", 8080, "/a", "[::1]:8080"),
        ("http://[::1]/a", "::1", 80, "/a", "[::1]"),
        ("http://under_score/a b/é/%2F/100%", "under_score", 80, "/a%20b/%C3%A9/%2F/100%", "under_score"),
        ("https://host/v1/rerank", "host", 443, "/v1/rerank", "host"),
        ("https://host:443/v1/rerank", "host", 443, "/v1/rerank", "host"),
        ("HTTPS://host:80/", "host", 80, "/", "host:80"),
        ("http://host:443/", "host", 443, "/", "host:443"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ('http://host/models/a:b@c,d;e"f<g>', "host", 80, "/models/a:b@c,d;e%22f%3Cg%3E", "host"),
    ],
)
def test_url(url: str, host: str, port: int, target: str, named: str) -> None:
    request = HttpRequest(url=url, body=b"{}")
    form = form_of(request)
    assert (form.is_tls, form.host, form.port) == (url.lower().startswith("https"), host, port)
    assert head(request) == f"POST {target} HTTP/1.1\r\nhost: {named}\r\n{DEFAULTS}content-length: 2\r\n\r\n"


def test_headers_come_in_place_of_the_usual_ones() -> None:
    headers = {"Host": "other", "accept-encoding": "identity", "x%s": "100 % sure", "x-empty": "", "x-text": "a\tcafé"}
    request = HttpRequest(url="http://host/", headers=headers)
    assert head(request) == (
        "POST / HTTP/1.1\r\nuser-agent: rerankd\r\naccept: */*\r\nHost: other\r\naccept-encoding: identity\r\n"
        "x%s: 100 % sure\r\nx-empty: \r\nx-text: a\tcafé\r\ncontent-length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "length"), [("GET", ""), ("HEAD", ""), ("POST", "content-length: 0\r\n")])
def test_length_without_a_body(method: str, length: str) -> None:
    request = HttpRequest(method=method, url="http://host/")
    assert head(request) == f"{method} / HTTP/1.1\r\nhost: host\r\n{DEFAULTS}{length}\r\n"


def test_user_and_password_become_a_header() -> None:
    request = HttpRequest(url="http://us%40er:pass%3Aword@host/")
    assert "authorization: Basic dXNAZXI6cGFzczp3b3Jk\r\n" in head(request)
    assert "us%40er" not in head(request)
    keyed = HttpRequest(url=request.url, headers={"authorization": "Bearer key"})
    assert head(keyed).count("authorization") == 1
    assert "authorization: Bearer key\r\n" in head(keyed)


@pytest.mark.parametrize(
    "request_",
    [
        *(
            HttpRequest(url=url)
            for url in (
                "",
                "not a url",
                "//host/",
                "ftp://host/",
                "http:///path",
                "http://:80/",
                "http://host:port/",
                "http://host:99999/",
                "http://[::1/",
                "http://a b/",
                "http://a%00b/",
                "http://a..b/",
                "http://host/a\r\nx: y",
                "http://host/\x00",
                "http://host/\ud800",
            )
        ),
        *(
            HttpRequest(url="http://host/", headers=headers)
            for headers in (
                {"authorization": "Bearer a\r\nx: y"},
                {"x": "a\nb"},
                {"x": "a\rb"},
                {"x": "a\x00b"},
                {"x": "a\x7fb"},
                {"x": "\ud800"},
                {"x\r\ny": "a"},
                {"x: y": "a"},
                {"x y": "a"},
                {"": "a"},
                {"é": "a"},
                {"Content-Length": "3"},
                {"transfer-encoding": "chunked"},
            )
        ),
        HttpRequest(method="GET / HTTP/1.1\r\nx:", url="http://host/"),
        HttpRequest(method="", url="http://host/"),
    ],
)
def test_unsendable(request_: HttpRequest) -> None:
    with pytest.raises(AdapterError, match="the request cannot be sent"):
        head(request_)


def test_value_of_a_form_that_is_known() -> None:
    """The form is made of the first request; values of later ones are looked at all the same."""
    first = HttpRequest(url="http://host/", headers={"x": "a"}, body=b"1")
    later = HttpRequest(url="http://host/", headers={"x": "a\r\ny: b"}, body=b"22")
    form = form_of(first)
    assert form_key(first) == form_key(later)
    with pytest.raises(AdapterError):
        form.head_of(later)


@pytest.mark.parametrize(
    "other",
    [
        HttpRequest(url="http://host/b", headers={"x": "a"}, body=b"1"),
        HttpRequest(url="http://host/", headers={"y": "a"}, body=b"1"),
        HttpRequest(url="http://host/", headers={"x": "a", "y": "a"}, body=b"1"),
        HttpRequest(url="http://host/", headers={"x": "a"}),
        HttpRequest(method="PUT", url="http://host/", headers={"x": "a"}, body=b"1"),
    ],
)
def test_other_forms(other: HttpRequest) -> None:
    assert form_key(other) != form_key(HttpRequest(url="http://host/", headers={"x": "a"}, body=b"1"))
