"""Anchors of single-shot detectors whose boxes all have unit size, as Google's palm and pose detectors have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def anchor_centres(side: int, layers: Sequence[tuple[int, int]]) -> np.ndarray:
    """Centres (A, 2) float32 of the anchors, x and y in 0..1 of a square input: row by row, layer by layer.

    Args:
        side: of the input, px.
        layers: stride px of each output layer, and how many anchors each of its cells carries.
    """
    parts = []
    for stride, per_cell in layers:
        cells = side // stride
        rows, columns = np.mgrid[0:cells, 0:cells]
        centers = np.stack([columns, rows], -1).reshape(-1, 2)
        parts.append(np.repeat((centers + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(parts).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Logits of any shape as probabilities, float64."""
    return 1 / (1 + np.exp(-np.clip(logits, -100, 100).astype(np.float64)))
