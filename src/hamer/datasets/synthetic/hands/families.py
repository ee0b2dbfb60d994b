"""What hands do: families of poses as draws of anatomical angles and of places where fingers meet.

A draft says what a hand wants; `hamer.datasets.synthetic.hands.collisions` finds the nearest pose that is possible. Angles
are degrees from a straight finger (`hamer.fitting.anatomy`): flexion closes, abduction moves a finger to the thumb's
side. Fingers are rows in the order index, middle, ring, little; columns MCP flexion, MCP abduction, PIP, DIP flexion.
The thumb's six: CMC flexion (across the palm), abduction (away from the index finger), twist, MCP flexion, MCP
abduction, IP flexion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

INDEX, MIDDLE, RING, LITTLE = range(4)
SEGMENT_OF = (0, 3, 9, 6)  # first segment of index, middle, ring, little in MANO's order; the thumb's is 12
ACTIVE_OF = (0, 5, 15, 10)  # and their first active angle
THUMB_TIP = 14
PAD, SIDE, BACK = 0.0, 90.0, 180.0  # directions on the skin of a finger, degrees

TOGETHER = np.array([-10.0, -1.0, 9.0, 15.0])  # abduction with which fingers lie side by side
EASY = np.array([-2.0, 0.0, 3.0, 4.0])
FANNED = np.array([12.0, 1.0, -7.0, -15.0])

THUMB_EASY = np.array([8.0, -8.0, 0.0, 15.0, 0.0, 15.0])
THUMB_OPPOSED = np.array([32.0, 0.0, 0.0, 22.0, 0.0, 22.0])
THUMB_OUT = np.array([-8.0, 18.0, 0.0, 0.0, 0.0, -2.0])
THUMB_WIDE = np.array([-18.0, 27.0, 0.0, -4.0, 0.0, -10.0])
THUMB_BESIDE = np.array([0.0, -26.0, 0.0, 8.0, 0.0, 6.0])
THUMB_ACROSS = np.array([40.0, 2.0, -22.0, 26.0, 0.0, 16.0])


@dataclass
class Draft:
    """A pose that is wanted: `fingers` (4, 4), `thumb` (6,) degrees; `goals` as `collisions.settle` takes them.

    `firm` (5,) says how far, degrees, index, middle, ring, little and thumb let themselves be moved by goals and
    collisions before it counts. `miss`: metres by which goals may be missed.
    """

    name: str
    fingers: np.ndarray
    thumb: np.ndarray
    goals: list[tuple[float, ...]] = field(default_factory=list)
    firm: np.ndarray = field(default_factory=lambda: np.array([6.0, 6.0, 6.0, 6.0, 9.0]))
    miss: float = 0.006

    def meet(self, finger: int, level: int, roll: float, *, gap: float = 0.0, along: float = 0.5) -> None:
        """The thumb's tip meets a finger's segment on the side `roll`, `gap` metres apart; both give way to that."""
        self.goals.append(
            (THUMB_TIP, 0.75, math.radians(PAD), SEGMENT_OF[finger] + level, along, math.radians(roll), gap, 0.001, 0.5)
        )
        self.firm[4] = 14.0

    def soften(self, slack: float, facing: float, *, miss: float) -> None:
        """Make the goals a guide: their slacks, and the metres by which they may be missed."""
        self.goals = [(*goal[:7], slack, facing) for goal in self.goals]
        self.miss = miss

    def active(self) -> tuple[np.ndarray, np.ndarray]:
        """Wanted angles and spreads (26,) in the order of `Anatomy`, radians from a straight finger."""
        angles, spread = np.zeros(26), np.zeros(26)
        for finger, at in enumerate(ACTIVE_OF):
            mcp, side, pip, dip = self.fingers[finger]
            angles[at : at + 5] = mcp, side, 0.0, pip, dip
            firm = self.firm[finger]
            spread[at : at + 5] = firm, 0.6 * firm, 3.0, firm, 0.6 * firm
        angles[20:] = self.thumb
        spread[20:] = self.firm[4] * np.array([1.0, 1.0, 0.7, 1.0, 0.3, 1.0])
        return np.radians(angles), np.radians(spread)


def draw_family(rng: np.random.Generator) -> Draft:
    """A draft of a family drawn by its weight."""
    names = list(WEIGHTS)
    weights = np.array([WEIGHTS[n] for n in names])
    return FAMILIES[names[rng.choice(len(names), p=weights / weights.sum())]](rng)


def _bend(rng: np.random.Generator, curl: np.ndarray | float, *, noise: float = 4.0) -> np.ndarray:
    """Fingers (4, 4) of a curl (4,) from 0 (straight) to 1 (closed fist) without abduction, with noise in degrees."""
    curl = np.broadcast_to(np.asarray(curl, float), 4)
    fingers = np.zeros((4, 4))
    shared = noise * rng.normal(size=2)  # neighbours err together
    fingers[:, 0] = 85 * curl + shared[0] + 0.6 * noise * rng.normal(size=4)
    fingers[:, 2] = 103 * curl + shared[1] + 0.6 * noise * rng.normal(size=4)
    fingers[:, 3] = 0.66 * fingers[:, 2] + 0.8 * noise * rng.normal(size=4)
    fingers[:, 2] = np.maximum(fingers[:, 2], -4.0)
    fingers[:, 3] = np.maximum(fingers[:, 3], -6.0)
    return fingers


def _sideways(rng: np.random.Generator, fingers: np.ndarray, fan: float, noise: float = 2.5) -> None:
    """Abduct the fingers: fan -1 together, 0 easy, 1 spread wide. A bent knuckle hardly moves sideways."""
    spread = EASY + (fan * (FANNED - EASY) if fan > 0 else -fan * (TOGETHER - EASY)) + noise * rng.normal(size=4)
    free = 1 - 0.75 * np.clip(fingers[:, 0] / 90, 0, 1)
    fingers[:, 1] = TOGETHER * 0.3 + (spread - TOGETHER * 0.3) * free


def _thumb(rng: np.random.Generator, posture: np.ndarray, noise: float = 6.0) -> np.ndarray:
    return posture + noise * rng.normal(size=6) * np.array([1.0, 1.0, 0.5, 1.0, 0.3, 1.0])


def _stretched_thumb(rng: np.random.Generator) -> np.ndarray:
    """A thumb away from the hand, as far as it goes or not quite."""
    t = rng.uniform(0.0, 1.0)
    return _thumb(rng, (1 - t) * THUMB_OUT + t * THUMB_WIDE)


def _fist_curl(rng: np.random.Generator, low: float) -> float:
    return float(rng.uniform(low, 0.98))


def _hold_down(rng: np.random.Generator, draft: Draft, finger: int) -> None:
    """The thumb holds a folded finger, its pad on the back or the near side of the middle or last phalanx.

    The finger and those beyond it come to meet the thumb, which is short for that; it may stop just before.
    """
    draft.thumb = _thumb(rng, THUMB_ACROSS)
    draft.meet(finger, int(rng.choice([1, 2])), rng.uniform(SIDE, BACK), along=rng.uniform(0.2, 0.9))
    draft.firm[finger:4] = 12.0
    draft.firm[4] = 18.0
    draft.miss = 0.015


def relaxed(rng: np.random.Generator) -> Draft:
    """A hand at rest: every finger a little more closed than the one before it."""
    curl = rng.uniform(0.08, 0.42) + rng.uniform(0.0, 0.09) * np.arange(4)
    fingers = _bend(rng, curl, noise=5)
    fingers[:, 0] *= rng.uniform(0.4, 1.1)
    _sideways(rng, fingers, rng.uniform(-0.8, 0.4))
    return Draft("relaxed", fingers, _thumb(rng, THUMB_EASY, 8))


def open_hand(rng: np.random.Generator) -> Draft:
    """Straight fingers, from closed ranks to spread wide, the thumb anywhere beside or out."""
    fingers = _bend(rng, rng.uniform(-0.08, 0.12), noise=4)
    _sideways(rng, fingers, rng.uniform(-0.6, 1.2))
    t = rng.uniform(-0.2, 1.2)
    return Draft("open", fingers, _thumb(rng, (1 - t) * THUMB_BESIDE + t * THUMB_OUT))


def flat(rng: np.random.Generator) -> Draft:
    """Fingers straight and side by side: a stop sign, a salute, a hand pressed on something."""
    fingers = _bend(rng, rng.uniform(-0.05, 0.05), noise=2.5)
    _sideways(rng, fingers, rng.uniform(-1.0, -0.7), noise=1.5)
    t = rng.uniform(0, 0.7)
    return Draft("flat", fingers, _thumb(rng, (1 - t) * THUMB_BESIDE + t * THUMB_OUT, 5))


def fist(rng: np.random.Generator) -> Draft:
    """Closed hands, tight or loose, the thumb across the fingers, beside them, or free."""
    fingers = _bend(rng, _fist_curl(rng, 0.6) + 0.02 * rng.normal(size=4), noise=4)
    _sideways(rng, fingers, -1.0, 1.0)
    draft = Draft("fist", fingers, _thumb(rng, THUMB_EASY))
    kind = rng.random()
    if kind < 0.6:
        _hold_down(rng, draft, int(rng.choice([INDEX, MIDDLE])))
    elif kind < 0.85:
        draft.thumb = _thumb(rng, THUMB_BESIDE)
        draft.meet(INDEX, 1, SIDE, along=rng.uniform(0.0, 0.8))
    return draft


def pointing(rng: np.random.Generator) -> Draft:
    """The index finger points, the others are folded, the thumb holds them, rests, or stands up."""
    curl = np.full(4, _fist_curl(rng, 0.65))
    curl[INDEX] = rng.uniform(-0.05, 0.2)
    fingers = _bend(rng, curl)
    fingers[INDEX, 0] += rng.uniform(-10, 35)
    _sideways(rng, fingers, -0.3)
    draft = Draft("pointing", fingers, _thumb(rng, THUMB_OUT if rng.random() < 0.5 else THUMB_EASY))
    if rng.random() < 0.6:
        _hold_down(rng, draft, MIDDLE)
    return draft


def _raised(rng: np.random.Generator, name: str, raised: list[int], *, fan: float, thumb_out: bool) -> Draft:
    """Some fingers up, the others folded and held by the thumb unless that is out."""
    curl = np.full(4, _fist_curl(rng, 0.72))
    curl[raised] = rng.uniform(-0.06, 0.1, len(raised))
    fingers = _bend(rng, curl)
    fingers[raised, 0] += rng.uniform(-8, 12)
    _sideways(rng, fingers, fan)
    draft = Draft(name, fingers, _thumb(rng, THUMB_OUT if thumb_out else THUMB_EASY))
    folded = [f for f in range(4) if f not in raised]
    if folded and not thumb_out:
        _hold_down(rng, draft, folded[0])
    elif not folded and not thumb_out:
        draft.thumb = _thumb(rng, THUMB_ACROSS, 8)
    return draft


def counting(rng: np.random.Generator) -> Draft:
    """One to five, in the ways that people count: with or without the thumb."""
    raised, thumb_out = [
        ([INDEX], False), ([INDEX, MIDDLE], False), ([INDEX, MIDDLE, RING], False), ([MIDDLE, RING, LITTLE], False),
        ([INDEX, MIDDLE, RING, LITTLE], False), ([INDEX], True), ([INDEX, MIDDLE], True), ([INDEX, MIDDLE, RING], True),
        ([INDEX, MIDDLE, RING, LITTLE], True), ([LITTLE], False),
    ][rng.integers(10)]  # fmt: skip
    return _raised(rng, "counting", raised, fan=rng.uniform(-0.5, 0.8), thumb_out=thumb_out)


def victory(rng: np.random.Generator) -> Draft:
    """Index and middle finger as a V."""
    draft = _raised(rng, "victory", [INDEX, MIDDLE], fan=0.3, thumb_out=False)
    opening = rng.uniform(4, 20)
    draft.fingers[[INDEX, MIDDLE], 1] = 0.6 * opening, -0.6 * opening
    return draft


def horns(rng: np.random.Generator) -> Draft:
    """Index and little finger up; with the thumb out it is the sign for love."""
    return _raised(rng, "horns", [INDEX, LITTLE], fan=rng.uniform(0, 0.6), thumb_out=bool(rng.random() < 0.35))


def call_me(rng: np.random.Generator) -> Draft:
    """Thumb and little finger out."""
    draft = _raised(rng, "call_me", [LITTLE], fan=0.5, thumb_out=True)
    draft.fingers[LITTLE, 1] = rng.uniform(-18, -2)
    draft.thumb = _stretched_thumb(rng)
    return draft


def thumbs_up(rng: np.random.Generator) -> Draft:
    """A fist with the thumb stretched out."""
    fingers = _bend(rng, _fist_curl(rng, 0.75), noise=3)
    _sideways(rng, fingers, -1.0, 1.0)
    return Draft("thumbs_up", fingers, _stretched_thumb(rng))


def pinch(rng: np.random.Generator) -> Draft:
    """The thumb's pad meets a finger's, or stops short of it; the other fingers stand, follow, or fold."""
    finger = int(rng.choice(4, p=[0.6, 0.2, 0.12, 0.08]))
    curl = rng.uniform(0.0, 0.75) + rng.normal(0, 0.05, 4)
    curl[finger] = rng.uniform(0.35, 0.55)
    if finger >= RING:  # ring and little finger do not close alone, nor meet a thumb from far
        curl[finger] += 0.1
        curl = np.clip(curl, curl[finger] - 0.25, None)
    fingers = _bend(rng, curl, noise=5)
    _sideways(rng, fingers, rng.uniform(-0.6, 0.6))
    draft = Draft("pinch", fingers, _thumb(rng, THUMB_OPPOSED))
    gap = 0.0 if rng.random() < 0.55 else rng.uniform(0.002, 0.04)
    draft.meet(finger, 2, PAD if finger < RING else 30.0, gap=gap, along=rng.uniform(0.5, 0.95))
    draft.firm[finger] = 14.0
    if finger >= RING:
        draft.firm[finger - 1 :] = 14.0
        draft.soften(0.002, 1.0, miss=0.012)
    if finger == INDEX and rng.random() < 0.3:  # three fingers take something small
        draft.fingers[MIDDLE] = draft.fingers[INDEX]
        draft.meet(MIDDLE, 2, PAD, gap=gap + 0.004)
        draft.firm[MIDDLE] = 14.0
        draft.soften(0.003, 0.8, miss=0.012)
    return draft


def ok_sign(rng: np.random.Generator) -> Draft:
    """Thumb and index finger make a ring, the others stand fanned."""
    fingers = _bend(rng, np.array([0.48, 0.18, 0.1, 0.03]) + rng.uniform(-0.05, 0.12), noise=4)
    _sideways(rng, fingers, rng.uniform(0.0, 0.9))
    draft = Draft("ok", fingers, _thumb(rng, THUMB_OPPOSED))
    draft.meet(INDEX, 2, PAD, along=rng.uniform(0.6, 1.0))
    draft.firm[INDEX] = 14.0
    return draft


def key_pinch(rng: np.random.Generator) -> Draft:
    """A key between the thumb's pad and the side of the index finger."""
    fingers = _bend(rng, rng.uniform(0.42, 0.8) + rng.normal(0, 0.04, 4), noise=4)
    _sideways(rng, fingers, -1.0, 1.5)
    draft = Draft("key", fingers, _thumb(rng, THUMB_BESIDE))
    draft.meet(
        INDEX, int(rng.choice([1, 1, 2])), SIDE, gap=rng.choice([0.0, 0.002, 0.006]), along=rng.uniform(0.2, 0.9)
    )
    return draft


