"""Settings of the strategy llm-listwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from rerankd.engine.scoring.tournament import Rules
from rerankd.strategies.chat.prompt_template import template_problems
from rerankd.strategies.common_settings import CommonConfig, RerankerSettings
from rerankd.strategies.listwise.answers import MAX_FIRST_TOKEN_WINDOW, MAX_WINDOW
from rerankd.strategies.listwise.plans import Groups, JointRank, Plan, Sliding, TourRank

MAX_CALLS: Final = 200
"""Chat calls of one request, without the second attempts at answers that cannot be read."""
OPTIONAL: Final = ("instruction", "form", "count", "nonce")
"""Placeholders that a template may have."""
_MAX_DEPTH: Final = 1000


class LlmListwiseConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chat model orders the best documents, a window of them in one call."""

    model: str
    """The chat model: an alias, `provider/model`, or a model of the settings."""
    first_stage: str | None = None
    """Model that orders all documents first; `null`: their order in the request, or that of their `prior_score`."""
    depth: int = 100
    """The best so many documents are ordered by the chat model, at most 1,000; the others follow in the order of the
    first stage."""
    plan: Literal["groups", "sliding", "jointrank", "tourrank"] = "groups"
    """`groups`: the best few of each window go on to a last one. `sliding`: windows from the back to the front, one
    after the other. `jointrank`: all documents dealt several times, mean rank. `tourrank`: several tournaments at once,
    a point for every stage survived."""
    window: int = 20
    """Documents of one call, 2 to 100; at most 20 with `first_token`."""
    keep: int | None = None
    """Of `groups`: documents of each window that go on at least. Default: a fifth of the window, and at least 4."""
    readings: int = 2
    """Of `groups`: how often the last window is read; 2: in opposite orders, and ordered by mean rank."""
    deals: int = 4
    """Of `jointrank`: how often each document is dealt."""
    tournaments: int = 2
    """Of `tourrank`: how many."""
    answer: Literal["text", "json", "first_token"] = "text"
    """`text`: a list of identifiers. `json`: the same as JSON whose schema the server enforces, if it can.
    `first_token`: the probabilities of the first token, for models that were trained so."""
    instruction: str = ""
    """What makes a document relevant in this domain; a request's `instruction` takes its place."""
    system_prompt: str | None = None
    """Template with `{instruction}`, `{form}` (of the answer), `{count}` and `{nonce}`. `null`: a tried one; empty:
    none."""
    prompt: str | None = None
    """Template that needs `{query}` and `{documents}`, and may have those of `system_prompt`. `null`: a tried one."""
    concurrency: int = 8
    """Windows of a request that are asked at once; the limits of the model's deployments hold too."""
    max_document_tokens: int = 300
    """Tokens that are read of each document; the rest is cut off with a warning."""

    def plan_for(self, top_n: int | None) -> Plan:
        """Return the plan of a request.

        Args:
            top_n: Results needed; `None`: all.
        """
        if self.plan == "sliding":
            return Sliding(self.window)
        if self.plan == "jointrank":
            return JointRank(self.window, self.deals)
        if self.plan == "tourrank":
            return TourRank(self.window, self.tournaments)
        return Groups(Rules(self.window, keep=self.keep, top_n=top_n, readings=self.readings))

    def max_answer_tokens(self, count: int) -> int:
        """Return the tokens that the answer to a window of n documents may have."""
        return {"text": 6 * count + 32, "json": 9 * count + 48, "first_token": 1}[self.answer]

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        found = [*super().problems(path), *self._range_problems(path)]
        required = {"system_prompt": (), "prompt": ("query", "documents")}
        for name, template in (("system_prompt", self.system_prompt), ("prompt", self.prompt)):
            if template is not None:
                found += template_problems(template, f"{path}.{name}", required=required[name], optional=OPTIONAL)
        return found

    def _range_problems(self, path: str) -> Iterator[str]:
        most = MAX_FIRST_TOKEN_WINDOW if self.answer == "first_token" else MAX_WINDOW
        ranges = {
            "window": (2, most),
            "depth": (2, _MAX_DEPTH),
            "readings": (1, 2),
            "deals": (1, 20),
            "tournaments": (1, 20),
            "concurrency": (1, MAX_CALLS),
            "max_document_tokens": (1, 100_000),
        }
        wrong = {name for name, (low, high) in ranges.items() if not low <= getattr(self, name) <= high}
        for name in sorted(wrong):
            low, high = ranges[name]
            yield f"{path}.{name} must be {low} to {high:,}, is {getattr(self, name)}"
        if self.keep is not None and not 1 <= self.keep < self.window:
            yield f"{path}.keep must be at least 1 and below window, {self.window}, is {self.keep}"
        elif self.plan == "groups" and self.top_n is not None and 2 * self.top_n > self.window:
            yield (
                f"{path}.window, {self.window}, must be at least twice top_n, {self.top_n}: the last window decides"
                " the results"
            )
        elif not wrong and (calls := self.plan_for(self.top_n).calls(self.depth)) > MAX_CALLS:
            yield f"{path}: {self.depth} documents need {calls} chat calls, more than {MAX_CALLS}; lower depth"


class LlmListwiseSettings(RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="llm-listwise"):
    """A reranker of the strategy llm-listwise."""

    config: LlmListwiseConfig
    """Configuration of the strategy."""
