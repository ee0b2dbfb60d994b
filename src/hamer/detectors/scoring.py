"""How surely something is a hand, and how surely a joint is where it is said to be."""

from __future__ import annotations

import numpy as np

#: Spread of the looks, as a part of the hand's size, at which half the confidence in a joint is lost.
_HALF_SPREAD = 0.06


def hand_scores(presence: np.ndarray, spreads: np.ndarray, sizes: np.ndarray, palm_scores: np.ndarray) -> np.ndarray:
    """Probability (N,) of being a hand.

    From `presence` (L, N) of L looks, `spreads` (N, 21), `sizes` (N,) px, `palm_scores` (N,).
    """
    logits = np.log(np.clip(presence, 1e-3, 1 - 1e-3) / np.clip(1 - presence, 1e-3, 1))
    value = logits.mean(0) - 2.0 - 20 * (spreads.mean(-1) - 0.04) + 0.5 * (np.log2(np.clip(sizes, 8, 64)) - 5)
    return 1 / (1 + np.exp(-value))


def joint_confidences(spreads: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """Confidence (N, 21) in 0..1 from the looks' disagreement `spreads` (N, 21) and mean `presence` (N,)."""
    return presence[:, None] / (1 + (spreads / _HALF_SPREAD) ** 2)
