"""Hands of all kinds: shapes and poses that a human hand can take, drawn by one random generator per picture.

A hand depends on its own generator and the model alone, to the bit: not on the batch in which it is drawn.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamer.datasets.synthetic.hands.capsules import CapsuleHand
from hamer.datasets.synthetic.hands.collisions import ENDS_AT, GOAL, JOINTS_AT, RADII_AT, settle
from hamer.datasets.synthetic.hands.families import FAMILIES, Draft, draw_family

TRIES = 5
DEEPEST = 0.0005  # metres of overlap beyond soft flesh that a hand may keep
WIDE_SHARE, WIDE_SIGMA, WIDEST = 0.15, 1.6, 3.0
# Bones and girths of a shape against the template's, as a whole and each by itself against the whole.
WHOLE_RANGE, PART_RANGE = (0.72, 1.35), (0.75, 1.33)


@dataclass
class HandDraws:
    """N right hands: `hand_pose` (N, 15, 3, 3) and `betas` (N, 10) float32, `family` N names; `tries` (N,) of each."""

    hand_pose: np.ndarray
    betas: np.ndarray
    family: list[str]
    tries: np.ndarray


def draw_hands(count: int, rngs: Sequence[np.random.Generator], model: Any, family: str | None = None) -> HandDraws:
    """Draw `count` hands, the i-th from rngs[i] alone; `family` names one of `FAMILIES`, else all by their weights.

    `model` is a `HandModel` or `HandModelArrays`; what is measured on it is kept as long as it lives.

    Raises:
        ValueError: unless there is one generator per hand, and for unknown families.
    """
    if len(rngs) != count:
        raise ValueError(f"draw_hands: rngs must hold one generator per hand, {count}, got {len(rngs)}")
    if family is not None and family not in FAMILIES:
        raise ValueError(f"draw_hands: family must be one of {', '.join(FAMILIES)}, got {family!r}")
    capsules = capsules_of(model)
    poses, betas = np.empty((count, 15, 3, 3), np.float32), np.empty((count, 10), np.float32)
    names, tries = [], np.zeros(count, np.int64)
    for i, rng in enumerate(rngs):
        betas[i] = draw_betas(rng, capsules)
        poses[i], name, tries[i] = _draw_pose(rng, capsules, capsules.row(betas[i].astype(np.float64)), family)
        names.append(name)
    return HandDraws(poses, betas, names, tries)


def capsules_of(model: Any) -> CapsuleHand:
    """The capsules of a model, measured once."""
    arrays = getattr(model, "arrays", model)
    key = id(arrays)
    if key not in _MEASURED:
        _MEASURED[key] = CapsuleHand.from_hand_model(arrays)
        weakref.finalize(arrays, _MEASURED.pop, key, None)
    return _MEASURED[key]


_MEASURED: dict[int, CapsuleHand] = {}


def draw_betas(rng: np.random.Generator, capsules: CapsuleHand) -> np.ndarray:
    """A shape (10,): normal, now and then wide; pulled toward the mean while a part would be out of proportion."""
    sigma = WIDE_SIGMA if rng.random() < WIDE_SHARE else 1.0
    betas = np.clip(sigma * rng.normal(size=10), -WIDEST, WIDEST)
    while not proportionate(betas, capsules):
        betas *= 0.8
    return betas.astype(np.float32)


def proportionate(betas: np.ndarray, capsules: CapsuleHand) -> bool:
    """Whether no bone and no girth of a shape is far from the template's, beyond what the whole hand is."""
    ratios = _measures(capsules.row(betas)) / _measures(capsules.base)
    whole = float(np.median(ratios))
    parts = ratios / whole
    return bool(WHOLE_RANGE[0] < whole < WHOLE_RANGE[1] and parts.min() > PART_RANGE[0] and parts.max() < PART_RANGE[1])


def _measures(row: np.ndarray) -> np.ndarray:
    """Lengths of the palm's and the fingers' bones and all girths, metres."""
    joints = row[JOINTS_AT:ENDS_AT].reshape(5, 3, 3)
    lengths = np.linalg.norm(np.diff(joints, axis=1, prepend=0.0), axis=-1)
    return np.concatenate([lengths.ravel(), row[RADII_AT:]])


def _draw_pose(
    rng: np.random.Generator, capsules: CapsuleHand, row: np.ndarray, family: str | None
) -> tuple[np.ndarray, str, int]:
    """Rotations (15, 3, 3) of a possible pose of one shape, its family, and the number of tries it took."""
    for attempt in range(1, TRIES + 1):
        draft = draw_family(rng) if family is None else FAMILIES[family](rng)
        rotations, depth, missed = settle_draft(draft, row, capsules)
        if depth <= DEEPEST and (missed <= draft.miss or attempt == TRIES):
            return rotations, draft.name, attempt
    return open_pose(row, capsules), "open", TRIES + 1


def settle_draft(draft: Draft, row: np.ndarray, capsules: CapsuleHand) -> tuple[np.ndarray, float, float]:
    """The nearest possible pose to a draft: rotations (15, 3, 3), deepest overlap and worst missed goal, metres."""
    angles, spread = draft.active()
    goals = np.array(draft.goals, dtype=np.float64).reshape(-1, GOAL)
    rotations = np.empty((15, 3, 3))
    _, depth, missed = settle(row, angles - capsules.bent, spread, goals, *capsules.bones, rotations)
    return rotations, depth, missed


def open_pose(row: np.ndarray, capsules: CapsuleHand) -> np.ndarray:
    """Straight fingers, a little apart: the pose (15, 3, 3) that no shape makes impossible."""
    fingers = np.zeros((4, 4))
    fingers[:, 1] = 8.0, 1.0, -4.0, -9.0
    draft = Draft("open", fingers, np.array([0.0, 5.0, 0.0, 5.0, 0.0, 5.0]))
    return settle_draft(draft, row, capsules)[0]
