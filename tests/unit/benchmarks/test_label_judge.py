"""The chat server that knows people's judgements."""

import json
import urllib.request

from benchmarks.label_judge import Error, LabelJudge, serving
from benchmarks.retrieval_sets import LabelledQuery

QUERY = LabelledQuery("how tall", ["bad", "good", "fair"], [0, 2, 1], [2, 1])
LISTED = 'query 00\n"how tall"\n[bc] "bad"\n[df] "good"\n[gh] "fair"'
JUDGED = 'query 00\n"how tall"\ndocument 00\n"good"\nend 00'


def asked(prompt: str, **fields: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}


def test_without_errors_it_orders_by_judgements_and_grades_by_probabilities() -> None:
    judge = LabelJudge(Error(0.0, 0.0, 0.0))
    judge.learn([QUERY])
    assert judge.answer(asked(LISTED))["choices"][0]["message"]["content"] == "[df] > [gh] > [bc]"
    choice = judge.answer(asked(JUDGED, logprobs=True))["choices"][0]
    assert choice["message"]["content"] == "3"
    assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 4


def test_errors_follow_from_the_texts() -> None:
    answers = []
    for _ in range(2):
        judge = LabelJudge(Error(5.0, 0.5, 1.0))
        judge.learn([QUERY])
        answers.append([judge.answer(asked(f"{LISTED}\n{number}"))["choices"] for number in range(5)])
    assert answers[0] == answers[1]
    assert len({str(each) for each in answers[0]}) > 1


def test_it_is_served_and_counts_calls() -> None:
    judge = LabelJudge(Error(0.0, 0.0, 0.0))
    judge.learn([QUERY])
    with serving(judge, delay_s=0.0) as url:
        data = json.dumps(asked(LISTED)).encode()
        with urllib.request.urlopen(f"{url}/chat/completions", data) as response:
            assert json.load(response)["model"] == "m"
    assert (judge.tally.calls, judge.tally.depth) == (1, 1)
