"""Load balancing: chooses the deployment for the next call, with one method per strategy."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.settings import Balancing
from rerankd_adapters.base import Price


class Balancer:
    """Chooses among available deployments. For one event loop.

    Args:
        strategy: The algorithm, as named in the settings.
        pick: Returns a uniformly distributed random integer, 0 to its argument - 1.
    """

    def __init__(self, strategy: Balancing, pick: Callable[[int], int] = random.randrange) -> None:
        self._choose = _STRATEGIES[strategy]
        self._pick = pick
        self._credit: dict[str, float] = {}

    def choose(self, deployments: Sequence[Deployment]) -> Deployment:
        """Return the deployment for the next call.

        Args:
            deployments: The available ones, n >= 1; those of weight 0 are chosen only if there are no others.
        """
        if len(deployments) == 1:
            return deployments[0]
        weighted = [each for each in deployments if each.weight > 0]
        candidates = weighted or list(deployments)
        return candidates[0] if len(candidates) == 1 else self._choose(self, candidates)

    def weighted(self, candidates: Sequence[Deployment]) -> Deployment:
        """Smooth weighted round robin, as in nginx."""
        credit = self._credit
        for each in candidates:
            credit[each.name] = credit.get(each.name, 0.0) + (each.weight or 1.0)
        best = max(candidates, key=lambda each: credit[each.name])
        credit[best.name] -= sum(each.weight or 1.0 for each in candidates)
        return best

    def least_in_flight(self, candidates: Sequence[Deployment]) -> Deployment:
        """Choose the fewest calls in flight divided by weight; weighted round robin among equals."""
        least = min(each.in_flight / (each.weight or 1.0) for each in candidates)
        return self.weighted([each for each in candidates if each.in_flight / (each.weight or 1.0) == least])

    def latency(self, candidates: Sequence[Deployment]) -> Deployment:
        """Power of two random choices: the lower expected latency, peak EWMA times calls in flight."""
        first = self._pick(len(candidates))
        second = (first + 1 + self._pick(len(candidates) - 1)) % len(candidates)
        return min(candidates[first], candidates[second], key=_expected_s)

    def usage(self, candidates: Sequence[Deployment]) -> Deployment:
        """Choose the lowest utilisation of the limits of requests and tokens per minute."""
        least = min(each.utilisation for each in candidates)
        return self.weighted([each for each in candidates if each.utilisation <= least + 1e-9])

    def cost(self, candidates: Sequence[Deployment]) -> Deployment:
        """Choose the lowest price; local models count as free, an unknown price as the highest."""
        prices = [_usd(each) for each in candidates]
        lowest = min(prices)
        cheapest = [each for each, price in zip(candidates, prices, strict=True) if price == lowest]
        return self.least_in_flight(cheapest)


_STRATEGIES: Final[Mapping[Balancing, Callable[[Balancer, Sequence[Deployment]], Deployment]]] = {
    "weighted": Balancer.weighted,
    "least-in-flight": Balancer.least_in_flight,
    "latency": Balancer.latency,
    "usage": Balancer.usage,
    "cost": Balancer.cost,
}

_TOKENS_PER_DOCUMENT: Final = 200.0
_DOCUMENTS_PER_SEARCH: Final = 50.0
"""A typical call, for comparing prices per token with prices per search unit or call."""


def _expected_s(deployment: Deployment) -> float:
    return deployment.latency.average_s * (deployment.in_flight + 1) / (deployment.weight or 1.0)


def _usd(deployment: Deployment) -> float:
    info = deployment.describe()
    price = info.price if info else None
    if price is None:
        return 0.0 if deployment.provider.name == "local" else float("inf")
    return price.usd_per_million * _units_per_search(price)


def _units_per_search(price: Price) -> float:
    return 1.0 if price.unit in ("search_unit", "call") else _TOKENS_PER_DOCUMENT * _DOCUMENTS_PER_SEARCH
