"""All dialects by name, and the selection of a request's dialect by mount, headers, path or body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd.contract.errors import FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.contract.suggestions import did_you_mean
from rerankd.gateway.decoding import keys_of
from rerankd.gateway.dialects.bedrock import Bedrock
from rerankd.gateway.dialects.cohere import Cohere
from rerankd.gateway.dialects.deepinfra import DeepInfra
from rerankd.gateway.dialects.fireworks import Fireworks
from rerankd.gateway.dialects.infinity import Infinity
from rerankd.gateway.dialects.isaacus import Isaacus
from rerankd.gateway.dialects.jina import Jina
from rerankd.gateway.dialects.localai import LocalAi
from rerankd.gateway.dialects.mixedbread import Mixedbread
from rerankd.gateway.dialects.nim import Nim
from rerankd.gateway.dialects.openrouter import OpenRouter
from rerankd.gateway.dialects.own import Own
from rerankd.gateway.dialects.pinecone import Pinecone
from rerankd.gateway.dialects.sglang import SgLang
from rerankd.gateway.dialects.siliconflow import SiliconFlow
from rerankd.gateway.dialects.superset import Superset, read_large_own, read_own
from rerankd.gateway.dialects.table import (
    ALIASES,
    BODIES,
    BOUND,
    DIALECT_HEADER,
    HEADERS,
    PATHS,
    SHARED,
    Keys,
    dialect_of_body,
)
from rerankd.gateway.dialects.tei import Tei
from rerankd.gateway.dialects.together import Together
from rerankd.gateway.dialects.vertex import Vertex
from rerankd.gateway.dialects.vllm import Vllm
from rerankd.gateway.dialects.vllm_score import VllmScore
from rerankd.gateway.dialects.voyage import Voyage
from rerankd.gateway.dialects.weaviate import Weaviate
from rerankd.gateway.dialects.xinference import Xinference
from rerankd.gateway.dialects.zeroentropy import ZeroEntropy
from rerankd.gateway.refusal import undecided_body
from rerankd.gateway.response_writer import PlainRefusal
from rerankd.gateway.route_table import Route, normalise_path
from rerankd.gateway.translation.dialect import NO_KEYS, Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class Undecided(PlainRefusal):
    """Errors of a request that was refused before its body could identify the dialect."""

    def refusal(self, error: ServiceError, request_id: str) -> object:
        """Build an error body that the client of every dialect can read."""
        return undecided_body(error, request_id)


DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        Superset(),
        Own(),
        Cohere(),
        Jina(),
        Vllm(),
        VllmScore(),
        Voyage(),
        Tei(),
        Nim(),
        Together(),
        Pinecone(),
        Mixedbread(),
        Bedrock(),
        Vertex(),
        Fireworks(),
        Infinity(),
        SgLang(),
        SiliconFlow(),
        LocalAi(),
        Xinference(),
        OpenRouter(),
        ZeroEntropy(),
        Isaacus(),
        DeepInfra(),
        Weaviate(),
    )
}
MOUNTS: Final[Mapping[str, Dialect]] = {
    **DIALECTS,
    **{alias: DIALECTS[name] for alias, name in ALIASES.items()},
}
UNDECIDED: Final = Undecided()
UNDECIDED_LISTS: Final = tuple(
    dict.fromkeys(name for each in (SHARED, *(rule.dialect for rule in BODIES)) for name in DIALECTS[each].long_lists)
)
"""`Dialect.long_lists` of the dialects that a body can tell."""
DIALECT_ROUTES: Final = tuple(
    Route(
        "POST",
        rule.template,
        "Rerank",
        "rerank_service",
        "rerank",
        RerankRequest,
        RerankResponse,
        True,
        None,
        False,
        rule.dialect,
    )
    for rule in PATHS
)


def dialect_of_path(name: str, mount: Dialect | None, headers: Mapping[str, str]) -> Dialect | None:
    """Return the dialect of a request by its path, mount and headers; None if its body decides.

    Args:
        name: Dialect of the path, without the mount; empty for a path that several services share.
        mount: Dialect of the mount; None without one.
        headers: Of the request, names in lower case.

    Raises:
        ServiceError: `INVALID_REQUEST` for an unknown name in `x-rerank-dialect`.
    """
    if name in BOUND:
        return DIALECTS[name]
    return mount or dialect_of_headers(headers) or (DIALECTS[name] if name else None)


def split_mount(path: str) -> tuple[Dialect | None, str]:
    """Split a normalised path into dialect and rest: `/voyage/v1/rerank` is Voyage's `/v1/rerank`."""
    name, _, rest = path[1:].partition("/")
    dialect = MOUNTS.get(name)
    return (dialect, normalise_path(rest)) if dialect is not None else (None, path)


def dialect_of_headers(headers: Mapping[str, str]) -> Dialect | None:
    """Return the dialect named by `x-rerank-dialect`, or the one whose clients send a header of the table; else None.

    Raises:
        ServiceError: `INVALID_REQUEST` for an unknown name.
    """
    if name := headers.get(DIALECT_HEADER):
        if name.lower() not in MOUNTS:
            hint = did_you_mean(name, MOUNTS) or f"; known are {', '.join(MOUNTS)}"
            rule = f"{DIALECT_HEADER} {name[:50]!r} is not a dialect{hint}"
            raise invalid_request([FieldViolation(DIALECT_HEADER, rule)])
        return MOUNTS[name.lower()]
    for header, rule_dialect in HEADERS:
        if header in headers:
            return DIALECTS[rule_dialect]
    return None


def identify(data: bytes) -> tuple[Dialect, ParsedRequest | None, Keys]:
    """Identify the dialect of a body sent to a path that several services share.

    The body is decoded as the contract's first, which succeeds for the SDKs of Cohere, Together, Jina and this
    service. Otherwise its top-level keys decide.

    Returns:
        The dialect, the parsed request if the body is the contract's (else None), and the body's keys otherwise.

    Raises:
        ServiceError: `INVALID_REQUEST` for a body that is not a JSON object.
    """
    parsed = read_own(data)
    if parsed is not None:
        return DIALECTS[SHARED], parsed, NO_KEYS
    keys = keys_of(data)
    return DIALECTS[dialect_of_body(keys)], None, keys


async def identify_large(data: bytes) -> tuple[Dialect, ParsedRequest | None, Keys]:
    """Identify the dialect of a large body as `identify` does, yielding the event loop.

    Raises:
        ServiceError: As `identify`.
    """
    keys = keys_of(data)
    parsed = await read_large_own(keys)
    if parsed is not None:
        return DIALECTS[SHARED], parsed, NO_KEYS
    return DIALECTS[dialect_of_body(keys)], None, keys
