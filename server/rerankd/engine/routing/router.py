"""Resolves model names to model groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from typing import Final

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.suggestions import closest, did_you_mean
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.model_group import ModelGroup
from rerankd.engine.routing.recent_groups import RecentGroups
from rerankd.engine.routing.settings import DeploymentSettings, ModelSettings
from rerankd.telemetry.deployment_events import model_known
from rerankd_adapters.base import ModelInfo, ModelProvider, Provider
from rerankd_adapters.registry import find_provider

_MAX_CACHED_GROUPS: Final = 4096
"""Groups cached for known models that are not in the settings."""
_MAX_UNKNOWN_GROUPS: Final = 64
"""Groups cached for names that callers made up, as far as is known: no provider lists or has answered for them."""


class RouterSettingsError(Exception):
    """Models of the settings cannot be served.

    Args:
        problems: n sentences, n >= 1, each with its settings key.
        router: Resolves the other models, for further checks.
    """

    def __init__(self, problems: Sequence[str], router: Router) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.router = router


class ProviderNotConfiguredError(ServiceError):
    """`MODEL_NOT_FOUND`: the model's provider is known but has no key or address here."""


class Router:
    """Resolves aliases, models of the settings, and `provider/model` names.

    Args:
        providers: All providers.
        default_model: Model of requests that name none.
        aliases: Model names by alias.
        models: Settings by model name; a name may have one `*`, which matches any text. The longest match wins.
        composed: Names of models that are composed of others, and so are not served by a group.
        checks_names: Whether aliases, default model, fallbacks and deployments must lead to models that are served now.

    Raises:
        RouterSettingsError: Lists every problem: a model names an unknown provider or fallback, or its name has more
            than one `*`.
    """

    def __init__(
        self,
        providers: Sequence[ModelProvider],
        *,
        default_model: str,
        aliases: Mapping[str, str] | None = None,
        models: Mapping[str, ModelSettings] | None = None,
        composed: Collection[str] = (),
        checks_names: bool = False,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._default_model = default_model
        self._aliases = dict(aliases or {})
        self._composed = frozenset(composed)
        self._checks_names = checks_names
        self._named = {name: options for name, options in (models or {}).items() if "*" not in name}
        wildcards = [(name, options) for name, options in (models or {}).items() if "*" in name]
        self._wildcards = sorted(wildcards, key=lambda each: len(each[0]), reverse=True)
        self._cached_groups = RecentGroups(_MAX_CACHED_GROUPS)
        self._unknown_groups = RecentGroups(_MAX_UNKNOWN_GROUPS)
        self._configured_groups: dict[str, ModelGroup] = {}
        problems = [problem for name, options in (models or {}).items() for problem in self._problems(name, options)]
        if checks_names:
            problems += self._unserved_names(models or {})
        if problems:
            raise RouterSettingsError(problems, self)

    def with_composed(self, composed: Collection[str], *, checks_names: bool = False) -> Router:
        """Return a router that shares its groups with this one.

        Args:
            composed: Names of models that are composed of others.
            checks_names: Whether models must be served now for `unservable` not to report them.
        """
        other = copy(self)
        other._composed, other._checks_names = frozenset(composed), checks_names
        return other

    def resolve(self, model: str, field: str = "model") -> ModelGroup:
        """Return the group of a model name or alias; of the default model for an empty name.

        Raises:
            ServiceError: `MODEL_NOT_FOUND`, naming `field` and the closest known name.
        """
        wanted = model or self._default_model
        group = self.find(wanted)
        if group is None:
            raise self._not_found(wanted, field)
        return group

    def find(self, model: str) -> ModelGroup | None:
        """Return the group of a model name or alias, as `resolve`; `None` if nothing serves it now."""
        found = self.described(model)
        return None if found is None else found[0]

    def described(self, model: str) -> tuple[ModelGroup, ModelInfo] | None:
        """Return what `find` does, with the description of the model."""
        name = self.name_of(model)
        group = self._configured_groups.get(name) or self._cached_group(name)
        info = None if group is None else group.describe()
        return None if group is None or info is None else (group, info)

    def unservable(self, name: str) -> str:
        """Return why no group can serve a name that is not that of a composed model; empty if one may.

        A server that is not up yet may serve any model; with `checks_names`, and for embedded models, one that is not
        served now counts as unservable.
        """
        group = self._build_group(self.name_of(name))
        if group is not None and not ((self._checks_names or group.is_embedded) and group.describe() is None):
            return ""
        return str(self._not_found(name, "model"))

    def is_alias(self, name: str) -> bool:
        """Whether a name is an alias."""
        return name in self._aliases

    def is_in_settings(self, name: str) -> bool:
        """Whether the settings have a model of exactly this name."""
        return name in self._named

    def fallback_names(self, name: str) -> Sequence[str]:
        """Return the configured fallbacks of a model name, as they are written."""
        return self._options(name)[0].fallbacks

    def _cached_group(self, name: str) -> ModelGroup | None:
        """Return the cached or a new group: kept if the settings name it, LRU-cached if anything serves it."""
        if (cached := self._cached_groups.get(name)) is not None:
            return cached
        group = self._unknown_groups.get(name) or self._build_group(name)
        if group is None:
            return None
        if name in self._named:
            self._learn(group)
            self._configured_groups[name] = group
            return group
        if group.describe() is None:
            return None
        existing = (
            each.get(group.name) for each in (self._configured_groups, self._cached_groups, self._unknown_groups)
        )
        group = next((each for each in existing if each is not None), group)
        if group.is_known or any(_lists(each) for each in group.deployments):
            self._learn(group)
            self._cached_groups.keep(name, group)
            self._cached_groups.keep(group.name, group)
            self._unknown_groups.forget(group)
        else:
            self._unknown_groups.keep(name, group)
            self._unknown_groups.keep(group.name, group)
        return group

    def _learn(self, group: ModelGroup) -> None:
        for deployment in group.deployments:
            deployment.is_known = True
        model_known(group.name, [deployment.telemetry_labels for deployment in group.deployments])

    def name_of(self, model: str) -> str:
        """Return the model name of an alias; the default model for an empty name; else the name itself."""
        wanted = model or self._default_model
        return self._aliases.get(wanted, wanted)

    def provider_problem(self, name: str) -> str:
        """Return why no model of a provider is served; empty if the provider is configured.

        A provider is known by its configured name: models are listed by it.
        """
        if name in self._providers:
            return ""
        if (declared := find_provider(name)) is not None:
            if declared.name not in self._providers:
                return how_to_configure(declared)
            return f"models of {name} are listed as those of provider {declared.name}"
        return f"there is no provider {name[:200]}{did_you_mean(name, self._providers)}"

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
        """Yield the deployments in use, except those of names that nothing lists or has answered for."""
        caches = (self._configured_groups, self._cached_groups, self._unknown_groups)
        for group in {group for cache in caches for group in cache.values()}:
            yield from (each for each in group.deployments if each.is_known)

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

    def _problems(self, name: str, options: ModelSettings) -> Iterator[str]:
        if name.count("*") > 1:
            yield f"models.{name}: a name may have at most one *"
            return
        if not options.deployments and not {"/", "*"} & set(name):
            yield f"models.{name}.deployments is empty, and {name} is not of the form provider/model"
        for index, fallback in enumerate(options.fallbacks):
            if self.name_of(fallback) not in self._composed and self._build_group(self.name_of(fallback)) is None:
                yield f"models.{name}.fallbacks[{index}]: {self._not_found(fallback, 'model')}"
        for index, each in enumerate(options.deployments):
            if problem := self._deployment_problem(name, each.model):
                yield f"models.{name}.deployments[{index}].model{problem}"

    def _deployment_problem(self, name: str, model: str) -> str:
        provider_name, slash, _ = model.partition("/")
        if not slash:
            return f" must be provider/model, is {model}"
        if "*" in model and "*" not in name:
            return " has a * but the model's name has none"
        if self._provider(provider_name) is not None:
            return ""
        declared = find_provider(provider_name)
        return f": {how_to_configure(declared) if declared else f'there is no provider {provider_name}'}"

    def _unserved_names(self, models: Mapping[str, ModelSettings]) -> Iterator[str]:
        """Yield the names that lead to nothing, or to a provider that does not have the model."""
        for name, options in models.items():
            for index, fallback in enumerate(options.fallbacks):
                if self._build_group(self.name_of(fallback)) is not None and self._leads_nowhere(fallback):
                    yield f"models.{name}.fallbacks[{index}]: {self._not_found(fallback, 'model')}"
            for index, each in enumerate(options.deployments):
                built = None if "*" in each.model else self._build_deployment(each, "", options)
                if built is not None and built.describe() is None:
                    yield f"models.{name}.deployments[{index}].model: {self._not_found(each.model, 'model')}"
        for alias, target in self._aliases.items():
            if self._leads_nowhere(alias):
                yield f"aliases.{alias}: {self._not_found(target, 'model')}"
        if self._leads_nowhere(self._default_model):
            yield f"default_model: {self._not_found(self._default_model, 'model')}"

    def _leads_nowhere(self, name: str) -> bool:
        """Whether nothing serves a name; problems of models of the settings are reported as theirs."""
        return self.name_of(name) not in {*self._named, *self._composed} and self.find(name) is None

    def _not_found(self, model: str, field: str) -> ServiceError:
        name = self._aliases.get(model, model)
        declared = find_provider(name.partition("/")[0])
        known = [group.name for group in self.groups()] + [alias for alias in self._aliases if alias != model]
        known += self._composed
        close = closest(name, known)
        is_configured = declared is None or declared.name in self._providers
        if declared is not None and not is_configured:
            hint = how_to_configure(declared)
        else:
            hint = f"did you mean {close}?" if close else "the list of models has all that are served"
        said = f"{model[:200]} (an alias of {name[:200]})" if name != model else model[:200]
        message = f"model {said} not found; {hint}"
        metadata = {"model": model[:200]} | ({"suggestion": close} if close else {})
        error_type = ServiceError if is_configured else ProviderNotConfiguredError
        return error_type(
            Reason.MODEL_NOT_FOUND, message, metadata=metadata, violations=[FieldViolation(field, message)]
        )


def _lists(deployment: Deployment) -> bool:
    """Whether the provider lists the model."""
    return any(info.name == deployment.model for info in deployment.provider.models())


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