def tripod(rng: np.random.Generator) -> Draft:
    """A pen: pads of thumb and index finger, the side of the middle finger below."""
    fingers = _bend(rng, np.array([0.46, 0.52, 0.6, 0.65]) + rng.uniform(-0.1, 0.12), noise=4)
    _sideways(rng, fingers, -0.9, 1.5)
    draft = Draft("tripod", fingers, _thumb(rng, THUMB_OPPOSED))
    width = rng.uniform(0.006, 0.013)
    draft.meet(INDEX, 2, PAD, gap=width, along=0.8)
    draft.meet(MIDDLE, 2, SIDE * rng.uniform(0.4, 1.0), gap=width, along=0.7)
    draft.soften(0.002, 0.8, miss=0.007)
    draft.firm[[INDEX, MIDDLE]] = 12.0
    return draft


def cylinder(rng: np.random.Generator) -> Draft:
    """A bar, a bottle, a can: fingers side by side around 15 to 95 mm."""
    diameter = rng.uniform(0.015, 0.095)
    closed = (0.095 - diameter) / 0.08
    fingers = _bend(rng, 0.36 + 0.52 * closed + rng.uniform(0, 0.05) * np.arange(4), noise=4)
    _sideways(rng, fingers, rng.uniform(-1.0, -0.2), 1.5)
    draft = Draft("cylinder", fingers, _thumb(rng, THUMB_OPPOSED))
    finger = int(rng.choice([INDEX, MIDDLE]))
    if diameter < 0.035:
        _hold_down(rng, draft, finger)
    else:
        draft.meet(finger, 2, PAD, gap=rng.uniform(0.7, 0.95) * diameter, along=0.5)
        draft.soften(0.004, 0.5, miss=0.02)
    return draft


