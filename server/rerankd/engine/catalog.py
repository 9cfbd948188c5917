"""Implements `ListModels` and `GetModel`."""

from __future__ import annotations

from itertools import islice

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.engine.models import Models
from rerankd.engine.response import SCORE_SPACES
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER, ComposedModel
from rerankd_adapters.base import Price, Scoring

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


def list_models(models: Models, request: messages.ListModelsRequest) -> messages.ListModelsResponse:
    """List one page of models, ordered by name; a page token is the last name of the previous page.

    Raises:
        ServiceError: `INVALID_REQUEST` for a page size outside 1..1000, or a provider that is not configured.
    """
    router = models.router
    is_ours = bool(models.composed) and request.provider == COMPOSED_PROVIDER
    if request.provider and not is_ours and (problem := router.provider_problem(request.provider)):
        raise invalid_request([FieldViolation("provider", problem)])
    page_size = DEFAULT_PAGE_SIZE if request.page_size is None else request.page_size
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        rule = f"page_size must be 1 to {MAX_PAGE_SIZE}, was {page_size}"
        raise invalid_request([FieldViolation("page_size", rule)])
    known: list[ModelGroup | ComposedModel] = [
        *(
            group
            for group in router.groups()
            if request.provider in ("", *_providers(group)) and not group.info().is_chat
        ),
        *(models.composed.values() if request.provider in ("", COMPOSED_PROVIDER) else ()),
    ]
    selected = (each for each in sorted(known, key=lambda each: each.name) if each.name > request.page_token)
    page = list(islice(selected, page_size + 1))
    listed = [_describe(router, each) for each in page[:page_size]]
    token = listed[-1].name if len(page) > page_size else ""
    return messages.ListModelsResponse(models=listed, next_page_token=token)


def get_model(models: Models, request: messages.GetModelRequest) -> messages.GetModelResponse:
    """Return one model by name or alias.

    Raises:
        ServiceError: `MODEL_NOT_FOUND`; `INVALID_REQUEST` for an empty name.
    """
    if not request.model:
        raise invalid_request([FieldViolation("model", "model is required")])
    found = models.composed.get(models.router.name_of(request.model)) or models.router.resolve(request.model)
    return messages.GetModelResponse(model=_describe(models.router, found))


def _describe(router: Router, model: ModelGroup | ComposedModel) -> messages.Model:
    return describe_model(router, model) if isinstance(model, ModelGroup) else _describe_composed(router, model)


def _describe_composed(router: Router, model: ComposedModel) -> messages.Model:
    info = model.describe()
    return messages.Model(
        name=model.name,
        provider=COMPOSED_PROVIDER,
        description=info.description,
        aliases=router.aliases_of(model.name),
        limits=messages.ModelLimits(),
        scoring=_scoring(info.scoring),
        score_space=SCORE_SPACES[info.score_space],
        takes_images=info.takes_images,
        takes_query_images=info.takes_query_images,
        status=info.status,
        status_detail=info.status_detail,
        kind=messages.ModelKind.RERANKER,
        strategy=info.strategy,
        members=list(info.members),
    )


def _scoring(scoring: Scoring) -> messages.Scoring:
    return messages.Scoring.UNSPECIFIED if scoring is Scoring.UNKNOWN else messages.Scoring(scoring)


def _providers(group: ModelGroup) -> list[str]:
    return list(dict.fromkeys(deployment.provider.name for deployment in group.deployments))


def describe_model(router: Router, group: ModelGroup) -> messages.Model:
    """Build the contract's description of a model that is served."""
    info = group.info()
    capabilities = info.capabilities
    truncation = messages.Truncation(capabilities.truncation_default) if capabilities.truncation_default else None
    return messages.Model(
        name=group.name,
        provider=_providers(group)[0],
        description=info.description,
        aliases=router.aliases_of(group.name),
        limits=messages.ModelLimits(
            max_documents=capabilities.max_documents or 0,
            max_tokens_per_document=capabilities.max_tokens_per_document or 0,
            max_total_tokens=capabilities.max_total_tokens or 0,
            max_request_bytes=capabilities.max_request_bytes or 0,
        ),
        scoring=_scoring(capabilities.scoring),
        score_space=SCORE_SPACES[capabilities.score_space],
        takes_images=bool(capabilities.takes_images),
        takes_query_images=bool(capabilities.takes_query_images),
        deployments=[deployment.name for deployment in group.deployments if deployment.name != group.name],
        truncation_default=truncation or messages.Truncation.UNSPECIFIED,
        price=_describe_price(info.price),
        status=messages.ModelStatus.UNAVAILABLE if info.is_chat else messages.ModelStatus(info.status),
        status_detail="a chat model: rerankers of the settings can ask it" if info.is_chat else info.status_detail,
        license=info.license,
        source=info.source,
        kind=messages.ModelKind.MODEL,
    )


def _describe_price(price: Price | None) -> messages.Price | None:
    if price is None:
        return None
    return messages.Price(unit=price.unit, usd_per_million=price.usd_per_million, source=price.source, date=price.date)
