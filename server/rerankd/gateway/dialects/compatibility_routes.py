"""Routes that other services' clients call besides rerank: model lists, server info, key checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from rerankd.access.rights import SCOPES_OF_COMPATIBILITY
from rerankd.access.scopes import Scope
from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import RerankService
from rerankd.gateway.decoding import decode_query
from rerankd.gateway.route_table import Route

Handler = Callable[[bytes, Mapping[str, str], CallContext], Awaitable[Any]]
_ENDPOINT: Final = "rerank"


class CallerCheck(Protocol):
    """Checks who calls, for what is not checked by the service itself."""

    async def __call__(self, call: CallContext, /, *scopes: Scope) -> object:
        """Return if the caller has one of the scopes, or is known where none is given.

        Raises:
            ServiceError: The caller is not known, or has none of them.
        """
        ...


async def admit_everybody(_call: CallContext, *_scopes: Scope) -> None:
    """Let everybody call."""


class ModelsQuery(Struct, forbid_unknown_fields=True):
    """Query parameters of the model list: the contract's and Cohere's."""

    page_size: messages.Int32 | None = None
    page_token: str = ""
    provider: str = ""
    endpoint: str = ""
    """Only models that serve this endpoint: all for "rerank", none for another."""
    default_only: bool = False
    """Only the default model."""


def _route(http_method: str, template: str, method: str) -> Route:
    return Route(http_method, template, "", "", method, object, object, False, None, False)


COMPATIBILITY_ROUTES: Final = (
    _route("GET", "/models", "list_models"),
    _route("GET", "/models/{model=**}", "get_model"),
    _route("GET", "/inference/v1/models", "list_models"),
    _route("GET", "/api/v1/models", "list_models"),
    _route("POST", "/v1/check-api-key", "check_api_key"),
    _route("GET", "/info", "info"),
    _route("GET", "/v1/cluster/auth", "cluster_auth"),
)


class CompatibilityHandlers:
    """Answers the compatibility routes. Safe for any number of calls.

    Args:
        service: Lists and describes models.
        default_model: Returns the name of the default model; empty if there is none.
        version: Version of this service.
        admit: Checks who calls.
    """

    def __init__(
        self, service: RerankService, default_model: Callable[[], str], version: str, admit: CallerCheck
    ) -> None:
        self._service = service
        self._admit = admit
        self._default_model = default_model
        self._version = version
        self.handlers: Mapping[str, Handler] = {
            "list_models": self._list_models,
            "get_model": self._get_model,
            "check_api_key": self._check_api_key,
            "info": self._info,
            "cluster_auth": self._cluster_auth,
        }
        """Handlers by `Route.method`; each takes query, path variables and context, and returns a JSON value."""

    async def _list_models(self, query: bytes, variables: Mapping[str, str], call: CallContext) -> Any:
        """List models in one object with the keys of Cohere, OpenAI and the contract."""
        wanted = decode_query(query, variables, ModelsQuery)
        await self._admit(call, *SCOPES_OF_COMPATIBILITY["list_models"])
        default = await self._default(call)
        if wanted.endpoint not in ("", _ENDPOINT):
            page = messages.ListModelsResponse()
        elif wanted.default_only:
            page = messages.ListModelsResponse(models=[default] if default is not None else [])
        else:
            request = messages.ListModelsRequest(
                page_size=wanted.page_size, page_token=wanted.page_token, provider=wanted.provider
            )
            page = await self._service.list_models(request, call)
        default_name = default.name if default is not None else ""
        return {
            "object": "list",
            "data": [_openai_model(name, model) for model in page.models for name in (model.name, *model.aliases)],
            "models": [_full_model(model, default_name) for model in page.models],
            "next_page_token": page.next_page_token,
        }

    async def _get_model(self, _query: bytes, variables: Mapping[str, str], call: CallContext) -> Any:
        """Describe one model in one object with the keys of Cohere, OpenAI and the contract."""
        request = messages.GetModelRequest(model=variables["model"])
        model = (await self._service.get_model(request, call)).model or messages.Model()
        default = await self._default(call)
        full = _full_model(model, default.name if default is not None else "")
        return {**_openai_model(model.name, model), **full, "model_type": _ENDPOINT}

    async def _check_api_key(self, _query: bytes, _variables: Mapping[str, str], call: CallContext) -> Any:
        """Report the API key as valid; a request with an invalid key is refused."""
        await self._admit(call, *SCOPES_OF_COMPATIBILITY["check_api_key"])
        return {"valid": True}

    async def _cluster_auth(self, _query: bytes, _variables: Mapping[str, str], _call: CallContext) -> Any:
        """Report that authentication is on, to everybody; otherwise Xinference's client does not send its key."""
        return {"auth": True}

    async def _info(self, _query: bytes, _variables: Mapping[str, str], call: CallContext) -> Any:
        """Describe the default model in the form of TEI's `/info`."""
        await self._admit(call, *SCOPES_OF_COMPATIBILITY["info"])
        model = await self._default(call) or messages.Model()
        limits = model.limits or messages.ModelLimits()
        most_tokens = limits.max_tokens_per_document or 512
        return {
            "model_id": model.name,
            "model_sha": None,
            "model_dtype": "float32",
            "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
            "max_concurrent_requests": 512,
            "max_input_length": most_tokens,
            "max_batch_tokens": limits.max_total_tokens or 16384,
            "max_batch_requests": None,
            "max_client_batch_size": limits.max_documents or 1000,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": self._version,
            "sha": None,
            "docker_label": None,
        }

    async def _default(self, call: CallContext) -> messages.Model | None:
        """Return the default model; None if there is none, or the caller may not use it."""
        name = self._default_model()
        if not name:
            return None
        try:
            return (await self._service.get_model(messages.GetModelRequest(model=name), call)).model
        except ServiceError as error:
            if error.reason in (Reason.MODEL_NOT_ALLOWED, Reason.INSUFFICIENT_SCOPE):
                return None
            raise


def _openai_model(name: str, model: messages.Model) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": model.provider, "root": model.name}


def _full_model(model: messages.Model, default_name: str) -> dict[str, Any]:
    """Return the contract's fields of a model and Cohere's."""
    return {
        **msgspec.to_builtins(model),
        "endpoints": [_ENDPOINT],
        "default_endpoints": [_ENDPOINT] if model.name == default_name else [],
        "context_length": model.limits.max_tokens_per_document if model.limits is not None else 0,
        "is_deprecated": False,
        "finetuned": False,
    }
