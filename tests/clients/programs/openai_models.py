"""OpenAI's SDK: its list of models."""

from __future__ import annotations

from typing import Any

import openai
from checks import GIVEN, KEY, UNKNOWN, URL, check, run

client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1")


@check
def models() -> Any:
    return {"models": [model.id for model in client.models.list()]}


@check
def model() -> Any:
    return {"models": [client.models.retrieve(GIVEN["model"]).id]}


@check
def unknown_model() -> Any:
    client.models.retrieve(UNKNOWN)


run()
