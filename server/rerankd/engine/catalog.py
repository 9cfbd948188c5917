"""Implements `ListModels` and `GetModel`."""

from __future__ import annotations

from itertools import islice

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.engine.response import SCORE_SPACES
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.router import Router
from rerankd_adapters.base import Price

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


def list_models(router: Router, request: messages.ListModelsRequest) -> messages.ListModelsResponse:
    """List one page of models, ordered by name; a page token is the last name of the previous page.

    Raises:
        ServiceError: `INVALID_REQUEST` for a page size outside 1..1000.
    """
    page_size = DEFAULT_PAGE_SIZE if request.page_size is None else request.page_size
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        rule = f"page_size must be 1 to {MAX_PAGE_SIZE}, was {page_size}"
        raise invalid_request([FieldViolation("page_size", rule)])
    selected = (
        group
        for group in sorted(router.groups(), key=lambda group: group.name)
        if group.name > request.page_token and request.provider in ("", *_providers(group))
    )
    page = list(islice(selected, page_size + 1))
    models = [describe_model(router, group) for group in page[:page_size]]
    token = models[-1].name if len(page) > page_size else ""
    return messages.ListModelsResponse(models=models, next_page_token=token)


def get_model(router: Router, request: messages.GetModelRequest) -> messages.GetModelResponse:
    """Return one model by name or alias.

    Raises:
        ServiceError: `MODEL_NOT_FOUND`; `INVALID_REQUEST` for an empty name.
    """
    if not request.model:
        raise invalid_request([FieldViolation("model", "model is required")])
    group = router.resolve(request.model)
    return messages.GetModelResponse(model=describe_model(router, group))


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
        scoring=messages.Scoring.UNSPECIFIED
        if capabilities.scoring == "unknown"
        else messages.Scoring(capabilities.scoring),
        score_space=SCORE_SPACES[capabilities.score_space],
        takes_images=bool(capabilities.takes_images),
        deployments=[deployment.name for deployment in group.deployments if deployment.name != group.name],
        truncation_default=truncation or messages.Truncation.UNSPECIFIED,
        price=_describe_price(info.price),
        status=messages.ModelStatus(info.status),
        status_detail=info.status_detail,
        license=info.license,
        source=info.source,
    )


def _describe_price(price: Price | None) -> messages.Price | None:
    if price is None:
        return None
    return messages.Price(unit=price.unit, usd_per_million=price.usd_per_million, source=price.source, date=price.date)
