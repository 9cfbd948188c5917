"""Calls of the engine in this process: from threads, from coroutines, after a fork, and what they refuse."""

from __future__ import annotations

import asyncio
import copy
import doctest
import importlib
import json
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

import rerankd
from rerankd.contract.errors import Code, Reason
from rerankd.local.provider import LocalProvider
from rerankd.sdk import Reranker, RerankError, arerank, rerank
from rerankd.sdk.logs import quieten_logs
from rerankd.settings import Settings

DOCUMENTS = ["Berlin is in Germany", "Paris is the capital of France", "a capital idea"]


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    with Reranker(Settings()) as opened:
        yield opened


def order(response: Any) -> list[int]:
    return [result.index for result in response.results]


def test_answer_reads_as_attributes_and_as_dict() -> None:
    response = rerank("local/bm25", "capital of France", DOCUMENTS)

    assert order(response) == [1, 2, 0]
    first = response["results"][0]
    assert first["document"]["text"] == first.document.text == DOCUMENTS[1]
    assert first.get("relevance_score") == first.relevance_score > 0
    assert "meta" in response
    assert "nothing" not in response
    assert response.usage.cost is None
    assert "cost" not in response.usage
    assert response.meta["billed_units"]["search_units"] == 0
    assert response.meta.tokens == {"input_tokens": 0, "output_tokens": 0}
    with pytest.raises(AttributeError, match="RerankResponse has no 'nothing'"):
        _ = response.nothing


def test_answer_can_be_written_copied_and_sent() -> None:
    response = rerank("local/bm25", "capital", DOCUMENTS)

    assert json.loads(response.model_dump_json()) == json.loads(json.dumps(response)) == json.loads(response.json())
    dumped = response.model_dump()
    assert type(dumped["results"][0]) is dict
    dumped["results"][0]["index"] = -1
    assert response.results[0].index != -1
    assert pickle.loads(pickle.dumps(response)).results[0].index == copy.deepcopy(response).results[0].index


def test_call_as_litellm_has_it_by_position() -> None:
    documents: list[Any] = [{"title": "a pear"}, {"title": "an apple", "body": "pear pear"}]
    response = rerank("bm25", "apple", documents, "local", 1, ["title"], False)

    assert order(response) == [1]
    assert response.results[0].document is None
    assert response.model == "local/bm25"


def test_provider_may_stand_before_the_model_too() -> None:
    assert rerank("local/bm25", "a", ["a"], custom_llm_provider="local").model == "local/bm25"


def test_structured_documents_come_back_as_they_went() -> None:
    documents: list[Any] = [
        {"text": "an apple", "id": "a1", "metadata": {"page": 7}},
        {"anything": "apple"},
        {"title": "Fruit", "text": "apples"},
        "apple",
    ]
    results = rerank("local/bm25", "apple", documents).results

    found: dict[int, Any] = {result.index: result.document for result in results}
    assert [found[index] for index in range(4)] == [*documents[:3], {"text": "apple"}]
    assert (found[1].anything, found[1].text, found[3].text) == ("apple", None, "apple")


def test_results_of_a_reranker_are_explained_on_request() -> None:
    settings = msgspec.convert({"rerankers": {"words": {"strategy": "heuristic"}}}, Settings)
    with Reranker(settings) as opened:
        plain = opened.rerank("words", "apple pie", ["a pear", "an apple pie"])
        detailed = opened.rerank("words", "apple pie", ["a pear", "an apple pie"], include_details=True)

    assert "explanation" not in plain.results[0]
    assert [part["name"] for part in detailed["results"][0]["explanation"]["parts"]] == ["bm25", "phrase", "proximity"]


async def test_inside_a_running_loop(reranker: Reranker) -> None:
    blocking = reranker.rerank("local/bm25", "capital of France", DOCUMENTS)
    awaited = await reranker.arerank("local/bm25", "capital of France", DOCUMENTS)
    many = await asyncio.gather(*(arerank("local/bm25", "capital", DOCUMENTS, top_n=1) for _ in range(50)))

    assert order(blocking) == order(awaited) == [1, 2, 0]
    assert {len(response.results) for response in many} == {1}


def test_one_engine_for_loops_that_come_and_go(reranker: Reranker) -> None:
    reranker.rerank("local/bm25", "a", ["a"])
    thread = reranker._thread
    for _ in range(3):
        assert order(asyncio.run(reranker.arerank("local/bm25", "capital of France", DOCUMENTS))) == [1, 2, 0]
    assert reranker._thread is thread


def test_many_threads_open_one_engine() -> None:
    with Reranker(Settings()) as opened, ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda n: opened.rerank("local/bm25", f"w{n}", [f"x w{n}", "y"]), range(200)))
    assert {response.results[0].index for response in responses} == {0}


