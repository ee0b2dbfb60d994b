"""Files of LiteRT (TensorFlow Lite): the package that reads them, and the convolutions in them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from hamer.errors import MissingExtraError, WeightsError

_LAYOUTS = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}  # to torch's (out, in, rows, columns)


def litert(purpose: str, otherwise: str) -> Any:
    """The module of LiteRT's `Interpreter`, or a MissingExtraError: what for, how to get it, what to do without."""
    try:
        return importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package ai-edge-litert, which could not be imported ({error}). "
            f"Install it with: pip install ai-edge-litert. {otherwise}"
        ) from error


def convolutions(path: str | Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (out, in / groups, rows, columns) and bias (out,) of each convolution, float32, in the order of computation.

    Raises:
        WeightsError: not a LiteRT file, or one of whole numbers.
        MissingExtraError: ai-edge-litert is not installed.
    """
    module = litert("Reading a .tflite file", "It has no wheel for Macs with Intel processors")
    try:
        resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would hide the steps
        interpreter = module.Interpreter(str(path), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} must be a LiteRT network (.tflite): {error}") from error
    steps = interpreter._get_ops_details()
    # Weights lie there in half precision, each with a step that makes them float32.
    halves = {int(s["outputs"][0]): int(s["inputs"][0]) for s in steps if s["op_name"] == "DEQUANTIZE"}
    found = []
    for step in (s for s in steps if s["op_name"] in _LAYOUTS):
        weight, bias = (interpreter.get_tensor(halves.get(int(i), int(i))) for i in step["inputs"][1:3])
        if not {weight.dtype, bias.dtype} <= {np.dtype(np.float16), np.dtype(np.float32)}:
            raise WeightsError(f"{path} must have weights of float16 or float32, got {weight.dtype}")
        layout = _LAYOUTS[step["op_name"]]
        found.append((np.ascontiguousarray(weight.transpose(layout), np.float32), bias.astype(np.float32)))
    return found
