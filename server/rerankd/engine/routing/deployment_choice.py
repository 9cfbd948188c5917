"""Chooses the deployment of each attempt at one chunk."""

from __future__ import annotations

from msgspec import Struct, field

from rerankd.contract.errors import ServiceError
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.failures import no_healthy_deployment, overloaded, rate_limited
from rerankd.engine.routing.model_group import ModelGroup


class DeploymentChoice(Struct):
    """The deployments that one chunk may be sent to. For one event loop.

    Args:
        group: Its deployments.
        priority: Of the call, 0 to 999; lower values are served first.
        tokens: Estimated tokens of the chunk, for rate limits.
    """

    group: ModelGroup
    priority: int
    tokens: int
    tried: list[Deployment] = field(default_factory=list)
    """The deployments chosen so far."""
    given_up: list[Deployment] = field(default_factory=list)
    """Those whose attempt took too long."""

    def choose(self) -> Deployment | None:
        """Return the deployment to call; `None` if none is available.

        Preferred are deployments that were not tried, else all but the last; of these the ones that answer as usual.
        """
        deployments = self.group.deployments
        if len(deployments) == 1:
            return self._only(deployments[0])
        available = [each for each in deployments if self.is_available(each)]
        if not available:
            return None
        if self.tried:
            untried = [each for each in available if each not in self.tried]
            available = untried or [each for each in available if each is not self.tried[-1]] or available
        return self._chosen(available)

    def _only(self, deployment: Deployment) -> Deployment | None:
        """Return the one deployment of most models; `None` if it is not available."""
        if not self.is_available(deployment):
            return None
        self.tried.append(deployment)
        return deployment

    def choose_hedge(self, first: Deployment, *, is_late: bool) -> Deployment | None:
        """Return the deployment for the hedge; `None` if none is available or the budgets are spent.

        Args:
            first: The deployment of the first call.
            is_late: Whether the hedge delay has elapsed twice; the hedge may then use the retry budget.
        """
        candidates = [each for each in self.group.deployments if self.is_available(each)]
        others = [each for each in candidates if each is not first]
        if not candidates:
            return None
        is_failing = bool(others) and (is_late or first.breaker.is_open)
        if not self.group.hedge_budget.withdraw() and not (is_failing and self.group.retry_budget.withdraw()):
            return None
        return self._chosen(others or candidates)

    def others(self) -> list[Deployment]:
        """Return the available deployments that were not tried."""
        return [each for each in self.group.deployments if each not in self.tried and self.is_available(each)]

    def has_other_than(self, deployment: Deployment) -> bool:
        """Whether another deployment is available that was not given up."""
        others = [each for each in self.group.deployments if each is not deployment and each not in self.given_up]
        return any(self.is_available(each) for each in others)

    def is_available(self, deployment: Deployment) -> bool:
        """Whether a deployment takes the chunk now."""
        return (
            not deployment.breaker.is_open
            and not deployment.limiter.refuses(self.priority)
            and deployment.rate_wait_s(self.tokens) <= 0
        )

    def none_available(self) -> ServiceError:
        """Build the error that says why no deployment takes the chunk."""
        healthy = [each for each in self.group.deployments if not each.breaker.is_open]
        if not healthy:
            return no_healthy_deployment(self.group)
        unused = [each for each in healthy if not each.limiter.refuses(self.priority)]
        if not unused:
            return overloaded(self.group)
        return rate_limited(self.group, min(each.rate_wait_s(self.tokens) for each in unused))

    def _chosen(self, candidates: list[Deployment]) -> Deployment:
        if len(candidates) > 1:
            candidates = [each for each in candidates if not each.is_quiet] or candidates
        chosen = self.group.balancer.choose(candidates)
        self.tried.append(chosen)
        return chosen