def sphere(rng: np.random.Generator) -> Draft:
    """A ball or a lid of 35 to 100 mm: fingers fanned around it."""
    diameter = rng.uniform(0.035, 0.10)
    closed = (0.10 - diameter) / 0.065
    fingers = _bend(rng, 0.28 + 0.24 * closed + rng.normal(0, 0.02, 4), noise=4)
    _sideways(rng, fingers, rng.uniform(0.4, 1.3))
    draft = Draft("sphere", fingers, _thumb(rng, THUMB_OPPOSED))
    draft.meet(MIDDLE, 2, PAD, gap=0.9 * diameter)
    draft.soften(0.004, 0.6, miss=0.02)
    return draft


def hook(rng: np.random.Generator) -> Draft:
    """A bag's handle: straight knuckles, hooked fingers, the thumb idle."""
    fingers = _bend(rng, rng.uniform(0.6, 0.95) + rng.normal(0, 0.03, 4), noise=4)
    fingers[:, 0] = rng.uniform(-5, 40) + 4 * rng.normal(size=4)
    _sideways(rng, fingers, rng.uniform(-1.0, 0.0))
    return Draft("hook", fingers, _thumb(rng, THUMB_EASY, 8))


def plate(rng: np.random.Generator) -> Draft:
    """A plate, a book, a card: straight fingers bent at the knuckles against the thumb."""
    fingers = _bend(rng, rng.uniform(0.02, 0.15), noise=3)
    fingers[:, 0] = rng.uniform(25, 75) + 3 * rng.normal(size=4)
    _sideways(rng, fingers, rng.uniform(-1.0, 0.2))
    draft = Draft("plate", fingers, _thumb(rng, THUMB_OPPOSED))
    draft.meet(int(rng.choice([INDEX, MIDDLE])), int(rng.choice([1, 2])), PAD, gap=rng.uniform(0.001, 0.03))
    draft.soften(0.003, 0.7, miss=0.02)
    return draft


