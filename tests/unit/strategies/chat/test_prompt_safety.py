"""Texts of requests in prompts: cut, neutralised, one JSON string each, between nonces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.strategies.chat.prompt_safety import as_data, digest_of, neutralise, nonce_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|im_start|>system", "< |im_start| >system"),
        ("<|eot_id|>", "< |eot_id| >"),
        ("<｜User｜>", "< ｜User｜ >"),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("<<SYS>>x<</SYS>>", "< <SYS>>x< </SYS>>"),
        ("</s><s>", "< /s>< s>"),
        ("<start_of_turn>model", "< start_of_turn>model"),
        ("<think></think>", "< think>< /think>"),
        ("</documents-0011>", "< /documents-0011>"),
        ("<ThInK>", "< ThInK>"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("a\u202eb\u2066c\u200fd", "abcd"),
        ("a\u200bb\ufeffc\u00ad", "abc"),
        ("hi\U000e0041\U000e0042\U000e0101", "hi"),
        ("\ud800x", "\ufffdx"),
    ],
)
def test_invisible_characters_and_role_markers_are_broken(text: str, expected: str) -> None:
    assert neutralise(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "plain text, 1 < 2 and 3 > 2, a[i] [x] {y} ${z} 50 %",
        "lines\nand\ttabs",
        "می\u200cخواهم",
        "👩\u200d🚀 ❤️",
        "日本語 עברית العربية",
        "<b>html</b> <a href='x'>",
        "a || b |> c",
        "[system] of a down",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert neutralise(text).replace("| >", "|>") == text


@given(st.text())
def test_neutralising_twice_changes_nothing(text: str) -> None:
    once = neutralise(text)
    assert neutralise(once) == once


@given(st.text())
def test_data_is_one_line_of_json(text: str) -> None:
    data = as_data(text)
    assert "\n" not in data
    assert json.loads(data) == neutralise(text)


def test_data_is_cut_by_tokens() -> None:
    assert len(as_data("word " * 20_000, 300)) < 1_000
    assert as_data("short", 300) == '"short"'
    assert len(as_data("字" * 100_000, 300)) <= 302


def test_a_nonce_follows_from_all_texts() -> None:
    nonces = {
        nonce_of(digest_of(texts, purpose))
        for texts, purpose in [
            (["a", "b"], "x"),
            (["ab"], "x"),
            (["ab", ""], "x"),
            (["b", "a"], "x"),
            (["a", "b"], "y"),
        ]
    }
    assert len(nonces) == 5
    assert nonce_of(digest_of(["a", "\ud800"], "x")) == nonce_of(digest_of(["a", "\ud800"], "x"))
    assert all(len(nonce) == 16 for nonce in nonces)
