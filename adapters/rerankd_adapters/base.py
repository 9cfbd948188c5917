"""Public API for adapters: everything that a third-party adapter imports.

No I/O and no dependency on the server.
"""

from rerankd_adapters.call import ModelProvider, ProviderCall, ProviderReply, Stage
from rerankd_adapters.capability import Capabilities, ModelInfo, ScoreSpace, Scoring, Truncation
from rerankd_adapters.error import AdapterError, AdapterErrorKind
from rerankd_adapters.http import Endpoint, Exchange, HttpAdapter, HttpRequest, HttpResponse
from rerankd_adapters.provider import (
    BEARER,
    NO_KEY,
    Authentication,
    ModelRule,
    Price,
    Provider,
    Scheme,
    header_key,
)

__all__ = [
    "BEARER",
    "NO_KEY",
    "AdapterError",
    "AdapterErrorKind",
    "Authentication",
    "Capabilities",
    "Endpoint",
    "Exchange",
    "HttpAdapter",
    "HttpRequest",
    "HttpResponse",
    "ModelInfo",
    "ModelProvider",
    "ModelRule",
    "Price",
    "Provider",
    "ProviderCall",
    "ProviderReply",
    "Scheme",
    "ScoreSpace",
    "Scoring",
    "Stage",
    "Truncation",
    "header_key",
]
