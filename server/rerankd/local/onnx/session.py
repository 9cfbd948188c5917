"""One ONNX network, run one text or one pair at a time."""

from __future__ import annotations

import os
import time

import numpy as np
import numpy.typing as npt

# Read when ONNX Runtime is imported: its telemetry is on by default (Privacy.md of onnxruntime 1.31).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # type: ignore[import-untyped]  # it has no types

from rerankd.local.onnx.costs import CostMeter
from rerankd.local.onnx.weights import DiskFile, WeightFile, WeightsError
from rerankd_adapters.base import AdapterError, AdapterErrorKind

FloatArray = npt.NDArray[np.floating]

_SILENT = 4
"""ONNX Runtime's level for fatal errors alone."""


class OnnxSession:
    """An ONNX Runtime session of one thread, shared by the workers.

    Every run holds one sequence: dynamically quantized graphs take one activation scale a run, so a neighbour in the
    batch would move a score by up to 0.8, and without padding a batch is no faster on one thread.

    Args:
        source: The graph.
        meter: Told the time of each run.

    Raises:
        WeightsError: When the file is missing, not the pinned one, or not a graph of the expected kind.
    """

    def __init__(self, source: WeightFile, meter: CostMeter) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        # Weights beside the graph are found by path only; packaged graphs are read once, so the bytes that were
        # checked are the bytes that run.
        graph = str(source.locate()) if isinstance(source, DiskFile) else source.read()
        try:
            self._session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(f"{source.locate().name} cannot be loaded by ONNX Runtime: {error}") from error
        self._inputs = {node.name for node in self._session.get_inputs()}
        if "input_ids" not in self._inputs or not self._inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
            names = ", ".join(sorted(self._inputs))
            raise WeightsError(f"{source.locate().name} takes {names}; expected input_ids and attention_mask")
        first = self._session.get_outputs()[0]
        self._output = first.name
        self.axes = len(first.shape)
        """Axes of the output, batch included: 2 for logits, 3 for token states."""
        self.meter = meter
        self._running = onnxruntime.RunOptions()
        self._running.log_severity_level = _SILENT  # what fails is raised

    def cancel(self) -> None:
        """End the runs under way within one node of the graph; they and all later ones fail. Call from any thread."""
        self._running.terminate = True

    def run(self, ids: list[int], types: list[int]) -> FloatArray:
        """Run one sequence; releases the interpreter's lock meanwhile.

        Args:
            ids: Token ids, special tokens included.
            types: Type of each token.

        Returns:
            The graph's first output without its batch axis: `[tokens, width]` states, or `[labels]` logits.
        """
        began_s = time.perf_counter()
        output: FloatArray = self.run_batch(np.array([ids], dtype=np.int64), np.array([types], dtype=np.int64))[0]
        self.meter.observe(len(ids), time.perf_counter() - began_s)
        return output

    def run_batch(self, ids: npt.NDArray[np.int64], types: npt.NDArray[np.int64]) -> FloatArray:
        """Run sequences of one length, `[n, tokens]`; one activation scale covers them all.

        Raises:
            AdapterError: `BAD_RESPONSE` when the graph fails on these tokens, `UNAVAILABLE` after `cancel`.
        """
        feed: dict[str, npt.NDArray[np.int64]] = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            feed["attention_mask"] = np.ones_like(ids)
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = types
        try:
            output: FloatArray = self._session.run([self._output], feed, self._running)[0]
        except Exception as error:
            if self._running.terminate:
                raise AdapterError(AdapterErrorKind.UNAVAILABLE, "the network is being closed") from error
            # A window set wider than the graph's positions is found out only now.
            message = f"the network could not read {ids.shape[1]} tokens ({type(error).__name__})"
            raise AdapterError(AdapterErrorKind.BAD_RESPONSE, message) from error
        return output
