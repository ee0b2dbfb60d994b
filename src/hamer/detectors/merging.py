"""One answer from many: palms seen in several tiles, several looks at one hand, hands found more than once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.detectors.landmarks import Guesses
from hamer.detectors.palm import Palms
from hamer.detectors.rows import Rows
from hamer.geometry.boxes import iou_matrix

#: Palms of different tiles that overlap this much (IoU) are one palm; the stock graph's number.
_SAME_PALM = 0.3


@dataclass
class Consensus(Rows):
    """N hands, each from several looks.

    `points` (N, 21, 2) px and `spreads` (N, 21), how far the looks disagree, as a part of the hand's size; `world` (N,
    21, 3) as in `Guesses`; `right` (N,) probability; `presence` (N,) mean over the looks; `sizes` (N,) px, longer
    side of the joints' box; `support` (N,) how many sightings of palms led here; `scores` (N,) in 0..1, how surely this
    is a hand.
    """

    points: np.ndarray
    spreads: np.ndarray
    world: np.ndarray
    right: np.ndarray
    presence: np.ndarray
    sizes: np.ndarray
    support: np.ndarray
    scores: np.ndarray


def merge_palms(palms: Palms) -> tuple[Palms, np.ndarray]:
    """Overlapping palms as one, best first: mean weighted by score (weighted non-maximum suppression), best score.

    Returns the merged palms and how many (N,) went into each.
    """
    order = np.argsort(-palms.scores, kind="stable")
    boxes, keypoints, scores = palms.boxes[order], palms.keypoints[order], palms.scores[order]
    left = np.ones(len(order), bool)
    merged: list[tuple[np.ndarray, np.ndarray, float, int]] = []
    for first in range(len(order)):
        if not left[first]:
            continue
        same = left & (iou_matrix(boxes[first : first + 1], boxes)[0] > _SAME_PALM)
        same[first] = True
        # Weak sightings would only blur a strong one.
        same_strong = same & (scores >= 0.5 * scores[first])
        weights = scores[same_strong] / scores[same_strong].sum()
        box = np.einsum("n,nc->c", weights, boxes[same_strong])
        points = np.einsum("n,nkc->kc", weights, keypoints[same_strong])
        merged.append((box, points, float(scores[first]), int(same.sum())))
        left &= ~same
    if not merged:
        return palms, np.zeros(0, int)
    parts = [np.array(part) for part in zip(*merged, strict=True)]
    return Palms(parts[0], parts[1], parts[2]), parts[3]


def agree(looks: list[Guesses]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 21, 2), spreads (N, 21), world points (N, 21, 3), right-hand probability (N,) of several looks.

    Means weighted by presence, where a look far from the others' median counts little; probabilities are averaged as
    logits.
    """
    points = np.stack([look.points for look in looks])
    world = np.stack([look.world - look.world.mean(1, keepdims=True) for look in looks])
    presence = np.stack([look.presence for look in looks])
    right = np.clip(np.stack([look.right for look in looks]), 1e-4, 1 - 1e-4)
    middle = np.median(points, axis=0)
    size = np.maximum(np.ptp(middle, axis=1).max(-1), 1.0)
    distance = np.linalg.norm(points - middle, axis=-1).mean(-1) / size
    weights = (presence**2 + 1e-6) / (1 + (distance / 0.1) ** 2)
    weights = weights / weights.sum(0)
    mean = np.einsum("ln,lnkc->nkc", weights, points)
    deviation = np.linalg.norm(points - mean, axis=-1)
    spreads = np.einsum("ln,lnk->nk", weights, deviation) / size[:, None]
    logit = np.einsum("ln,ln->n", weights, np.log(right / (1 - right)))
    return mean, spreads, np.einsum("ln,lnkc->nkc", weights, world), 1 / (1 + np.exp(-logit))


