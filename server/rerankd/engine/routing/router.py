"""Resolves model names to model groups."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.suggestions import closest
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings
from rerankd_adapters.base import ModelProvider, Provider
from rerankd_adapters.registry import find_provider

_MAX_CACHED_GROUPS: Final = 4096
"""Groups cached for names that are not in the settings; bounds what callers can make the router keep."""


class RouterSettingsError(Exception):
    """A model of the settings cannot be served; the message names the settings key."""


class Router:
    """Resolves aliases, models of the settings, and `provider/model` names.

    Args:
        providers: All providers.
        default_model: Model of requests that name none.
        aliases: Model names by alias.
        models: Settings by model name; a name may have one `*`, which matches any text. The longest match wins.

    Raises:
        RouterSettingsError: A model names an unknown provider or fallback, or its name has more than one `*`.
    """

    def __init__(
        self,
        providers: Sequence[ModelProvider],
        *,
        default_model: str,
        aliases: Mapping[str, str] | None = None,
        models: Mapping[str, ModelSettings] | None = None,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._default_model = default_model
        self._aliases = dict(aliases or {})
        self._named = {name: options for name, options in (models or {}).items() if "*" not in name}
        wildcards = [(name, options) for name, options in (models or {}).items() if "*" in name]
        self._wildcards = sorted(wildcards, key=lambda each: len(each[0]), reverse=True)
        self._cached_groups: OrderedDict[str, ModelGroup] = OrderedDict()
        self._configured_groups: dict[str, ModelGroup] = {}
        for name, options in (models or {}).items():
            self._check_settings(name, options)

    def resolve(self, model: str, field: str = "model") -> ModelGroup:
        """Return the group of a model name or alias; of the default model for an empty name.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        wanted = model or self._default_model
        group = self._find(wanted)
        if group is None:
            raise self._not_found(wanted, field)
        return group

    def _find(self, wanted: str) -> ModelGroup | None:
        name = self._aliases.get(wanted, wanted)
        group = self._configured_groups.get(name) or self._cached_group(name)
        return None if group is None or group.describe() is None else group

    def _cached_group(self, name: str) -> ModelGroup | None:
        """Return the cached or a new group: kept if the settings name it, else LRU-cached."""
        group = self._cached_groups.get(name)
        if group is not None:
            self._cached_groups.move_to_end(name)
            return group
        group = self._build_group(name)
        if group is None:
            return None
        if name in self._named:
            self._configured_groups[name] = group
            return group
        group = self._configured_groups.get(group.name) or self._cached_groups.setdefault(group.name, group)
        self._cached_groups[name] = group
        while len(self._cached_groups) > _MAX_CACHED_GROUPS:
            self._cached_groups.popitem(last=False)
        return group

    def name_of(self, model: str) -> str:
        """Return the model name of an alias; the default model for an empty name; else the name itself."""
        wanted = model or self._default_model
        return self._aliases.get(wanted, wanted)

    def fallbacks_of(self, group: ModelGroup) -> list[ModelGroup]:
        """Return the configured fallbacks of `group`, without those that nothing serves now."""
        return [found for name in group.options.fallbacks if (found := self._find(name)) is not None]

    def reachable(self, names: Iterable[str]) -> Iterator[Deployment]:
        """Yield the deployments that a call to these models may use, including configured fallbacks."""
        for name in names:
            group = self._find(name or self._default_model)
            if group is not None:
                for each in (group, *self.fallbacks_of(group)):
                    yield from each.deployments

    def groups(self) -> Iterator[ModelGroup]:
        """Yield every known model that is served now, unordered."""
        names = dict.fromkeys(self._named)
        for provider in self._providers.values():
            names |= dict.fromkeys(f"{provider.name}/{info.name}" for info in provider.models())
        for name in names:
            group = self._configured_groups.get(name) or self._cached_groups.get(name) or self._build_group(name)
            if group is not None and group.describe() is not None:
                yield group

    def deployments(self) -> Iterator[Deployment]:
        """Yield the deployments of all cached groups."""
        for group in {*self._configured_groups.values(), *self._cached_groups.values()}:
            yield from group.deployments

    def aliases_of(self, name: str) -> list[str]:
        """List the aliases of a model, sorted."""
        return sorted(alias for alias, target in self._aliases.items() if target == name)

    def _build_group(self, name: str) -> ModelGroup | None:
        options, matched = self._options(name)
        listed = options.deployments or [DeploymentSettings(model=name)]
        deployments: list[Deployment] = []
        for each in listed:
            deployment = self._build_deployment(each, matched, options)
            if deployment is None:
                return None
            deployments.append(deployment)
        _make_names_unique(deployments)
        # The public name uses the configured provider name, also if the caller used an alias of the provider.
        public = name if options.deployments else deployments[0].name
        return ModelGroup(public, deployments, options)

    def _options(self, name: str) -> tuple[ModelSettings, str]:
        """Return the settings of a model name, and the text that their `*` matched."""
        if name in self._named:
            return self._named[name], ""
        for pattern, options in self._wildcards:
            head, _, tail = pattern.partition("*")
            if len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
                return options, name[len(head) : len(name) - len(tail)]
        return ModelSettings(), ""

    def _build_deployment(self, given: DeploymentSettings, matched: str, options: ModelSettings) -> Deployment | None:
        provider_name, _, model = given.model.replace("*", matched).partition("/")
        provider = self._provider(provider_name) if model else None
        if provider is None:
            return None
        return Deployment(provider, model, given, options.cooldown)

    def _provider(self, name: str) -> ModelProvider | None:
        """Find a provider by its configured name, its own name, or an alias that other gateways use."""
        found = self._providers.get(name)
        if found is None and (declared := find_provider(name)) is not None:
            found = self._providers.get(declared.name)
        return found

    def _check_settings(self, name: str, options: ModelSettings) -> None:
        if name.count("*") > 1:
            raise RouterSettingsError(f"models.{name}: a name may have at most one *")
        if not options.deployments and not {"/", "*"} & set(name):
            raise RouterSettingsError(
                f"models.{name}.deployments is empty, and {name} is not of the form provider/model"
            )
        for index, fallback in enumerate(options.fallbacks):
            if self._build_group(self._aliases.get(fallback, fallback)) is None:
                raise RouterSettingsError(f"models.{name}.fallbacks[{index}]: {self._not_found(fallback, 'model')}")
        for index, each in enumerate(options.deployments):
            key = f"models.{name}.deployments[{index}].model"
            provider_name, slash, _ = each.model.partition("/")
            if not slash:
                raise RouterSettingsError(f"{key} must be provider/model, is {each.model}")
            if "*" in each.model and "*" not in name:
                raise RouterSettingsError(f"{key} has a * but the model's name has none")
            if self._provider(provider_name) is None:
                declared = find_provider(provider_name)
                hint = how_to_configure(declared) if declared else f"there is no provider {provider_name}"
                raise RouterSettingsError(f"{key}: {hint}")

    def _not_found(self, model: str, field: str) -> ServiceError:
        declared = find_provider(model.partition("/")[0])
        known = [group.name for group in self.groups()] + list(self._aliases)
        close = closest(model, known)
        if declared is not None and declared.name not in self._providers:
            hint = how_to_configure(declared)
        else:
            hint = f"did you mean {close}?" if close else "ListModels lists the models"
        message = f"model {model[:200]} not found; {hint}"
        metadata = {"model": model[:200]} | ({"suggestion": close} if close else {})
        return ServiceError(
            Reason.MODEL_NOT_FOUND, message, metadata=metadata, violations=[FieldViolation(field, message)]
        )


def _make_names_unique(deployments: Sequence[Deployment]) -> None:
    """Append #2, #3, ... to repeated deployment names."""
    seen: dict[str, int] = {}
    for deployment in deployments:
        times = seen[deployment.name] = seen.get(deployment.name, 0) + 1
        if times > 1:
            deployment.rename(f"{deployment.name}#{times}")


def how_to_configure(provider: Provider) -> str:
    """Return a hint for a known provider that is not configured: the variable or settings key to set."""
    variables = provider.key_variables[:1] if provider.key_is_required else provider.base_url_variables[:1]
    wanted = f"set {variables[0]} or " if variables else ""
    return f"provider {provider.name} is not configured: {wanted}add providers.{provider.name} to the settings"