def claw(rng: np.random.Generator) -> Draft:
    """Typing, a keyboard instrument, scratching: arched fingers over something."""
    fingers = _bend(rng, rng.uniform(0.25, 0.7) + rng.normal(0, 0.04, 4), noise=5)
    fingers[:, 0] = rng.uniform(-22, 30) + 8 * rng.normal(size=4)
    _sideways(rng, fingers, rng.uniform(-0.4, 1.0))
    return Draft("claw", fingers, _thumb(rng, THUMB_EASY + np.array([8.0, 0, 0, 0, 0, 5]), 8))


def combination(rng: np.random.Generator) -> Draft:
    """Each finger up, half bent or folded by itself, and a thumb that goes with any: signs of all kinds."""
    kinds = rng.choice(3, 4, p=[0.45, 0.15, 0.4])  # up, half, folded
    curl = np.array([rng.uniform(*((-0.06, 0.1), (0.25, 0.6), (0.72, 0.98))[kind]) for kind in kinds])
    if kinds[RING] == 0 and 2 in (kinds[MIDDLE], kinds[LITTLE]):  # tendons of neighbours hold it back
        curl[RING] += rng.uniform(0.08, 0.25)
    fingers = _bend(rng, curl)
    fingers[kinds == 0, 0] += rng.uniform(-10, 25)
    _sideways(rng, fingers, rng.uniform(-0.8, 1.0))
    draft = Draft("combination", fingers, _stretched_thumb(rng))
    folded = np.flatnonzero(kinds == 2)
    kind = rng.random()
    if kind < 0.35 and len(folded):
        _hold_down(rng, draft, int(folded[0]))
    elif kind < 0.6:
        draft.thumb = _thumb(rng, THUMB_EASY if rng.random() < 0.5 else THUMB_BESIDE, 8)
    return draft