def test_neural_model_loads_with_the_first_call(reranker: Reranker) -> None:
    response = reranker.rerank("", "how do bees make honey", ["The stock market fell", "Bees turn nectar into honey"])
    assert (order(response), response.model) == ([1, 0], "local/default")


@pytest.mark.parametrize(
    ("named", "is_started"),
    [("search", True), ("short", True), ("backed", True), ("words", False), ("local/bm25", False)],
)
def test_local_models_start_where_the_settings_deploy_them(
    monkeypatch: pytest.MonkeyPatch, named: str, is_started: bool
) -> None:
    started: list[str] = []

    async def start(provider: LocalProvider) -> None:
        started.append(provider.name)

    monkeypatch.setattr(LocalProvider, "start", start)
    models = {
        "search": {"deployments": [{"model": "local/default"}]},
        "words": {"deployments": [{"model": "local/bm25"}]},
        "backed": {"deployments": [{"model": "local/bm25"}], "fallbacks": ["search"]},
    }
    settings = msgspec.convert({"models": models, "aliases": {"short": "search"}}, Settings)
    with Reranker(settings) as opened:
        opened.rerank(named, "capital of France", DOCUMENTS)
        opened.rerank(named, "capital of France", DOCUMENTS)

    assert started == (["local"] if is_started else [])


def test_closed_reranker_opens_again() -> None:
    opened = Reranker(Settings())
    opened.close()
    first = opened.rerank("local/bm25", "a", ["a"])
    opened.close()
    opened.close()
    assert opened.rerank("local/bm25", "a", ["a"]).id != first.id
    opened.close()


