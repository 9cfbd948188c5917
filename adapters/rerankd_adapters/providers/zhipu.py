"""Zhipu AI's rerank API (BigModel, Z.ai in China).

Reference: https://docs.bigmodel.cn/api-reference/模型-api/文本重排序. Facts of 2026-11-29.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Provider, ScoreSpace
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import flag, text


class ZhipuAdapter(JsonDialect):
    """Jina's dialect without a truncation field."""

    wire = Wire(
        path="/api/paas/v4/rerank",
        fixed={"return_documents": False},
        defaults={"return_raw_scores": False},
        always=None,
    )


_SOURCE = "docs.bigmodel.cn, text rerank"

ZHIPU = Provider(
    name="zhipu",
    title="Zhipu AI",
    adapter="rerankd_adapters.providers.zhipu:ZhipuAdapter",
    reference="https://docs.bigmodel.cn/api-reference/%E6%A8%A1%E5%9E%8B-api/%E6%96%87%E6%9C%AC%E9%87%8D%E6%8E%92%E5%BA%8F",
    checked="2026-11-29",
    aliases=("zhipuai", "bigmodel", "zai"),
    base_url="https://open.bigmodel.cn",
    key_variables=("ZHIPUAI_API_KEY", "ZHIPU_API_KEY", "ZAI_API_KEY"),
    base_url_variables=("ZHIPU_API_BASE", "ZHIPUAI_BASE_URL"),
    parameters={"request_id": text(_SOURCE), "return_raw_scores": flag(_SOURCE), "user_id": text(_SOURCE)},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        max_documents=128,
        billing_unit="token",
        source=_SOURCE,
    ),
    models={"rerank": Capabilities(source=_SOURCE)},
    quirks=(
        "The query and each document may have at most 4,096 characters; what happens to longer ones is not documented.",
        "That scores are probabilities follows from the documented example; return_raw_scores asks for others.",
        "Zhipu does not say whether the model is pointwise: requests of more than 128 documents are refused unless "
        "scoring is set to pointwise.",
    ),
)