def anatomical(rng: np.random.Generator) -> Draft:
    """Any pose within the ranges; neighbours bend alike, most of all ring and little finger, which share muscles."""
    fingers = np.zeros((4, 4))
    knuckles = _neighbours(rng)
    fingers[:, 0] = -22 + 112 * _share(knuckles)
    fingers[:, 2] = -5 + 113 * _share(0.45 * knuckles + 0.9 * _neighbours(rng))
    fingers[:, 3] = 0.66 * fingers[:, 2] + 8 * rng.normal(size=4)
    _sideways(rng, fingers, rng.uniform(-1.0, 1.2), 4)
    if rng.random() < 0.4:
        draft = Draft("anatomical", fingers, _thumb(rng, THUMB_OPPOSED, 10))
        level = int(rng.integers(3))
        draft.meet(
            int(rng.integers(4)), level, rng.uniform(-40, 200), gap=rng.choice([0, 0.01]), along=rng.uniform(0, 1)
        )
        draft.soften(0.003, 0.9, miss=0.03)
        return draft
    low, high = np.array([-22.0, -32, -15, -8, -6, -12]), np.array([42.0, 30, 15, 56, 6, 75])
    return Draft("anatomical", fingers, rng.uniform(low, high))


def _neighbours(rng: np.random.Generator) -> np.ndarray:
    """Normal numbers (4,) of which each is like the one before it: correlations 0.55, 0.8, 0.85."""
    values = rng.normal(size=4)
    for f, alike in enumerate((0.55, 0.8, 0.85), start=1):
        values[f] = alike * values[f - 1] + math.sqrt(1 - alike**2) * values[f]
    return values


