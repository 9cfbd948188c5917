"""`rerank` and `arerank`: one engine per process, with the parameters of `litellm.rerank`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rerankd.sdk.parameters import DocumentInput
from rerankd.sdk.reranker import Reranker
from rerankd.sdk.responses import RerankResponse

_process_wide: Final = Reranker()


def rerank(
    model: str,
    query: str,
    documents: Iterable[DocumentInput],
    custom_llm_provider: str | None = None,
    top_n: int | None = None,
    rank_fields: Sequence[str] | None = None,
    return_documents: bool | None = None,
    max_chunks_per_doc: int | None = None,
    max_tokens_per_doc: int | None = None,
    **options: Any,
) -> RerankResponse:
    """Score every document against the query and return the best ones, best first. Blocks.

    Works in scripts and threads; inside a running event loop, which it would block, use `arerank`.

    >>> from rerankd import rerank
    >>> response = rerank("local/bm25", "apple", ["a pear", {"text": "an apple", "id": "a1"}], top_n=1)
    >>> response.results[0].document.id, "meta" in response, response.get("nothing")
    ('a1', True, None)

    `api_key`, `api_base`, headers and `tls` of a call override the settings of its provider:

        rerank("cohere/rerank-v3.5", query, documents, api_key="...", api_base="https://eu.example.com")

    Args:
        model: Alias or `provider/model`; empty: the default model of the settings.
        query: What the documents are compared with; not blank.
        documents: n texts or mappings, n >= 1; a result's `index` counts from 0.
        custom_llm_provider: The provider, where `model` does not begin with its name.
        top_n: How many results to return, at least 1; None: all.
        rank_fields: Names of the document fields that are scored, in this order.
        return_documents: Return each document with its result; None: True.
        max_chunks_per_doc: Cut a long document into at most this many passages and score it by its best one.
        max_tokens_per_doc: Score at most this many tokens of each document.
        **options: `rerankd.sdk.parameters.RerankOptions`, such as `api_key`, `api_base`, `timeout` (seconds),
            `extra_headers`, `fallbacks`, `instruction`; and parameters under the provider's own names, such as NVIDIA's
            `truncate="END"`. Names that the model does not have are listed in `meta.warnings`.

    Raises:
        RerankError: The call failed.
        TypeError: A parameter does not exist, or `documents` is no list.
    """
    options |= {"custom_llm_provider": custom_llm_provider, "top_n": top_n, "rank_fields": rank_fields}
    options |= {"return_documents": return_documents}
    options |= {"max_chunks_per_doc": max_chunks_per_doc, "max_tokens_per_doc": max_tokens_per_doc}
    return _process_wide.rerank(model, query, documents, **options)


async def arerank(
    model: str,
    query: str,
    documents: Iterable[DocumentInput],
    custom_llm_provider: str | None = None,
    top_n: int | None = None,
    rank_fields: Sequence[str] | None = None,
    return_documents: bool | None = None,
    max_chunks_per_doc: int | None = None,
    max_tokens_per_doc: int | None = None,
    **options: Any,
) -> RerankResponse:
    """Rerank without blocking the event loop; cancelling the task cancels the call. Parameters: see `rerank`.

    >>> import asyncio
    >>> from rerankd import arerank
    >>> asyncio.run(arerank("local/bm25", "apple", ["a pear", "an apple"], top_n=1)).results[0].index
    1
    """
    options |= {"custom_llm_provider": custom_llm_provider, "top_n": top_n, "rank_fields": rank_fields}
    options |= {"return_documents": return_documents}
    options |= {"max_chunks_per_doc": max_chunks_per_doc, "max_tokens_per_doc": max_tokens_per_doc}
    return await _process_wide.arerank(model, query, documents, **options)
