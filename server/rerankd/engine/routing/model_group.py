"""A model: the deployments that serve it, and their policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rerankd.contract.errors import Reason, ServiceError
from rerankd.engine.routing.balancing import Balancer
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.extra_call_budget import ExtraCallBudget
from rerankd.engine.routing.settings import ModelSettings
from rerankd.engine.time_limits import TimeLimits
from rerankd_adapters.base import Capabilities, ModelInfo
from rerankd_adapters.parameter import Parameter, Parameters


class ModelGroup:
    """One model with its deployments. Safe for concurrent tasks of one event loop.

    Args:
        name: Public name.
        deployments: n deployments, n >= 1.
        options: Balancing, retries, hedges, fallbacks.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        name: str,
        deployments: Sequence[Deployment],
        options: ModelSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.deployments = tuple(deployments)
        for deployment in self.deployments:
            deployment.peers = [each for each in self.deployments if each is not deployment]
        self.served_by = ",".join(sorted({f"{each.provider.name}/{each.model}" for each in self.deployments}))
        """`provider/model` of every deployment, comma-separated, sorted, without duplicates."""
        self.is_embedded = all(each.provider.name == "local" for each in self.deployments)
        """Whether it runs in this process: its calls may be slow, but none is lost."""
        self.bulkhead = _bulkhead(name, self.deployments)
        """Whose share of the admission its calls take: that of the one provider it has, if it is remote, or its own."""
        self.options = options
        self.limits_tokens = any(deployment.limits_tokens for deployment in self.deployments)
        """Whether any deployment has a limit of tokens per minute."""
        self.balancer = Balancer(options.balancing)
        self.retry_budget = ExtraCallBudget(
            options.retries.budget, options.retries.burst, options.retries.min_per_s, clock
        )
        self.hedge_budget = ExtraCallBudget(options.hedge.budget, options.hedge.burst)
        self.time_limits = TimeLimits()
        """Of attempts."""
        self.clock = clock
        self._described: tuple[list[ModelInfo], ModelInfo] | None = None

    @property
    def max_concurrent(self) -> int | None:
        """Sum of the concurrency limits of the deployments; `None` if one has none."""
        limits = [each.limiter.limit for each in self.deployments]
        return None if None in limits else sum(each for each in limits if each is not None)

    @property
    def is_known(self) -> bool:
        """Whether the settings or a provider have the model, or a provider has answered a call with it."""
        return any(each.is_known for each in self.deployments)

    def describe(self) -> ModelInfo | None:
        """Return the description of the model, with the lowest limits of its deployments; `None` if nothing serves it.

        The revision joins those of all deployments.
        """
        if len(self.deployments) == 1:
            return self.deployments[0].describe()
        infos = [info for each in self.deployments if (info := each.describe()) is not None]
        if len(infos) <= 1:
            return infos[0] if infos else None
        if self._described is None or self._described[0] != infos:
            self._described = infos, _joined(infos)
        return self._described[1]

    def info(self) -> ModelInfo:
        """Return the description of the model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` if nothing serves it any more.
        """
        info = self.describe()
        if info is None:
            raise ServiceError(Reason.MODEL_NOT_FOUND, f"model {self.name} is no longer served")
        return info


def _bulkhead(name: str, deployments: Sequence[Deployment]) -> str:
    providers = {each.provider.name for each in deployments}
    return providers.pop() if len(providers) == 1 and "local" not in providers else name


def _joined(infos: Sequence[ModelInfo]) -> ModelInfo:
    first = next((info for info in infos if info.status != "unavailable"), infos[0])
    revisions = sorted({info.revision for info in infos})
    capabilities = Capabilities.tightest([info.capabilities for info in infos])
    return replace(first, capabilities=capabilities, revision=",".join(revisions), parameters=_all_parameters(infos))


def _all_parameters(infos: Sequence[ModelInfo]) -> Parameters:
    """Return the own parameters that any deployment has; adapters warn of those that theirs does not have.

    One that changes what scores are counts only if every deployment has it, because their scores are compared.
    """
    joined: dict[str, Parameter] = {}
    for info in infos:
        if info.parameters is None:
            return None
        joined = {**info.parameters, **joined}
    return {
        name: each
        for name, each in joined.items()
        if each.raw_when is None or all(name in (info.parameters or ()) for info in infos)
    }
