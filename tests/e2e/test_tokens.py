"""Callers with tokens of an OpenID provider, on a live server: every header, dialect and transport, and reloads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerankd.access.authentication import KEY_HEADERS
from rerankd.contract.errors import Reason, ServiceError
from rerankd.gateway.dialects.registry import DIALECTS
from rerankd_client import RerankClient, RerankError
from rerankd_client.requests import BatchItem
from tests.support.dialect_bodies import request_of
from tests.support.issuer import Issuer, public_jwk
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

MODEL = "local/bm25"


class Serving:
    """A server that takes the tokens of one issuer."""

    def __init__(self, folder: Path, issuer: Issuer, provider: Upstream) -> None:
        self.issuer = issuer
        self.provider = provider
        self.file = folder / "rerankd.yaml"
        self.state = folder / "state"
        self.write()
        self.process = ServerProcess("--config", str(self.file))

    def write(self, **more: Any) -> None:
        issuer = {"name": "idp", "issuer": self.issuer.url, "audience": ["rerankd"], "models": [MODEL], **more}
        settings = {
            "default_model": MODEL,
            "access": {"enabled": True, "jwt": [issuer]},
            "store": {"state_dir": str(self.state)},
        }
        self.file.write_text(yaml.safe_dump(settings))

    def post(self, headers: dict[str, str], model: str = MODEL) -> httpx.Response:
        body = {"query": "a", "documents": ["a"], "model": model}
        return httpx.post(f"{self.process.http_url}/v1/rerank", json=body, headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    issuer = Issuer(public_jwk("first"), public_jwk("curve", "ES256"))
    with Upstream(issuer.respond) as provider:
        issuer.url = provider.url
        opened = Serving(tmp_path_factory.mktemp("tokens"), issuer, provider)
        yield opened
        assert opened.process.stop() == 0


@pytest.mark.parametrize("name", KEY_HEADERS)
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer  {}"])
def test_a_token_is_taken_from_every_header(serving: Serving, name: str, form: str) -> None:
    assert serving.post({name: form.format(serving.issuer.token("curve", "ES256"))}).status_code == 200


def test_a_token_identifies_callers_over_grpc_and_in_batches(serving: Serving) -> None:
    items = [BatchItem(item_id=name, query="a", documents=["a"], model=name) for name in (MODEL, "local/minilm-l6")]
    with RerankClient(serving.process.grpc_address, api_key=serving.issuer.token()) as client:
        assert client.rerank("a", ["a"], model=MODEL).results
        found = {result.item_id: result.error for result in client.batch_rerank(items)}
    assert found[MODEL] is None
    assert found["local/minilm-l6"] is not None
    assert found["local/minilm-l6"].reason == "MODEL_NOT_ALLOWED"
    with (
        RerankClient(serving.process.grpc_address, api_key=serving.issuer.token(lives_s=-60), max_attempts=1) as client,
        pytest.raises(RerankError) as refused,
    ):
        client.rerank("a", ["a"], model=MODEL)
    assert (refused.value.reason, dict(refused.value.metadata)) == ("TOKEN_INVALID", {"problem": "expired"})


@pytest.mark.parametrize("name", DIALECTS)
def test_refusals_have_the_shape_of_their_dialect(serving: Serving, name: str) -> None:
    path, body = request_of(name, MODEL, {})
    token = serving.issuer.token(aud="another")
    answer = httpx.post(
        serving.process.http_url + path,
        json=body,
        headers={"x-rerank-dialect": name, "authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert (answer.status_code, answer.headers["x-error-reason"]) == (401, "TOKEN_INVALID")
    assert answer.headers["www-authenticate"] == 'Bearer realm="rerankd", error="invalid_token"'
    expected = json.loads(json.dumps(DIALECTS[name].refusal(ServiceError(Reason.TOKEN_INVALID, "text"), "id")))
    assert answer.json().keys() == expected.keys()
    assert "another audience" in answer.text


def test_scopes_and_models_of_a_token_are_its_limits(serving: Serving) -> None:
    def reason(token: str, model: str = MODEL) -> tuple[int, str]:
        answer = serving.post({"authorization": token}, model)
        return answer.status_code, answer.headers.get("x-error-reason", "")

    assert reason(serving.issuer.token(scope="models")) == (403, "INSUFFICIENT_SCOPE")
    assert reason(serving.issuer.token(scope="rerank"), "local/minilm-l6") == (403, "MODEL_NOT_ALLOWED")
    assert reason(serving.issuer.token(scope="rerank")) == (200, "")
    assert reason("Bearer eyJ..") == (401, "TOKEN_INVALID")
    assert reason(serving.issuer.token(groups=["x" * 100] * 200)) == (401, "TOKEN_INVALID")


def test_made_up_keys_leave_the_issuer_in_peace_and_callers_served(serving: Serving) -> None:
    assert serving.post({"authorization": serving.issuer.token()}).status_code == 200
    asked, began_s = len(serving.provider.received), time.monotonic()
    tokens = [serving.issuer.token(headers={"kid": f"made-up-{number}"}) for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda token: serving.post({"authorization": token}), tokens))
    assert {(answer.status_code, answer.headers["x-error-reason"]) for answer in answers} == {(401, "TOKEN_INVALID")}
    # Discovery document and keys, every 30 s at most: once, but on a machine that is very busy.
    assert len(serving.provider.received) - asked <= 2 * (1 + (time.monotonic() - began_s) // 30)
    assert serving.post({"authorization": serving.issuer.token(sub="somebody new")}).status_code == 200


def test_new_settings_count_for_the_next_call(serving: Serving) -> None:
    token = serving.issuer.token()
    assert serving.post({"authorization": token}).status_code == 200
    serving.write(audience=["somebody else"])
    serving.process.wait_for_log("settings reloaded")
    assert serving.post({"authorization": token}).headers["x-error-reason"] == "TOKEN_INVALID"
    serving.process.log.clear()
    serving.write()
    serving.process.wait_for_log("settings reloaded")
    assert serving.post({"authorization": token}).status_code == 200
