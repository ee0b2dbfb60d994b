"""How surely something is a hand, and how surely a joint is where it is said to be."""

from __future__ import annotations

import numpy as np

#: Spread of the looks, as a part of the hand's size, at which half the confidence in a joint is lost.
_HALF_SPREAD = 0.06


#: Logistic regression on candidates of made and real pictures with and without hands (none of them a scored photo):
#: logit of the mean presence, spread as a part of the hand's size, octaves of size over 32 px, log of the support. The
#: mean leaves out the worst look, which raises it, so the constant is 0.4 lower than was fitted with all looks.
_WEIGHTS = {"presence": 2.0, "spread": -8.0, "size": 1.1, "support": 0.45, "constant": -5.2}


def hand_scores(presence: np.ndarray, spreads: np.ndarray, sizes: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Probability (N,) of being a hand.

    From `presence` (L, N) of L looks, `spreads` (N, 21), `sizes` (N,) px, and `support` (N,), the sightings of palms
    that led here at the density of tiles of effort "normal".
    """
    mean = np.clip(presence.mean(0), 0.01, 0.995)
    value = (
        _WEIGHTS["presence"] * np.log(mean / (1 - mean))
        + _WEIGHTS["spread"] * spreads.mean(-1)
        + _WEIGHTS["size"] * (np.log2(np.clip(sizes, 8, 256)) - 5)
        + _WEIGHTS["support"] * np.log(np.clip(support, 1, 200))
        + _WEIGHTS["constant"]
    )
    return 1 / (1 + np.exp(-value))


def joint_confidences(spreads: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """Confidence (N, 21) in 0..1 from the looks' disagreement `spreads` (N, 21) and mean `presence` (N,)."""
    return presence[:, None] / (1 + (spreads / _HALF_SPREAD) ** 2)
