"""Baidu Qianfan's rerank API, version 2.

Reference: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Dm6071svf (`/v2/rerankers`, page of 2025-01-17). Current clients
use `/v2/rerank` with the same fields (sources on GitHub, such as BaiduQianfanRerank). Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider, ScoreSpace, Truncation
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import text


class QianfanAdapter(JsonDialect):
    """Jina's dialect, at `/v2/rerank`, or at `/v2/rerankers` where that is not served; token counts in two places."""

    wire = Wire(
        path="/v2/rerank",
        old_path="/v2/rerankers",
        prompt_tokens=(("usage", "prompt_tokens"), ("prompt_tokens",), ("usage", "total_tokens"), ("total_tokens",)),
        completion_tokens=(("usage", "completion_tokens"), ("completion_tokens",)),
    )


_SOURCE = "cloud.baidu.com/doc/WENXINWORKSHOP/s/Dm6071svf"

QIANFAN = Provider(
    name="qianfan",
    title="Baidu Qianfan",
    adapter="rerankd_adapters.providers.qianfan:QianfanAdapter",
    reference="https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Dm6071svf",
    checked="2026-11-29",
    aliases=("baidu", "baidu_qianfan", "wenxin"),
    base_url="https://qianfan.baidubce.com",
    key_variables=("QIANFAN_API_KEY",),
    base_url_variables=("QIANFAN_API_BASE", "QIANFAN_BASE_URL"),
    parameters={"user": text(_SOURCE)},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        max_documents=64,
        billing_unit="token",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={"bce-reranker-base": Capabilities(max_tokens_per_document=1024, source=_SOURCE)},
    quirks=(
        "A query has at most 1,600 characters (400 tokens are read), a document 4,096 characters (1,024 tokens).",
        "Uses an API key of version 2; access keys and access tokens of version 1 are not supported.",
        "Baidu does not say whether models are pointwise: requests of more than 64 documents are refused unless "
        "scoring is set to pointwise.",
    ),
)
