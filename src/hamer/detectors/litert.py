"""Run a LiteRT (TensorFlow Lite) network over many inputs: a small pool of single-threaded interpreters.

The landmark models are small (about 10 ms an inference on one core), and one interpreter with several threads is hardly
faster than one with a single thread, while one interpreter per thread scales with the cores
(benchmarks/hand_detector.py).
"""

from __future__ import annotations

import os
import queue
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hamer.checkpoints.litert_files import litert
from hamer.errors import AssetError

#: More workers than this only cost memory: a picture seldom has more crops at once than keep eight cores busy.
_MOST_THREADS = 8
_WITHOUT = (
    "Where it has no wheel (Macs with Intel processors), run hamer in a Linux container, or give the hands' joints "
    "yourself: --boxes file.json, or boxes= in Python"
)


def available_threads() -> int:
    """Number of workers to use by default: the cores this process may run on, at most eight."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, _MOST_THREADS))


class LiteRTNetwork:
    """A network with one input (1, H, W, 3) float32 and several outputs, run over a batch by `threads` workers.

    Safe to call from several threads at once: an interpreter is lent to one call at a time.

    Raises:
        AssetError: `path` is not a LiteRT file.
        MissingExtraError: ai-edge-litert is not installed.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.path = Path(path)
        self.threads = available_threads() if threads is None else threads
        interpreter_class = litert("The hand detector 'mediapipe'", _WITHOUT).Interpreter
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.threads):
            try:
                interpreter = interpreter_class(str(self.path), num_threads=1)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise AssetError(
                    f"{self.path} is not a usable LiteRT network ({error}); delete it to fetch it anew"
                ) from error
            self._idle.put(interpreter)
        self._input = interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]
        self.input_shape = tuple(int(n) for n in interpreter.get_input_details()[0]["shape"][1:])
        self.output_shapes = [tuple(int(n) for n in detail["shape"][1:]) for detail in interpreter.get_output_details()]
        self._workers = ThreadPoolExecutor(self.threads, thread_name_prefix="litert") if self.threads > 1 else None

    def run(self, inputs: Any) -> list[np.ndarray]:
        """Outputs, each (N, ...), for `inputs`: N arrays (H, W, 3) float32, or callables that make one.

        Callables are called by the workers, so that cutting crops out of a picture runs in parallel too.
        """
        each = map if self._workers is None else self._workers.map
        rows = list(each(self._one, inputs))
        if not rows:
            return [np.zeros((0, *shape), np.float32) for shape in self.output_shapes]
        return [np.stack(output) for output in zip(*rows, strict=True)]

    def _one(self, item: Any) -> list[np.ndarray]:
        array = item() if callable(item) else item
        interpreter = self._idle.get()
        try:
            interpreter.set_tensor(self._input, array[None])
            interpreter.invoke()
            return [interpreter.get_tensor(index)[0] for index in self._outputs]
        finally:
            self._idle.put(interpreter)
