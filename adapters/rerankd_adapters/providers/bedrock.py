"""AWS Bedrock: `Rerank` of the agent runtime.

Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html (service
model of botocore 1.44.5). Facts of 2026-11-21.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import structs

from rerankd_adapters.base import (
    Capabilities,
    Endpoint,
    Exchange,
    HttpRequest,
    ModelRule,
    Price,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.chat_api import CHAT_OPTIONS
from rerankd_adapters.dialect import Wire, options_of, truncation_of
from rerankd_adapters.documents import ranked_fields, refuse_images
from rerankd_adapters.parameter import mapping, top_n
from rerankd_adapters.providers import aws
from rerankd_adapters.providers.bedrock_chat import BEDROCK_CHAT
from rerankd_adapters.wire import at, bad_response, post_json, read_json

MAX_RESULTS: Final = 1000
MAX_TEXT_CHARS: Final = 32_000


class BedrockAdapter(aws.AwsDialect):
    """Expands a model id to the ARN of the region's foundation model; reads all result pages."""

    wire = Wire(
        path="/rerank",
        max_tokens_per_doc="max_tokens_per_doc",
        score="relevanceScore",
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request for the first page."""
        body = self.body_of(structs.replace(call, model=aws.model_arn(call.model, endpoint, self.options)))
        path = str(self.options.get("path") or self.wire.path)
        request = post_json(aws.regional(endpoint, call.model, self.options), path, body)
        return aws.signed_for(request, call.model, endpoint, self.options)

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object; `call.model` is an ARN.

        Raises:
            AdapterError: `REJECTED` for a text that the service would reject, naming its field.
        """
        refuse_images(call, self.provider.title)
        aws.check_texts(call, MAX_TEXT_CHARS)
        truncation_of(call, self.wire, self.provider.title)
        count = len(call.documents)
        fields = aws.model_fields(
            call, options_of(call, self.wire, self.parameters(call.model)).get(aws.MODEL_FIELDS, {})
        )
        return {
            "queries": [{"type": "TEXT", "textQuery": {"text": self.query_of(call)}}],
            "sources": [
                {"type": "INLINE", "inlineDocumentSource": _source(call, position)} for position in range(count)
            ],
            "rerankingConfiguration": {
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {
                    "numberOfResults": min(call.top_n or count, count, MAX_RESULTS),
                    "modelConfiguration": {"modelArn": call.model, **({aws.MODEL_FIELDS: fields} if fields else {})},
                },
            },
        }

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter that is not sent."""
        warnings = super().warnings_of(call)
        if call.max_tokens_per_doc is None or aws.is_cohere(call.model):
            return warnings
        return ["max_tokens_per_doc was ignored: only Cohere's models on AWS Bedrock take it", *warnings]

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Request pages until there is no next one.

        Raises:
            AdapterError: As `build` and `parse`; `BAD_RESPONSE` when there are too many pages.
        """
        first = request = self.build(call, endpoint)
        indices: list[int] = []
        scores: list[float] = []
        for _ in range(len(call.documents) + 1):
            response = yield request
            reply = self.parse(call, response)
            indices += reply.indices
            scores += reply.scores
            token = at(read_json(response), ("nextToken",))
            if not isinstance(token, str) or not token:
                return structs.replace(reply, indices=indices, scores=scores)
            body = msgspec.json.encode({**msgspec.json.decode(first.body), "nextToken": token})
            request = structs.replace(first, body=body)
        raise bad_response("there are more pages than documents", 200)


def _source(call: ProviderCall, position: int) -> dict[str, object]:
    """Return one document; of an object only the scored fields, since the service scores all of it."""
    fields = ranked_fields(call, position)
    if fields is not None:
        return {"type": "JSON", "jsonDocument": fields}
    return {"type": "TEXT", "textDocument": {"text": call.documents[position]}}


_SOURCE = "service model of botocore 1.44.5; docs.aws.amazon.com; docs.cohere.com"
_PRICED = {"unit": "search_unit", "source": "LiteLLM 1.109.1", "date": "2026-11-21"}
_COHERE = Capabilities(scoring=Scoring.POINTWISE, max_tokens_per_document=4096, source=_SOURCE)

BEDROCK = Provider(
    name="bedrock",
    usage_units=("search_unit",),
    title="AWS Bedrock",
    adapter="rerankd_adapters.providers.bedrock:BedrockAdapter",
    reference="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html",
    checked="2026-11-21",
    base_url="https://bedrock-agent-runtime.{region}.amazonaws.com",
    base_url_variables=("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME",),
    presence_variables=aws.PRESENCE_VARIABLES,
    option_variables={"region": aws.REGION_VARIABLES},
    options={
        **CHAT_OPTIONS,
        "region": "AWS region of models named without an ARN; in the host's name, the ARN and the signature.",
    },
    parameters={
        aws.MODEL_FIELDS: mapping("service model of botocore 1.44.5"),
        "numberOfResults": top_n("service model of botocore 1.44.5"),
    },
    authentication=aws.sigv4("bedrock"),
    key_is_required=False,
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        max_documents=MAX_RESULTS,
        billing_unit="search_unit",
        takes_objects=True,
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={"amazon.rerank-v1:0": Capabilities(source=_SOURCE), "cohere.rerank-v3-5:0": _COHERE},
    rules=(ModelRule("*cohere.rerank-*", _COHERE),),
    prices=(
        Price(model="*amazon.rerank-v1:0", usd_per_million=1000, **_PRICED),
        Price(model="*cohere.rerank-v3-5:0", usd_per_million=2000, **_PRICED),
    ),
    chat=BEDROCK_CHAT,
    quirks=(
        "Takes AWS credentials only; a Bedrock API key is not accepted for Rerank.",
        "Refuses texts of more than 32,000 characters; they are not sent.",
        "Does not report usage; search units are estimated as one for 100 documents.",
        "Served in ap-northeast-1, ca-central-1, eu-central-1 and us-west-2; Cohere's model in us-east-1 too.",
        "Whether amazon.rerank-v1:0 is pointwise is not documented; its calls are not split.",
        "An exhausted quota is a 400, which is retried.",
        "A model's ARN, also that of an inference profile, decides the region of host and signature.",
    ),
    list_route="GET /foundation-models (host bedrock.{region}.amazonaws.com)",
)
