"""Which chat APIs the conformance suite runs for, and which misbehaviours.

An API of OpenAI's form is read by the same code whoever serves it: misbehaviours are run for one API of each form, and
recordings for every provider. Both run over every transport.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rerankd_adapters.testing import BEHAVIOURS
from rerankd_adapters.testing.chat import ChatRecording, load_chat_recording

CHAT_RECORDINGS: Final[dict[str, ChatRecording]] = {
    path.stem: load_chat_recording(path)
    for path in sorted((Path(__file__).parent.parent / "recordings" / "chat").glob("*.yaml"))
}
FORMS: Final = ("openai", "vllm", "anthropic", "gemini", "cohere", "bedrock")
"""Providers, one for each adapter."""
_OF_SCORES: Final = (" result", " index", " score", "sorted", "ties", "scores", "truth for", "1,000 documents")
CHAT_BEHAVIOURS: Final = tuple(
    behaviour for behaviour in BEHAVIOURS if not any(word in f" {behaviour.name}" for word in _OF_SCORES)
)
"""Misbehaviours that have nothing to do with scores."""
