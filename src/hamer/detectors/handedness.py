"""Left or right: the landmark model's word, and what two hands close together tell of each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hamer.detectors.merging import Consensus

#: A side is doubtful between these probabilities of a right hand.
_DOUBT = (0.25, 0.75)
#: Hands at most this far apart, in sizes of a hand, and this different in size are most often one person's two hands.
_REACH, _MOST_RATIO = 3.0, 1.6


def settle_sides(hands: Consensus) -> Consensus:
    """`hands` with a doubtful side settled by the nearest sure hand within reach: people have one of each."""
    right = hands.right.copy()
    centres = (hands.points.min(1) + hands.points.max(1)) / 2
    sure = (hands.right < _DOUBT[0]) | (hands.right > _DOUBT[1])
    for index in np.flatnonzero(~sure):
        size = np.sqrt(hands.sizes * hands.sizes[index])
        ratio = hands.sizes / hands.sizes[index]
        distance = np.linalg.norm(centres - centres[index], axis=-1) / np.maximum(size, 1.0)
        near = np.flatnonzero(sure & (distance < _REACH) & (ratio < _MOST_RATIO) & (ratio > 1 / _MOST_RATIO))
        if len(near):
            other_is_right = hands.right[near[distance[near].argmin()]] > 0.5
            pair = (right[index], 1 - right[index])
            right[index] = min(pair) if other_is_right else max(pair)
    return replace(hands, right=right)
