"""Settings of remote providers and of the HTTP client. Imports no HTTP library."""

from __future__ import annotations

from typing import Any

import msgspec

from rerankd.http.transport import ClientName
from rerankd_adapters.base import Capabilities, Price, ScoreSpace, Scoring


class ProviderModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Overrides for one model of a provider; unset fields keep the values of the provider's table."""

    scoring: Scoring | None = None
    """`pointwise`: requests may be split and scores cached; `listwise`: never."""
    score_space: ScoreSpace | None = None
    """Range and comparability of its scores."""
    max_documents: int | None = None
    """Documents per call."""
    max_tokens_per_document: int | None = None
    """Tokens of one query-document pair."""
    max_total_tokens: int | None = None
    """Tokens of all query-document pairs of a call, summed."""
    max_request_bytes: int | None = None
    """Size of the request body in bytes."""
    tokenizer: str | None = None
    """Path of the model's `tokenizer.json`, for exact token counts; default: an estimate. Needs `tokenizers`."""
    takes_instruction: bool | None = None
    """Whether the model follows an instruction."""
    takes_images: bool | None = None
    """Whether documents may contain images; only for providers whose API supports them."""
    usd_per_million_tokens: float | None = None
    """Price; overrides the provider's table."""
    usd_per_million_search_units: float | None = None
    """Price; overrides the provider's table. One search unit covers a query with up to 100 documents."""

    def capabilities(self) -> Capabilities:
        """Return the fields that are set, for `Capabilities.override`."""
        names = Capabilities.__dataclass_fields__.keys() & set(self.__struct_fields__)
        stated = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Capabilities(**stated, source="settings") if stated else Capabilities()

    def prices(self, model: str) -> list[Price]:
        """Return the prices that are set, for `model`."""
        stated = {"token": self.usd_per_million_tokens, "search_unit": self.usd_per_million_search_units}
        return [
            Price(model=model, unit=unit, usd_per_million=usd, source="settings", date="")
            for unit, usd in stated.items()
            if usd is not None
        ]


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One remote provider. `${NAME}` in a string is replaced by that environment variable."""

    provider: str = ""
    """Adapter, such as `cohere` or `generic`; default: the key of this entry."""
    base_url: str = ""
    """Base URL; default: the provider's usual environment variable, else its public address."""
    api_key: str = ""
    """API key; default: the provider's usual environment variable."""
    headers: dict[str, str] = {}
    """Additional headers of every request."""
    options: dict[str, Any] = {}
    """Adapter options; `rerankd providers NAME` lists them."""
    timeout_s: float = 60.0
    """Timeout of one request in seconds; a shorter deadline of the caller wins."""
    refresh_s: float = 300.0
    """Seconds between refreshes of the models and limits that a server reports; 0 disables them."""
    models: dict[str, ProviderModelSettings] = {}
    """Overrides by model name; `*` applies to all models."""


class HttpClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """HTTP client for connections to providers."""

    client: ClientName = "auto"
    """HTTP client: `loop` is HTTP/1.1 on the event loop; `httpx` supports proxies and HTTP/2 at some forty times the
    CPU; `auto` uses `loop` unless a proxy or HTTP/2 is needed."""
    http2: bool = False
    """Use HTTP/2 with servers that support it."""
    connect_timeout_s: float = 5.0
    """Connection timeout in seconds, including the TLS handshake."""
    read_timeout_s: float = 60.0
    """Longest wait for the next bytes of a response, in seconds."""
    max_connections_per_host: int = 256
    """Maximum connections per host."""
    max_response_bytes: int = 64 * 1024 * 1024
    """Maximum size of a decompressed response in bytes."""
    ca_file: str | None = None
    """PEM file of CA certificates or self-signed server certificates, trusted in addition to the system's."""
    client_certificate_file: str | None = None
    """PEM file of the client certificate chain (mutual TLS)."""
    client_key_file: str | None = None
    """PEM file of the client certificate's private key, without passphrase; default: the certificate file."""
    proxy: str | None = None
    """`http://[user:password@]host:port`; default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`."""
