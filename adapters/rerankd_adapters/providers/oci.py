"""Oracle Cloud Infrastructure (OCI) Generative AI: rerankText.

Reference: https://docs.oracle.com/iaas/api/#/en/generative-ai-inference/20231130/RerankTextResult/RerankText, and the
OCI SDK 2.189.0 (`generative_ai_inference`). Facts of 2026-11-29.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Capabilities,
    Endpoint,
    HttpRequest,
    ModelRule,
    Provider,
    ProviderCall,
    Scheme,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import top_n, whole

_ENDPOINT_PREFIX: Final = "ocid1.generativeaiendpoint."


class OciAdapter(JsonDialect):
    """A model id is served on demand; the OCID of an endpoint is a dedicated cluster."""

    wire = Wire(
        path="/20231130/actions/rerankText",
        model=None,
        query="input",
        top_n="topN",
        fixed={"isEcho": False},
        max_tokens_per_doc="maxTokensPerDocument",
        max_passages_per_doc="maxChunksPerDocument",
        results=("documentRanks",),
        score="relevanceScore",
        answered_model=("modelId",),
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; `{region}` in the base URL is replaced by the option.

        Raises:
            AdapterError: `CREDENTIALS` without region or compartment.
        """
        region = str(self.options.get("region", ""))
        if "{region}" in endpoint.base_url and not region:
            raise _missing("region")
        return super().build(call, replace(endpoint, base_url=endpoint.base_url.replace("{region}", region)))

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object, with compartment and serving mode."""
        compartment = self.options.get("compartment_id")
        if not compartment:
            raise _missing("compartment_id")
        serving = {"servingType": "ON_DEMAND", "modelId": call.model}
        if call.model.startswith(_ENDPOINT_PREFIX):
            serving = {"servingType": "DEDICATED", "endpointId": call.model}
        return {"compartmentId": str(compartment), "servingMode": serving, **super().body_of(call)}


def _missing(option: str) -> AdapterError:
    return AdapterError(AdapterErrorKind.CREDENTIALS, f"the OCI {option} is unknown; set the option {option}")


_SOURCE = "OCI SDK 2.189.0; docs.cohere.com"
_COHERE = Capabilities(scoring=Scoring.POINTWISE, score_space=ScoreSpace.PROBABILITY, source=_SOURCE)

OCI = Provider(
    name="oci",
    title="OCI Generative AI",
    adapter="rerankd_adapters.providers.oci:OciAdapter",
    reference="https://docs.oracle.com/iaas/api/#/en/generative-ai-inference/20231130/RerankTextResult/RerankText",
    checked="2026-11-29",
    aliases=("oracle",),
    base_url="https://inference.generativeai.{region}.oci.oraclecloud.com",
    base_url_variables=("OCI_API_BASE",),
    presence_variables=("OCI_CLI_KEY_CONTENT", "OCI_KEY", "OCI_CLI_KEY_FILE", "OCI_KEY_FILE"),
    option_variables={
        "tenancy": ("OCI_CLI_TENANCY", "OCI_TENANCY"),
        "user": ("OCI_CLI_USER", "OCI_USER"),
        "fingerprint": ("OCI_CLI_FINGERPRINT", "OCI_FINGERPRINT"),
        "private_key": ("OCI_CLI_KEY_CONTENT", "OCI_KEY"),
        "key_file": ("OCI_CLI_KEY_FILE", "OCI_KEY_FILE"),
        "compartment_id": ("OCI_COMPARTMENT_ID",),
        "region": ("OCI_CLI_REGION", "OCI_REGION"),
    },
    parameters={
        "topN": top_n(_SOURCE),
        "maxTokensPerDocument": whole(_SOURCE, 1),
        "maxChunksPerDocument": whole(_SOURCE, 1),
    },
    options={
        "tenancy": "OCID of the tenancy.",
        "user": "OCID of the user whose API key it is.",
        "fingerprint": "Fingerprint of the API key.",
        "private_key": "RSA key in PEM, without a passphrase.",
        "key_file": "File with that key, in place of private_key.",
        "compartment_id": "OCID of the compartment that is charged.",
        "region": "Region in the host's name, such as us-chicago-1.",
    },
    authentication=(Authentication(scheme=Scheme.OCI),),
    key_is_required=False,
    capabilities=Capabilities(truncation_default=Truncation.END, source=_SOURCE),
    models={"cohere.rerank-v3.5": replace(_COHERE, max_tokens_per_document=4096)},
    rules=(ModelRule("cohere.rerank-*", _COHERE),),
    quirks=(
        "Write oci/ocid1.generativeaiendpoint... for an endpoint of a dedicated cluster, and set its scoring.",
        "Instance and resource principals are not supported.",
    ),
)
