"""Counts what strategies do that no call record tells."""

from __future__ import annotations

from rerankd.telemetry.metrics.instruments import metrics


def document_judged(model: str, outcome: str) -> None:
    """Count a document that a chat model was asked to judge.

    Args:
        model: Public name of the chat model.
        outcome: `ok`, `no_verdict`, or `rejected` by the provider.
    """
    metrics.judged.of(model, outcome).inc()


def window_ordered(model: str, outcome: str) -> None:
    """Count an answer of a chat model that was asked to order a window of documents.

    Args:
        model: Public name of the chat model.
        outcome: `ok`, `wrong_format`, `repetition`, `missing` or `unusable`.
    """
    metrics.ordered.of(model, outcome).inc()
