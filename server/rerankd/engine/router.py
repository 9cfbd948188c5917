"""From the model name a caller sends to what can score documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rerankd.errors import FieldViolation, Reason, ServiceError
from rerankd.suggestions import closest
from rerankd_adapters.base import ModelInfo, ModelProvider, Provider
from rerankd_adapters.registry import find_provider


@dataclass(frozen=True, slots=True)
class Target:
    """One model of one provider, ready to be called."""

    name: str
    """Public name: `provider/model`."""
    provider: ModelProvider
    info: ModelInfo


class Router:
    """Resolves aliases and `provider/model` names."""

    def __init__(
        self,
        providers: Sequence[ModelProvider],
        *,
        default_model: str,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._default_model = default_model
        self._aliases = dict(aliases or {})

    def resolve(self, model: str, field: str = "model") -> Target:
        """Find the target of a model name; empty means the default model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        wanted = model or self._default_model
        provider_name, _, model_name = self._aliases.get(wanted, wanted).partition("/")
        provider = self._provider(provider_name) if model_name else None
        info = provider.describe(model_name) if provider else None
        if provider is None or info is None:
            raise self._not_found(wanted, field)
        return Target(f"{provider.name}/{model_name}", provider, info)

    def _provider(self, name: str) -> ModelProvider | None:
        """Find a provider by the name the operator gave it, its own name, or one that other gateways use."""
        found = self._providers.get(name)
        if found is None and (declared := find_provider(name)) is not None:
            found = self._providers.get(declared.name)
        return found

    def targets(self) -> Iterator[Target]:
        """Yield every model that can be named, ordered by name."""
        for provider_name in sorted(self._providers):
            provider = self._providers[provider_name]
            for info in provider.models():
                yield Target(f"{provider_name}/{info.name}", provider, info)

    def aliases_of(self, name: str) -> list[str]:
        """List the other names of a model, the empty default left out."""
        return sorted(alias for alias, target in self._aliases.items() if target == name)

    def _not_found(self, model: str, field: str) -> ServiceError:
        declared = find_provider(model.partition("/")[0])
        known = [target.name for target in self.targets()] + list(self._aliases)
        close = closest(model, known)
        if declared is not None and declared.name not in self._providers:
            hint = how_to_configure(declared)
        else:
            hint = f"did you mean {close}?" if close else "ListModels names those there are"
        message = f"model {model[:200]} not found; {hint}"
        metadata = {"model": model[:200]} | ({"suggestion": close} if close else {})
        return ServiceError(
            Reason.MODEL_NOT_FOUND, message, metadata=metadata, violations=[FieldViolation(field, message)]
        )


def how_to_configure(provider: Provider) -> str:
    """Say what a provider that is known but not configured needs."""
    variables = provider.key_variables[:1] if provider.key_is_required else provider.base_url_variables[:1]
    wanted = f"set {variables[0]} or " if variables else ""
    return f"provider {provider.name} is not configured: {wanted}add providers.{provider.name} to the settings"
