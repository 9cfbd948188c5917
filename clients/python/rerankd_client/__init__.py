"""Python client of the rerank service, asynchronous and blocking.

    from rerankd_client import RerankClient

    with RerankClient("localhost:50051") as client:
        response = client.rerank(query="who wrote Dune?", documents=["Frank Herbert.", "A desert."], top_n=1)
        for result in response.results:
            print(result.index, result.relevance_score)

`AsyncRerankClient` has the same methods, to be awaited. Failures raise a `RerankError`; `errors` draws
the tree.
"""

from rerankd_client.aio import AsyncBatch, AsyncRerankClient
from rerankd_client.batch import BatchProgress, BatchResult, BatchSummary
from rerankd_client.connection import ClientOptions, client_version
from rerankd_client.documents import Document
from rerankd_client.enums import (
    CacheControl,
    ModelKind,
    ModelStatus,
    ScoreNormalization,
    ScoreSpace,
    Scoring,
    StageStatus,
    Strategy,
    Truncation,
)
from rerankd_client.errors import (
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InternalError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaViolation,
    RerankError,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from rerankd_client.health import HealthStatus
from rerankd_client.keys import ApiKey, ExistingKey, KeyOptions, KeySource, NewKey
from rerankd_client.models import Model, ModelLimits, Price
from rerankd_client.requests import BatchDefaults, BatchItem, RerankOptions
from rerankd_client.responses import (
    ChunkDetail,
    Contribution,
    FailedModel,
    RerankResponse,
    RerankResult,
    StageDetail,
    Usage,
)
from rerankd_client.sync import Batch, RerankClient
from rerankd_client.warming import WarmedDocuments, WarmOptions

__version__ = client_version()

__all__ = [
    "AlreadyExists",
    "ApiKey",
    "AsyncBatch",
    "AsyncRerankClient",
    "Batch",
    "BatchDefaults",
    "BatchItem",
    "BatchProgress",
    "BatchResult",
    "BatchSummary",
    "CacheControl",
    "Cancelled",
    "ChunkDetail",
    "ClientOptions",
    "Contribution",
    "DeadlineExceeded",
    "Document",
    "ExistingKey",
    "FailedModel",
    "FailedPrecondition",
    "FieldViolation",
    "HealthStatus",
    "InternalError",
    "InvalidRequest",
    "KeyOptions",
    "KeySource",
    "Model",
    "ModelKind",
    "ModelLimits",
    "ModelStatus",
    "NewKey",
    "NotFound",
    "PermissionDenied",
    "Price",
    "QuotaViolation",
    "RerankClient",
    "RerankError",
    "RerankOptions",
    "RerankResponse",
    "RerankResult",
    "ResourceExhausted",
    "ScoreNormalization",
    "ScoreSpace",
    "Scoring",
    "StageDetail",
    "StageStatus",
    "Strategy",
    "Truncation",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "WarmOptions",
    "WarmedDocuments",
    "__version__",
]
