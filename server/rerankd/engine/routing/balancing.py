"""Which of several deployments gets the next call. One function a strategy, by the name of the setting."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.settings import Balancing
from rerankd_adapters.base import Price


class Balancer:
    """Chooses among deployments that may be called. For one event loop.

    Args:
        strategy: How.
        pick: Returns a number below the one given, evenly spread.
    """

    def __init__(self, strategy: Balancing, pick: Callable[[int], int] = random.randrange) -> None:
        self._choose = _STRATEGIES[strategy]
        self._pick = pick
        self._credit: dict[str, float] = {}

    def choose(self, deployments: Sequence[Deployment]) -> Deployment:
        """Return the deployment for the next call.

        Args:
            deployments: Those that may be called, n >= 1. Those of weight 0 are for when there are no others.
        """
        if len(deployments) == 1:
            return deployments[0]
        weighted = [each for each in deployments if each.weight > 0]
        candidates = weighted or list(deployments)
        return candidates[0] if len(candidates) == 1 else self._choose(self, candidates)

    def weighted(self, candidates: Sequence[Deployment]) -> Deployment:
        """Take turns in proportion to the weights, spread as evenly as can be (smooth weighted round robin)."""
        credit = self._credit
        for each in candidates:
            credit[each.name] = credit.get(each.name, 0.0) + (each.weight or 1.0)
        best = max(candidates, key=lambda each: credit[each.name])
        credit[best.name] -= sum(each.weight or 1.0 for each in candidates)
        return best

    def least_in_flight(self, candidates: Sequence[Deployment]) -> Deployment:
        """Take the one with the fewest calls under way for its weight; among equals take turns."""
        least = min(each.in_flight / (each.weight or 1.0) for each in candidates)
        return self.weighted([each for each in candidates if each.in_flight / (each.weight or 1.0) == least])

    def latency(self, candidates: Sequence[Deployment]) -> Deployment:
        """Of two taken at random, take the one that would answer sooner: peak EWMA times the calls under way."""
        first = self._pick(len(candidates))
        second = (first + 1 + self._pick(len(candidates) - 1)) % len(candidates)
        return min(candidates[first], candidates[second], key=_expected_s)

    def usage(self, candidates: Sequence[Deployment]) -> Deployment:
        """Take the one that has used the least of its requests and tokens a minute."""
        least = min(each.used for each in candidates)
        return self.weighted([each for each in candidates if each.used <= least + 1e-9])

    def cost(self, candidates: Sequence[Deployment]) -> Deployment:
        """Take the cheapest; a free model first, one without a known price last."""
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

_TOKENS_A_DOCUMENT: Final = 200.0
_DOCUMENTS_A_SEARCH: Final = 50.0
"""A usual call, to compare prices by the token with prices by the search."""


def _expected_s(deployment: Deployment) -> float:
    return deployment.latency.average_s * (deployment.in_flight + 1) / (deployment.weight or 1.0)


def _usd(deployment: Deployment) -> float:
    info = deployment.describe()
    price = info.price if info else None
    if price is None:
        return 0.0 if deployment.provider.name == "local" else float("inf")
    return price.usd_per_million * _units_a_search(price)


def _units_a_search(price: Price) -> float:
    return 1.0 if price.unit == "search_unit" else _TOKENS_A_DOCUMENT * _DOCUMENTS_A_SEARCH