def _share(values: np.ndarray) -> np.ndarray:
    """Normal numbers as uniform ones in 0..1."""
    return np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in values])


def between(rng: np.random.Generator) -> Draft:
    """On the way from one family to another, with noise: what a moving hand shows most of the time."""
    names = [n for n in WEIGHTS if n != "between"]
    first, second = (FAMILIES[names[i]](rng) for i in rng.choice(len(names), 2, replace=False))
    t = rng.uniform(0.0, 1.0)
    fingers = (1 - t) * first.fingers + t * second.fingers + 4 * rng.normal(size=(4, 4)) * np.array([1, 0.5, 1, 0.8])
    return Draft("between", fingers, _thumb(rng, (1 - t) * first.thumb + t * second.thumb))


FAMILIES: dict[str, Callable[[np.random.Generator], Draft]] = {
    "relaxed": relaxed, "open": open_hand, "flat": flat, "fist": fist, "pointing": pointing, "counting": counting,
    "victory": victory, "horns": horns, "call_me": call_me, "thumbs_up": thumbs_up, "pinch": pinch, "ok": ok_sign,
    "key": key_pinch, "tripod": tripod, "cylinder": cylinder, "sphere": sphere, "hook": hook, "plate": plate,
    "claw": claw, "combination": combination, "anatomical": anatomical, "between": between,
}  # fmt: skip
"""How to draw a draft of each family."""

WEIGHTS: dict[str, float] = {
    "relaxed": 8, "open": 5, "flat": 3, "fist": 5, "pointing": 5, "counting": 5, "victory": 2.5, "horns": 3,
    "call_me": 3, "thumbs_up": 3.5, "pinch": 5, "ok": 2.5, "key": 2.5, "tripod": 3.5, "cylinder": 5, "sphere": 4,
    "hook": 2, "plate": 2.5, "claw": 3, "combination": 7, "anatomical": 12, "between": 12,
}  # fmt: skip
"""How often each family is drawn, per cent or so: what photos show often, signs more often than that, since a network reads
them worst where it has seen few, and a third to reach everything else."""
