"""Settings of providers that are reached over a network. Cheap to import: no HTTP library."""

from __future__ import annotations

from typing import Any

import msgspec

from rerankd.http.transport import ClientName
from rerankd_adapters.base import Capabilities, Price, ScoreSpace, Scoring


class ProviderModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the operator knows of a model; what is not stated stays as the provider's table says."""

    scoring: Scoring | None = None
    """`pointwise` models may be split and cached, `listwise` ones never are."""
    score_space: ScoreSpace | None = None
    """What its scores are."""
    max_documents: int | None = None
    """Documents in one call."""
    max_tokens_per_document: int | None = None
    """Tokens of query and document together."""
    max_total_tokens: int | None = None
    """Tokens of all pairs of a call together."""
    max_request_bytes: int | None = None
    """Bytes of one request's body."""
    tokenizer: str | None = None
    """Path of the model's `tokenizer.json`, for exact counts of tokens; default: an estimate. Needs `tokenizers`."""
    takes_instruction: bool | None = None
    """Whether it follows an instruction."""
    takes_images: bool | None = None
    """Whether documents may have images; only for providers whose API has a place for them."""
    usd_per_million_tokens: float | None = None
    """Price, before the table's."""
    usd_per_million_search_units: float | None = None
    """Price, before the table's; one search unit covers a query with up to 100 documents."""

    def capabilities(self) -> Capabilities:
        """Return what is stated, to be laid over the provider's own facts."""
        names = Capabilities.__dataclass_fields__.keys() & set(self.__struct_fields__)
        stated = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Capabilities(**stated, source="settings") if stated else Capabilities()

    def prices(self, model: str) -> list[Price]:
        """Return the stated prices of `model`."""
        stated = {"token": self.usd_per_million_tokens, "search_unit": self.usd_per_million_search_units}
        return [
            Price(model=model, unit=unit, usd_per_million=usd, source="settings", date="")
            for unit, usd in stated.items()
            if usd is not None
        ]


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider the service may call. `${NAME}` in a string is the environment variable of that name."""

    provider: str = ""
    """Which adapter speaks to it, such as `cohere` or `generic`; default: the key it stands under."""
    base_url: str = ""
    """Where it is; default: the provider's public address, or its usual environment variable."""
    api_key: str = ""
    """Its key; default: its usual environment variable."""
    headers: dict[str, str] = {}
    """Further headers on every request."""
    options: dict[str, Any] = {}
    """The adapter's own options; `rerankd providers NAME` lists them."""
    timeout_s: float = 60.0
    """Longest time one request may take when the caller's deadline allows more."""
    refresh_s: float = 300.0
    """How often a server that tells its models and limits is asked for them, in seconds; 0 is never."""
    models: dict[str, ProviderModelSettings] = {}
    """What you know better of its models, by name; `*` stands for all."""


class HttpClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How connections to providers are made."""

    client: ClientName = "auto"
    """How requests are sent: `loop` is HTTP/1.1 on the event loop, `httpx` does proxies and HTTP/2 at some forty times
    the CPU; `auto` is `loop` for what needs neither."""
    http2: bool = False
    """Whether HTTP/2 is used with servers that offer it."""
    connect_timeout_s: float = 5.0
    """Seconds to connect, the TLS handshake included."""
    read_timeout_s: float = 60.0
    """Longest silence in the middle of a response, in seconds."""
    max_connections_per_host: int = 256
    """Connections kept to one host."""
    max_response_bytes: int = 64 * 1024 * 1024
    """Decompressed size of a response."""
    ca_file: str | None = None
    """PEM certificates trusted besides the system's; a self-signed one of a server will do."""
    client_certificate_file: str | None = None
    """PEM certificate chain to present."""
    client_key_file: str | None = None
    """PEM private key of the certificate, without a passphrase; default: in the same file."""
    proxy: str | None = None
    """`http://[user:password@]host:port`; default: what `HTTPS_PROXY` and its like say."""
