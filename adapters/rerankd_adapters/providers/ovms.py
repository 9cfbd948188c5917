"""OpenVINO Model Server's rerank route.

Reference: https://docs.openvino.ai/2025/model-server/ovms_docs_rest_api_rerank.html. Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider
from rerankd_adapters.dialect import JsonDialect, Wire


class OvmsAdapter(JsonDialect):
    """Cohere-like API below /v3; reports no usage."""

    wire = Wire(path="/v3/rerank", fixed={"return_documents": False}, always=None)


OVMS = Provider(
    name="ovms",
    usage_units=(),
    title="OpenVINO Model Server",
    adapter="rerankd_adapters.providers.ovms:OvmsAdapter",
    reference="https://docs.openvino.ai/2025/model-server/ovms_docs_rest_api_rerank.html",
    checked="2026-11-21",
    aliases=("openvino",),
    key_variables=("OVMS_API_KEY",),
    base_url_variables=("OVMS_API_BASE",),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(source="docs.openvino.ai, rerank endpoint"),
    quirks=(
        "The model is the name of a servable; models with custom names have unknown capabilities.",
        "The number of passages per document is configured on the server.",
        "Does not report usage.",
    ),
    list_route="GET /v3/models",
)
