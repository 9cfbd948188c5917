"""ModelGroup: the description of a model with several deployments."""

from dataclasses import replace

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd_adapters.base import Capabilities, ModelInfo
from tests.support.engines import group
from tests.support.providers import FACTS, ScriptedProvider


def facts(**values: object) -> Capabilities:
    return replace(FACTS, **values)  # type: ignore[arg-type]  # given by name


class Told(ScriptedProvider):
    info: ModelInfo | None = ModelInfo("model", FACTS)

    def describe(self, model: str) -> ModelInfo | None:
        return self.info


def test_the_description_follows_the_deployments() -> None:
    first, second = Told("a"), Told("b")
    searched = group([first, second])
    first.info = ModelInfo("model", facts(max_documents=9), revision="1", status="unavailable")
    second.info = ModelInfo("model", facts(max_documents=5), revision="2")
    assert searched.info().capabilities.max_documents == 5
    assert (searched.info().revision, searched.info().status) == ("1,2", "available")
    second.info = ModelInfo("model", facts(max_documents=4), revision="3")
    assert (searched.info().capabilities.max_documents, searched.info().revision) == (4, "1,3")
    second.info = None
    assert searched.info() is first.info
    first.info = None
    assert searched.describe() is None
    with pytest.raises(ServiceError) as raised:
        searched.info()
    assert raised.value.reason is Reason.MODEL_NOT_FOUND


@pytest.mark.parametrize(
    ("providers", "bulkhead"),
    [
        (("cohere",), "cohere"),
        (("cohere", "cohere"), "cohere"),
        (("cohere", "azure"), "search"),
        (("local",), "search"),
    ],
)
def test_models_of_a_remote_provider_take_its_share_of_the_admission(providers: tuple[str, ...], bulkhead: str) -> None:
    assert group([ScriptedProvider(name) for name in providers]).bulkhead == bulkhead