async def test_cancelled_task_cancels_the_call(reranker: Reranker) -> None:
    task = asyncio.create_task(reranker.arerank("", "q", ["word " * 200 + str(n) for n in range(2000)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order(await reranker.arerank("local/bm25", "a", ["b", "a"])) == [1, 0]


def _order_in_child(queue: Any) -> None:
    queue.put(order(rerank("local/bm25", "capital of France", DOCUMENTS)))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_goes_on_after_a_fork() -> None:
    rerank("local/bm25", "a", ["a"])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_order_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [1, 2, 0]
    child.join(30)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    ("given", "reason", "fields"),
    [
        ({"query": " "}, Reason.INVALID_REQUEST, ["query"]),
        ({"documents": []}, Reason.INVALID_REQUEST, ["documents"]),
        ({"documents": ["a", 7]}, Reason.INVALID_REQUEST, ["documents[1]"]),
        ({"documents": ["a", {"text": 1}]}, Reason.INVALID_REQUEST, ["documents[1].text"]),
        ({"top_k": "three"}, Reason.INVALID_REQUEST, ["top_k"]),
        ({"model": "local/default", "mode": "best"}, Reason.INVALID_REQUEST, ["mode"]),
        (
            {"model": "local/default", "provider_options": {"mode": 1}},
            Reason.INVALID_REQUEST,
            ["provider_options.mode"],
        ),
        ({"top_n": 0}, Reason.INVALID_REQUEST, ["top_n"]),
        ({"top_n": "three"}, Reason.INVALID_REQUEST, ["top_n"]),
        ({"truncation": "middle"}, Reason.INVALID_REQUEST, ["truncation"]),
        ({"timeout": 0}, Reason.INVALID_REQUEST, ["timeout"]),
        ({"model": "local/nope"}, Reason.MODEL_NOT_FOUND, ["model"]),
        ({"model": "x", "api_key": "k"}, Reason.INVALID_REQUEST, ["model"]),
        ({"model": "nope/x", "api_key": "k"}, Reason.INVALID_REQUEST, ["model"]),
        ({"model": "tei/x", "api_key": "k"}, Reason.INVALID_REQUEST, ["api_base"]),
        ({"model": "local/default", "api_key": "k"}, Reason.INVALID_REQUEST, ["api_key"]),
        ({"model": "x" * 500_000}, Reason.INVALID_REQUEST, ["model"]),
        ({"model": "tei/x", "tls": {"verify": "no"}}, Reason.INVALID_REQUEST, ["tls"]),
        ({"model": "tei/x", "tls": {"ca": "x"}}, Reason.INVALID_REQUEST, ["tls"]),
        ({"model": "tei/x", "api_base": "https://h", "tls": {"ca_file": "/none"}}, Reason.INVALID_REQUEST, ["tls"]),
    ],
)
def test_bad_values_name_the_parameter(
    given: dict[str, Any], reason: Reason, fields: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TEI_API_BASE", "TEI_BASE_URL", "HF_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RerankError) as failed:
        rerank(**{"model": "local/bm25", "query": "q", "documents": ["a"], **given})

    assert failed.value.reason == reason
    assert [violation.field for violation in failed.value.fields] == fields
    assert failed.value.status_code == (404 if reason == Reason.MODEL_NOT_FOUND else 400)
    assert "providers." not in failed.value.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"topn": 3}, "did you mean 'top_n'"),
        ({"return_document": True}, "did you mean 'return_documents'"),
        ({"mock_response": {}}, "local/bm25 answers without a key"),
        ({"timeout_s": 3}, "did you mean timeout"),
        ({"documents": "one text"}, "documents must be a list of documents, not one str"),
        ({"timeout": object()}, "timeout must be a number of seconds"),
        ({"provider_options": 3}, "provider_options must be a mapping, not int"),
        ({"headers": "x"}, "headers must be a mapping, not str"),
    ],
)
def test_parameters_that_cannot_be_used(given: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        rerank(**{"model": "local/bm25", "query": "q", "documents": ["a"], **given})


def test_litellms_own_parameters_are_left_aside_and_named() -> None:
    response = rerank("local/bm25", "q", ["a"], num_retries=2, metadata={"trace": 1}, timeout="30")
    assert response.meta.warnings == [
        "metadata was ignored: local/bm25 has no such parameter; Contextual AI has",
        "num_retries was ignored: retries are set for the engine, not for a call",
    ]


def test_names_that_the_model_does_not_have_are_warned_of() -> None:
    response = rerank("local/bm25", "q", ["a"], overlap_tokens=8, overlap_token=8, colour=None, truncation=True)
    assert response.meta.warnings == [
        "overlap_tokens was ignored: local/bm25 has no such parameter; SiliconFlow has",
        "overlap_token was ignored: no provider has such a parameter; did you mean overlap_tokens?",
    ]


def test_other_names_of_top_n_and_return_documents() -> None:
    response = rerank("local/bm25", "a", ["a", "b"], top_k=1, return_text=False)
    assert (len(response.results), response.results[0].document, response.meta.warnings) == (1, None, [])
    both = rerank("local/bm25", "a", ["a", "b"], top_n=2, numberOfResults=1)
    assert (len(both.results), both.meta.warnings) == (2, ["numberOfResults was ignored: top_n is set too"])


def test_error_survives_another_process() -> None:
    with pytest.raises(RerankError) as failed:
        rerank("local/bm5", "q", ["a"])
    sent = pickle.loads(pickle.dumps(failed.value))
    assert (sent.reason, sent.code, str(sent)) == (Reason.MODEL_NOT_FOUND, Code.NOT_FOUND, str(failed.value))


def test_settings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text("aliases: {words: local/bm25}\ndefault_model: words\n")
    with Reranker(file) as opened:
        assert opened.rerank("", "a", ["a"]).model == "local/bm25"


def test_unusable_settings_say_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text("defaultmodel: x\n")
    opened = Reranker(file)
    with pytest.raises(RerankError, match="defaultmodel is not a setting; did you mean default_model"):
        opened.rerank("local/bm25", "a", ["a"])
    file.write_text("default_model: local/bm25\n")
    assert order(opened.rerank("", "a", ["a"])) == [0]
    opened.close()


def test_call_whose_reranker_is_closed_fails() -> None:
    opened = Reranker(Settings())
    opened.rerank("", "a", ["a"])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(opened.rerank, "local/ms-marco-minilm-l12-v2", "q", ["word " * 300] * 2000)
        while not (opened._thread and len(asyncio.all_tasks(opened._thread._loop)) > 0):
            pass
        opened.close()
        with pytest.raises(RerankError) as failed:
            answer.result(30)
    assert failed.value.code is Code.UNAVAILABLE


def test_program_may_listen_to_our_log() -> None:
    program = (
        "import logging, structlog; logging.basicConfig(level='INFO', format='%(name)s');"
        "from rerankd import rerank; rerank('local/bm25', 'a', ['a']); structlog.get_logger('own').info('mine')"
    )
    outcome = run_python(program)
    assert "rerankd.call" in outcome.stderr
    assert "mine" in outcome.stdout


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_importing_the_package_is_cheap() -> None:
    program = "import sys, rerankd; print(sorted({'msgspec', 'grpc', 'structlog', 'rerankd.sdk'} & set(sys.modules)))"
    assert run_python(program).stdout == "[]\n"
    assert {"rerank", "arerank", "Reranker"} <= set(dir(rerankd))
    with pytest.raises(AttributeError, match="no attribute 'rerrank'"):
        _ = rerankd.rerrank


def test_program_prints_nothing_of_ours_and_ends() -> None:
    outcome = run_python("from rerankd import rerank; rerank('', 'a', ['a', 'b']); print('end')")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "end\n", "")


def test_examples_of_the_documentation() -> None:
    structlog.reset_defaults()  # other tests set it up as the server does, which prints
    quieten_logs()
    for name in ("rerankd.sdk", "rerankd.sdk.functions", "rerankd.sdk.reranker"):
        outcome = doctest.testmod(importlib.import_module(name))
        assert outcome.attempted > 0, name
        assert outcome.failed == 0, name
