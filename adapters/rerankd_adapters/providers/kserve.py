"""Declaration of Open Inference Protocol servers; the adapter is `grpc_upstream/kserve.py`.

Reference: https://github.com/kserve/open-inference-protocol (specification/protocol) and, for the preset `nim`,
https://docs.nvidia.com/nim/nemo-retriever/text-reranking (reference-grpc). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider, Scoring

KSERVE = Provider(
    name="kserve",
    title="KServe v2 / Triton",
    adapter="rerankd_adapters.grpc_upstream.kserve:KserveGrpc",
    is_grpc=True,
    reference="https://github.com/kserve/open-inference-protocol",
    checked="2026-11-21",
    aliases=("triton", "ovms_grpc"),
    key_variables=("KSERVE_API_KEY",),
    base_url_variables=("KSERVE_API_BASE", "TRITON_API_BASE"),
    parameters=None,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    options={
        "preset": "nim for the names that NVIDIA NIM uses; other options override it.",
        "query_input": "Input with the query; query unless set.",
        "document_input": "Input with the documents; document unless set.",
        "pair_input": "One input for both instead, of shape [n, 2].",
        "pair_separator": "Joins query and document into one text in pair_input, if set.",
        "input_datatype": "BYTES, the only datatype of texts.",
        "input_rank": "2 for inputs of shape [n, 1], 1 for [n]; 2 unless set.",
        "repeats_query": "false sends the query once instead of once per document.",
        "raw_contents": "true sends raw_input_contents, for servers without typed contents.",
        "score_output": "Output with the scores; score unless set.",
        "score_column": "Column of the scores to use, from 0.",
        "index_output": "Output with document indices, best first, for models that sort.",
        "token_output": "Output with the number of tokens of each text.",
        "score_space": "probability or logit, as the model returns; unknown unless set.",
        "max_documents": "Largest batch the model accepts.",
        "model_version": "Version of the model; the server's choice unless set.",
        "model_names": "underscores replaces special characters of a model's name with underscores.",
        "truncate_parameter": "Request parameter that controls truncation, if the model has one.",
        "truncate_end": "Its value for truncating the end; END unless set.",
        "truncate_none": "Its value for rejecting long texts; NONE unless set.",
    },
    capabilities=Capabilities(
        scoring=Scoring.UNKNOWN, source="open-inference-protocol specification, which has no reranking"
    ),
    quirks=(
        "The protocol does not standardise reranking: name the tensors of your model with the options.",
        "Scoring is unknown: calls are not split unless the settings declare the model pointwise.",
        "The port is 8001 unless the address has one.",
        "provider_options are sent as parameters of the request.",
        "Models that take token ids need an ensemble that begins with a tokenizer.",
    ),
)
