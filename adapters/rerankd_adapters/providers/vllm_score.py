"""vLLM's score route, for servers without a rerank route: vllm 0.6.4 to 0.7.0, and proxies that pass only `/v1/score`.

Reference: `vllm/entrypoints/openai/protocol.py` of 0.6.4, `vllm/entrypoints/pooling/scoring/protocol.py` of 0.33.0.
"""

from __future__ import annotations

from rerankd_adapters.base import ProviderCall, Truncation
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.wire import at, read_ranking


class VllmScoreAdapter(JsonDialect):
    """One query for all documents, one score a document, in request order.

    The servers in question refuse `truncate_prompt_tokens: -1`, so it is sent only where the caller asks to cut the
    start. They take one token limit for query and document together, and no instruction.
    """

    wire = Wire(
        path="/v1/score",
        query="text_1",
        documents="text_2",
        top_n=None,
        truncation={
            Truncation.END: {},
            Truncation.START: {"truncate_prompt_tokens": -1, "truncation_side": "left"},
            Truncation.NONE: {},
        },
        priority="priority",
        results=("data",),
        score="score",
    )

    def ranking_of(self, call: ProviderCall, body: object) -> tuple[list[int], list[float]]:
        """Return indices and scores; before 0.7 a score was a list of one number.

        Raises:
            AdapterError: `BAD_RESPONSE`.
        """
        items = at(body, self.wire.results)
        if isinstance(items, list):
            items = [
                {**item, "score": _single(item.get("score"))} if isinstance(item, dict) else item for item in items
            ]
        return read_ranking(items, self.wire.index, self.wire.score)


def _single(score: object) -> object:
    return score[0] if isinstance(score, list) and len(score) == 1 else score
