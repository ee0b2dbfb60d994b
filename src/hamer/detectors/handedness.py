"""Left or right: the landmark model's word, and what two hands close together tell of each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hamer.detectors.merging import Consensus
from hamer.geometry.boxes import iou_matrix

#: Two hands that overlap like this (IoU of their boxes) are most often one person's two hands.
_TOGETHER = 0.15
#: A side is doubtful between these probabilities of a right hand.
_DOUBT = (0.25, 0.75)


def settle_sides(hands: Consensus) -> Consensus:
    """`hands` with a doubtful side turned when the hand overlaps a sure hand of that side: people have one of each."""
    right = hands.right.copy()
    overlap = iou_matrix(hands.boxes(), hands.boxes())
    np.fill_diagonal(overlap, 0)
    for index in range(len(hands)):
        if not _DOUBT[0] < hands.right[index] < _DOUBT[1] or overlap[index].max(initial=0) < _TOGETHER:
            continue
        other = hands.right[int(overlap[index].argmax())]
        if not _DOUBT[0] < other < _DOUBT[1]:
            right[index] = min(right[index], 1 - right[index]) if other > 0.5 else max(right[index], 1 - right[index])
    return replace(hands, right=right)
