"""rerankd: a rerank service, and its engine without a server.

    from rerankd import rerank

    response = rerank(model="local/default", query="who wrote Dune?", documents=["Frank Herbert.", "A desert."])
    print(response.results[0].index)

Importing this package is cheap; the engine is imported with the first of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerankd.sdk import Reranker, RerankError, RerankResponse, RerankResult, arerank, rerank

__all__ = ["RerankError", "RerankResponse", "RerankResult", "Reranker", "arerank", "rerank"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from rerankd import sdk
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("rerankd", "rerankd_adapters"):
            raise
        message = f"{error.name} is not installed; reranking in this process needs pip install 'rerankd[server,local]'"
        raise ImportError(message, name=error.name) from error
    return getattr(sdk, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
