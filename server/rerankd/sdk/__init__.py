"""In-process reranking without a server: `rerank`, `arerank` and `Reranker`.

Parameters and responses are compatible with `litellm.rerank`:

>>> from rerankd import rerank
>>> response = rerank(model="local/bm25", query="capital of France", documents=["Berlin", "Paris, capital of France"])
>>> response.results[0].index, response["results"][0]["document"]["text"]
(1, 'Paris, capital of France')

Settings and keys are read as the server reads them: the file that `RERANKD_CONFIG` names, `RERANKD_...` variables, and
the providers' usual variables, such as `COHERE_API_KEY`.
"""

from rerankd.sdk.errors import RerankError
from rerankd.sdk.functions import arerank, rerank
from rerankd.sdk.reranker import Reranker
from rerankd.sdk.responses import RerankResponse, RerankResult

__all__ = ["RerankError", "RerankResponse", "RerankResult", "Reranker", "arerank", "rerank"]
