"""What a request is expected to use, before anything is sent."""

from __future__ import annotations

from dataclasses import replace

from rerankd.contract.messages import RerankRequest
from rerankd.engine.models import Models
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.estimate import Estimate, Needed
from rerankd_adapters.base import ModelInfo, Price
from tests.support.providers import ScriptedProvider, by_length


class Priced(ScriptedProvider):
    """Takes two dollars for a million calls."""

    def describe(self, model: str) -> ModelInfo | None:
        info = super().describe(model)
        price = Price(model="*", unit="call", usd_per_million=2, source="", date="")
        return None if info is None else replace(info, price=price)


def test_a_quote_of_money_alone_estimates_only_what_has_a_price() -> None:
    request = RerankRequest(query="q", documents=["abcdef"])
    for provider, usd in ((ScriptedProvider(a=by_length), 0.0), (Priced(a=by_length), 2e-6)):
        models = Models(Router([provider], default_model="scripted/a"))
        estimated = models.quote(request, Needed.TOKENS).estimate
        assert estimated == Estimate(3, usd)
        assert models.quote(request, Needed.MONEY).estimate == (estimated if usd else Estimate(0, 0.0))