def unite(guesses: Guesses, support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices (M,) of the guesses that stay when joint lies on joint, the surest of each, and their summed `support` (M,)."""
    order = np.argsort(-guesses.presence, kind="stable")
    sizes = np.maximum(np.ptp(guesses.points, axis=1).max(-1), 1.0)
    kept: list[int] = []
    total: list[int] = []
    for index in order:
        distances = np.linalg.norm(guesses.points[kept] - guesses.points[index], axis=-1).mean(-1)
        close = np.flatnonzero(distances < 0.15 * sizes[kept])
        if len(close):
            total[close[0]] += int(support[index])
        else:
            kept.append(int(index))
            total.append(int(support[index]))
    return np.array(kept, int), np.array(total, int)


def _chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance from each point of one set to the nearest of the other, both ways; (K, 2) each."""
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    return float((distances.min(0).mean() + distances.min(1).mean()) / 2)


def same_hand(a: np.ndarray, b: np.ndarray, side_a: float, side_b: float) -> bool:
    """Whether joints `a` and `b` (21, 2) px, with right-hand probabilities, are two views of one hand.

    They are when joint lies on joint, or when they cover the same pixels in whatever order (a hand taken once for its
    mirror image). Interlocked hands share a box but cover different pixels, so boxes alone decide only for hands of
    one side.
    """
    size_a, size_b = np.ptp(a, axis=0).max(), np.ptp(b, axis=0).max()
    size = max(float(np.sqrt(size_a * size_b)), 1.0)
    distance = np.linalg.norm(a - b, axis=-1).mean() / size
    opposite = min(side_a, side_b) < 0.2 and max(side_a, side_b) > 0.8
    if distance < (0.12 if opposite else 0.25) or _chamfer(a, b) / size < 0.07:
        return True
    box_a, box_b = (np.concatenate([p.min(0), p.max(0)])[None] for p in (a, b))
    return not opposite and float(iou_matrix(box_a, box_b)[0, 0]) > 0.5


#: Of two hands whose boxes overlap, the less sure one needs this mean presence to be more than another reading of the
#: other.
_CLEARLY_SEEN = 0.95
#: A forearm taken for a hand is larger than its hand by this factor, by which two hands that touch do not differ.
_ARM = 1.35


def _rivals(a: np.ndarray, b: np.ndarray, presence: float) -> bool:
    """Whether the hand `b` (21, 2), less sure than `a`, is more likely another reading of `a` than a second hand.

    Two interlocked hands are both seen clearly; a wrong reading (the other side, turned fingers, fingers alone, the
    hand with its forearm) lies mostly within the right one, or around it, and is less sure. A forearm alone touches the
    right one and is larger.
    """
    low = np.maximum(a.min(0), b.min(0))
    high = np.minimum(a.max(0), b.max(0))
    smaller = min(float(np.ptp(points, axis=0).prod()) for points in (a, b))
    within = float(np.clip(high - low, 0, None).prod()) / max(smaller, 1e-6)
    size = max(float(np.ptp(a, axis=0).max()), 1.0)
    like_an_arm = within > 0.1 and float(np.ptp(b, axis=0).max()) > _ARM * size
    if presence < _CLEARLY_SEEN:
        return within > 0.5 or like_an_arm
    return within > 0.5 and _chamfer(a, b) / size < 0.1


def _part_of(small: np.ndarray, large: np.ndarray) -> bool:
    """Whether the joints `small` (21, 2) lie on a part of the hand `large`, such as fingers taken for a hand."""
    size = np.ptp(large, axis=0).max()
    if np.ptp(small, axis=0).max() > 0.6 * size:
        return False
    reach = np.linalg.norm(small[:, None] - large[None], axis=-1).min(1)
    return float(np.mean(reach < 0.15 * size)) > 0.7


def merge_hands(hands: Consensus) -> Consensus:
    """Every hand once, best first; the support of duplicates is added to the one that stays."""
    order = np.argsort(-hands.scores, kind="stable")
    kept: list[int] = []
    support = hands.support.copy()
    for index in order:
        points, side = hands.points[index], float(hands.right[index])
        for other in kept:
            if same_hand(points, hands.points[other], side, float(hands.right[other])):
                support[other] += support[index]
                break
            better = hands.points[other]
            if _part_of(points, better) or _rivals(better, points, float(hands.presence[index])):
                break
        else:
            kept.append(int(index))
    result = hands[np.array(kept, int)]
    result.support = support[np.array(kept, int)]
    return result
