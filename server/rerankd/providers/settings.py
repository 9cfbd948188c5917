"""Settings of remote providers. Imports no HTTP library."""

from __future__ import annotations

from typing import Any

import msgspec

from rerankd.http.transport_settings import TlsSettings
from rerankd_adapters.base import Capabilities, Price, ScoreSpace, Scoring
from rerankd_adapters.capability import ChatPrice


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
    truncates: bool | None = None
    """Whether the server cuts documents that exceed its window; `false`: documents are cut before they are sent."""
    takes_instruction: bool | None = None
    """Whether the model follows an instruction."""
    takes_images: bool | None = None
    """Whether documents may contain images; only for providers whose API supports them."""
    takes_query_images: bool | None = None
    """Whether the query may be an image; only for providers whose API supports it."""
    usd_per_million_tokens: float | None = None
    """Price; overrides the provider's table. Of a chat model: of the tokens that it reads."""
    usd_per_million_output_tokens: float | None = None
    """Price of the tokens that a chat model writes; default: as those that it reads."""
    usd_per_million_search_units: float | None = None
    """Price; overrides the provider's table. One search unit covers a query with up to 100 documents."""
    usd_per_call: float | None = None
    """Price of one request to the provider, for one that reports neither tokens nor search units; a call that is split
    makes several requests."""

    def capabilities(self) -> Capabilities:
        """Return the fields that are set, for `Capabilities.override`."""
        names = Capabilities.__dataclass_fields__.keys() & set(self.__struct_fields__)
        stated = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Capabilities(**stated, source="settings") if stated else Capabilities()

    def prices(self, model: str) -> list[Price]:
        """Return the prices that are set, for `model`."""
        stated = {
            "token": self.usd_per_million_tokens if self.usd_per_million_output_tokens is None else None,
            "search_unit": self.usd_per_million_search_units,
            "call": None if self.usd_per_call is None else self.usd_per_call * 1_000_000,
        }
        found = [
            Price(model=model, unit=unit, usd_per_million=usd, source="settings", date="")
            for unit, usd in stated.items()
            if usd is not None
        ]
        if self.usd_per_million_output_tokens is not None:
            found.append(
                ChatPrice(
                    model=model,
                    usd_per_million=self.usd_per_million_tokens or 0.0,
                    output_usd_per_million=self.usd_per_million_output_tokens,
                    source="settings",
                    date="",
                )
            )
        return found


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
    tls: TlsSettings = TlsSettings()
    """TLS to this provider alone: certificates, server name, verification."""
    timeout_s: float = 60.0
    """Timeout of one request in seconds; a shorter deadline of the caller wins."""
    refresh_s: float = 300.0
    """Seconds between refreshes of the models and limits that a server reports; 0 disables them."""
    models: dict[str, ProviderModelSettings] = {}
    """Overrides by model name; `*` applies to all models."""
