"""Loader: opens each ONNX graph and tokenizer once, in threads, and shares them among models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rerankd.local.onnx.costs import CostMeter
from rerankd.local.onnx.weights import WeightFile, WeightsError
from rerankd.local.scheduler import run_blocking

if TYPE_CHECKING:
    from rerankd.local.onnx.session import OnnxSession
    from rerankd.local.tokens.tokenizer import Tokenizer


class Files(Protocol):
    """Files of one model."""

    @property
    def network(self) -> WeightFile:
        """The ONNX graph."""
        ...

    @property
    def tokenizer(self) -> WeightFile:
        """`tokenizer.json`."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """An ONNX session with its tokenizer."""

    session: OnnxSession
    tokenizer: Tokenizer
    identity: str
    """Names the weights, for cache keys."""


_PRIOR_MS_PER_TOKEN = 0.45
"""Measured on one AVX2 core for the embedded six- and twelve-layer networks, 240 tokens."""


class Loader:
    """Loads each file once. Methods are called from one event loop; the work is done in threads."""

    def __init__(self) -> None:
        self._sessions: dict[WeightFile, asyncio.Task[OnnxSession]] = {}
        self._tokenizers: dict[WeightFile, asyncio.Task[Tokenizer]] = {}

    async def load(self, files: Files) -> Loaded:
        """Load a model, or wait for the load under way, or take what was loaded.

        Raises:
            WeightsError: When files are missing or wrong, or the packages that run them are not installed.
            PoolClosedError: When the process is ending.
        """
        session_task = self._sessions.get(files.network)
        if session_task is None:
            session_task = asyncio.create_task(run_blocking(_open_session, files.network))
            self._sessions[files.network] = session_task
        tokenizer_task = self._tokenizers.get(files.tokenizer)
        if tokenizer_task is None:
            tokenizer_task = asyncio.create_task(run_blocking(_open_tokenizer, files.tokenizer))
            self._tokenizers[files.tokenizer] = tokenizer_task
        if session_task.done() and tokenizer_task.done():
            return Loaded(session_task.result(), tokenizer_task.result(), identity_of(files.network))
        # Shielded, because other calls may wait for the same load.
        both = asyncio.gather(asyncio.shield(session_task), asyncio.shield(tokenizer_task), return_exceptions=True)
        session, tokenizer = await both
        if isinstance(session, BaseException):
            raise session
        if isinstance(tokenizer, BaseException):
            raise tokenizer
        return Loaded(session, tokenizer, identity_of(files.network))

    def cancel(self) -> None:
        """End the runs under way on every network loaded; later ones fail."""
        for task in self._sessions.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().cancel()


def identity_of(file: WeightFile) -> str:
    """Name weights by their checksum, or by their path where none is pinned."""
    return getattr(file, "sha256", None) or str(file.locate())


def _open_session(file: WeightFile) -> OnnxSession:
    try:
        from rerankd.local.onnx.session import OnnxSession
    except ImportError as error:
        raise _not_installed(error) from None
    return OnnxSession(file, CostMeter(_PRIOR_MS_PER_TOKEN))


def _open_tokenizer(file: WeightFile) -> Tokenizer:
    from rerankd.local.tokens.tokenizer import Tokenizer

    content = file.read()
    try:
        return Tokenizer(content)
    except ImportError as error:
        raise _not_installed(error) from None
    except Exception as error:
        raise WeightsError(f"{file.locate().name} is not a usable tokenizer: {error}") from error


def _not_installed(error: ImportError) -> WeightsError:
    return WeightsError(f"package {error.name} is not installed (pip install 'rerankd[local]')")
