"""Conformance suite for adapters, run against a loopback server.

A package with an adapter runs it in a test of any framework, once per transport::

    recording = load_recording(Path("recordings/acme.yaml"))
    for case in recording.all_cases():
        await check_case(recording, case, provider, open_provider)
    for behaviour in BEHAVIOURS:
        await behaviour.check(recording, provider, open_provider)

where `open_provider(provider, endpoint, options)` returns something with
`async rerank(call) -> ProviderReply`, such as `rerankd.providers.http_provider.HttpProvider`.
"""

from rerankd_adapters.testing.behaviours import BEHAVIOURS, Behaviour
from rerankd_adapters.testing.recordings import Case, Recording, Step, check_case, load_recording
from rerankd_adapters.testing.server import LoopbackServer, Received, ScriptedResponse

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "Case",
    "LoopbackServer",
    "Received",
    "Recording",
    "ScriptedResponse",
    "Step",
    "check_case",
    "load_recording",
]
