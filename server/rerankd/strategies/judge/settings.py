"""Settings of the strategy llm-judge."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from rerankd.strategies.chat.prompt_template import template_problems
from rerankd.strategies.common_settings import CommonConfig, RerankerSettings

GRADES: Final = ("0", "1", "2", "3")
YES_NO: Final = ("no", "yes")
RUBRIC: Final = (
    "the document has nothing to do with the query",
    "the document is on the topic of the query, but does not answer it",
    "the document answers the query in part, or the answer is hidden in other matter",
    "the document is about the query and answers it fully and exactly",
)
OPTIONAL: Final = ("instruction", "rubric", "labels", "nonce")
"""Placeholders that a template may have."""
_MOST_LABELS: Final = 10
_MOST_LABEL_CHARS: Final = 20


class LlmJudgeConfig(CommonConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chat model judges each document by itself."""

    model: str
    """The chat model: an alias, `provider/model`, or a model of the settings."""
    mode: Literal["grades", "yes-no"] = "grades"
    """`grades`: the expected grade over `labels`. `yes-no`: the probability of yes, in the template of Qwen3-Reranker,
    for models that were trained so."""
    labels: list[str] = msgspec.field(default_factory=list)
    """Answers from the worst to the best, each one token of the model, 2 to 10. Default: 0 to 3, or no and yes."""
    rubric: list[str] = msgspec.field(default_factory=list)
    """What each label means, in the order of `labels`; for `grades` only. Default: for the labels 0 to 3."""
    instruction: str = ""
    """What makes a document relevant in this domain; a request's `instruction` takes its place."""
    system_prompt: str | None = None
    """Template with `{instruction}`, `{rubric}`, `{labels}` and `{nonce}`. `null`: that of the mode; empty: none."""
    prompt: str | None = None
    """Prompt of one document: a template that needs `{query}` and `{document}`, and may have those of `system_prompt`.
    `null`: that of the mode."""
    concurrency: int = 16
    """Documents of a call that are judged at once; the limits of the model's deployments hold too."""
    max_document_tokens: int = 2000
    """Tokens of a document that are read; the rest is cut off, with a warning."""
    reading: Literal["auto", "logprob_token_ids", "top_logprobs", "generative_scoring", "json_schema", "text"] = "auto"
    """How the label is read from the answer. `auto`: by probabilities if the deployment gives them, which is found out
    at its first call, else from JSON whose schema the server enforces, else from the text."""
    min_label_probability: float = 0.01
    """A document has no verdict if the probabilities of all labels together are below this, because the model began to
    write something else."""

    def labels_used(self) -> tuple[str, ...]:
        """Return the labels, from the worst to the best."""
        return tuple(self.labels) or (GRADES if self.mode == "grades" else YES_NO)

    def rubric_used(self) -> tuple[str, ...]:
        """Return what each label means; empty in the mode yes-no."""
        return tuple(self.rubric) or (RUBRIC if self.mode == "grades" else ())

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the values, one sentence each."""
        found = super().problems(path)
        found += self._label_problems(path)
        required = {"system_prompt": (), "prompt": ("query", "document")}
        for name, template in (("system_prompt", self.system_prompt), ("prompt", self.prompt)):
            if template is not None:
                found += template_problems(template, f"{path}.{name}", required=required[name], optional=OPTIONAL)
        if self.concurrency < 1:
            found.append(f"{path}.concurrency must be at least 1, is {self.concurrency}")
        if self.max_document_tokens < 1:
            found.append(f"{path}.max_document_tokens must be at least 1, is {self.max_document_tokens}")
        if not 0 <= self.min_label_probability < 1:
            found.append(f"{path}.min_label_probability must be from 0 to below 1, is {self.min_label_probability:g}")
        return found

    def _label_problems(self, path: str) -> list[str]:
        found, labels = [], self.labels
        if labels and not 2 <= len(labels) <= _MOST_LABELS:
            found.append(
                f"{path}.labels must be 2 to {_MOST_LABELS}, from the worst to the best; there are {len(labels)}"
            )
        if len({label.casefold() for label in labels}) != len(labels):
            found.append(f"{path}.labels: two labels are the same but for their case")
        found += [
            f"{path}.labels[{index}] must be one word of at most {_MOST_LABEL_CHARS} characters"
            for index, label in enumerate(labels)
            if len(label.split()) != 1 or label != label.strip() or len(label) > _MOST_LABEL_CHARS
        ]
        if self.mode == "yes-no" and (len(labels) not in (0, 2) or self.rubric):
            found.append(f"{path}: the mode yes-no has two labels and no rubric")
        elif self.mode == "grades" and len(self.rubric_used()) != len(self.labels_used()):
            found.append(f"{path}.rubric needs one line for each of the {len(self.labels_used())} labels")
        return found


class LlmJudgeSettings(RerankerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="llm-judge"):
    """A reranker of the strategy llm-judge."""

    config: LlmJudgeConfig
    """Configuration of the strategy."""
