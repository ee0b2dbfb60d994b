"""Hands of persons without what a whole-body network makes up: exchanged sides, one hand twice, hands that are none.

The network answers for every person and both hands, whether they are in the picture or not. What people then meet, and
what is done about each, in this order:

1. phantoms by themselves: joints hardly seen, all in one spot, as far apart as an arm is long, or scattered as no hand
   holds them. Left out.
2. exchanged sides: the left hand hangs on the right arm and the right hand, if there is one, on the left. The sides
   are exchanged back.
3. one hand taken twice: left and right joints of a person in one place. The one that its arm leads to stays.
4. one hand of two persons whose boxes overlap. The same.
5. hands that hang on no arm: the wrist is far from the body's wrist. Left out unless seen very surely; then it is a
   hand, of whomever.

Two hands in one place are believed if two arms are seen to lead there; so hands clasped, folded or held stay. Every
rule needs evidence: a keypoint that is not seen says nothing. The original's demo has none of this;
`hands_from_keypoints` gives its boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hamer.detectors.arms import Body, SeenHand, longest
from hamer.detectors.hands_of_persons import check_keypoints, owned_hands
from hamer.structures import HandBoxes

#: Mean confidence of all 21 joints (each 0..1) below which a hand is none, and from which it is one whatever its arm.
_LEAST_CONFIDENCE, _SURE = 0.25, 0.7
#: Extent of a hand in metres at the body's depth: random poses of the open hand have 0.06 to 0.25; a hand held close to
#: the camera looks up to three times as large, one stretched away from it smaller.
_SMALLEST, _LARGEST = 0.02, 0.8
#: Mean length of a phalanx over the hand's extent: at most 0.32 in 60,000 random poses and views of the open hand, and
#: 0.37 in 999 of 1,000 with a third of the joints unseen; points drawn at random have 0.48. From so many phalanges on.
_SCATTERED, _LEAST_PHALANGES = 0.38, 10
#: Mean distance, in sizes of a hand, of joints that are one hand's, by what the arms say: nothing, one of them is elsewhere.
_SAME, _SAME_WITHOUT_ARM = 0.12, 0.25
#: Joints in any order that cover each other to this part of a hand's size are one hand's, as in `hamer.detectors.merging`.
_COVERED = 0.07
#: Two hands in one place are seen about equally well: the weaker confidence over the stronger.
_ALIKE = 0.7
#: Elbows further apart than this, in extents of the hand, are those of two arms.
_TWO_ELBOWS = 0.7

_PHALANGES = [(base + joint, base + joint + 1) for base in (1, 5, 9, 13, 17) for joint in range(3)]


def suppress(
    keypoints: np.ndarray,
    persons: np.ndarray | None = None,
    *,
    min_confidence: float = 0.5,
    more_than: int = 3,
) -> HandBoxes:
    """The hands of one picture as `hands_from_keypoints` gives them, without doubles and phantoms, sides put right.

    Args:
        keypoints: (P, 133, 3) x, y px and confidence of COCO-WholeBody's keypoints.
        persons: (P, 4) xyxy px, the boxes that they were found in, or None; they help to know the body's size.
        min_confidence, more_than: as in `hands_from_keypoints`.

    Returns:
        the hands that stay, in their order; `notes` say of each hand left out or changed which and why, counting persons
        from 1.

    Raises:
        ValueError: keypoints of another shape, or not one box a person.
    """
    keypoints = check_keypoints(keypoints)
    if persons is not None and len(persons) != len(keypoints):
        raise ValueError(f"persons must have one box for each of {len(keypoints)} persons, got {len(persons)}")
    found = owned_hands(keypoints, min_confidence, more_than)
    boxes = [None] * len(keypoints) if persons is None else list(np.asarray(persons, np.float32))
    bodies = [Body.of(points, box) for points, box in zip(keypoints, boxes, strict=True)]
    hands = found.hands
    if hands.keypoints_2d is None:
        return hands
    seen = [
        SeenHand.of(int(person), bool(right), points, float(score), min_confidence)
        for person, right, points, score in zip(
            found.persons, hands.is_right, hands.keypoints_2d, hands.scores, strict=True
        )
    ]
    search = _Search(dict(enumerate(seen)), bodies)
    kept = search.run()
    result = hands[np.array(kept, int)]
    sides = np.array([search.hands[index].side for index in kept], bool)
    return replace(result, is_right=sides, notes=tuple(search.notes))


class _Search:
    """The hands that are still there, by index, and what was said of the others."""

    def __init__(self, hands: dict[int, SeenHand], bodies: list[Body]) -> None:
        self.hands, self.bodies = hands, bodies
        self.notes: list[str] = []

    def run(self) -> list[int]:
        """Indices of the hands that stay."""
        self._leave_out(self._no_hand)
        for person in range(len(self.bodies)):
            self._settle_sides(person)
        self._leave_out_doubles(same_person=True)
        self._leave_out_doubles(same_person=False)
        self._leave_out(self._on_no_arm)
        return sorted(self.hands)

    def _leave_out(self, reason_of: Callable[[SeenHand], str | None]) -> None:
        for index, hand in list(self.hands.items()):
            reason = reason_of(hand)
            if reason:
                self._drop(index, reason)

    def _drop(self, index: int, reason: str) -> None:
        self.notes.append(f"{self.hands.pop(index).name} left out: {reason}")

    def _no_hand(self, hand: SeenHand) -> str | None:
        """Why the joints of `hand` are no hand's, or None."""
        if hand.score < _LEAST_CONFIDENCE:
            return f"its joints are hardly seen (mean confidence {hand.score:.2f})"
        metre = self.bodies[hand.person].scale
        if metre and hand.extent > _LARGEST * metre:
            return f"its joints are {hand.extent / metre:.1f} m apart by the body's size"
        if metre and longest(hand.points[:, :2]) < _SMALLEST * metre:
            return "its joints are all in one spot"
        mean = _mean_phalanx(hand)
        if mean is not None and mean > _SCATTERED:
            return f"its joints are scattered (a phalanx is {mean:.2f} of the hand on average)"
        return None

    def _settle_sides(self, person: int) -> None:
        """Exchange the sides of a person's hands where both are on the other arm, or the only one is."""
        own = [index for index, hand in self.hands.items() if hand.person == person]
        body = self.bodies[person]
        if not own or not all(self._on_other_arm(body, self.hands[index]) for index in own):
            return
        names = " and ".join(self.hands[index].name for index in own)
        for index in own:
            self.hands[index] = replace(self.hands[index], side=1 - self.hands[index].side)
        self.notes.append(f"{names}: taken for the other side, by the arms")

    @staticmethod
    def _on_other_arm(body: Body, hand: SeenHand) -> bool:
        return body.support(hand, 1 - hand.side) == 1 and body.support(hand) == -1

    def _leave_out_doubles(self, *, same_person: bool) -> None:
        """Of hands in one place, drop those that have less of an arm, or are less surely seen."""
        rivals = self._rivals(same_person)
        kept: set[int] = set()
        for index in sorted(self.hands, key=self._standing, reverse=True):
            before = sorted(kept.intersection(rivals[index]))
            twin = next((other for other in before if self._one_hand(self.hands[index], self.hands[other])), None)
            if twin is None:
                kept.add(index)
            else:
                self._drop(index, f"it is the {self.hands[twin].name} once more")

    def _rivals(self, same_person: bool) -> dict[int, list[int]]:
        """Which hands are near enough to each to be the same, of the same person or of others."""
        if not self.hands:
            return {}
        indices, hands = np.array(list(self.hands)), list(self.hands.values())
        centres, extents = np.stack([hand.centre for hand in hands]), np.array([hand.extent for hand in hands])
        persons = np.array([hand.person for hand in hands])
        near = np.linalg.norm(centres[:, None] - centres[None], axis=-1) < extents[:, None] + extents[None]
        rivals = near & ((persons[:, None] == persons[None]) == same_person)
        return {int(index): indices[row].tolist() for index, row in zip(indices, rivals, strict=True)}

    def _standing(self, index: int) -> tuple[int, bool, float]:
        hand = self.hands[index]
        body = self.bodies[hand.person]
        return body.support(hand), body.whole_arm(hand), hand.score

    def _one_hand(self, a: SeenHand, b: SeenHand) -> bool:
        """Whether the joints of `a` and `b` are one hand's."""
        distance, covered = _apart(a, b), _cover_distance(a, b)
        support = min(self.bodies[hand.person].support(hand) for hand in (a, b))
        limit = _SAME_WITHOUT_ARM if support == -1 else _SAME
        if distance > limit and covered > _COVERED:
            return False
        return not self._two_arms(a, b)

    def _two_arms(self, a: SeenHand, b: SeenHand) -> bool:
        """Whether two arms are seen to lead to where both hands are, and both hands are seen about equally well."""
        if not all(self.bodies[hand.person].whole_arm(hand) for hand in (a, b)):
            return False
        if min(a.score, b.score) < _ALIKE * max(a.score, b.score):
            return False
        one, other = (self.bodies[hand.person].elbows[hand.side, :2] for hand in (a, b))
        return float(np.linalg.norm(one - other)) > _TWO_ELBOWS * max(a.extent, b.extent)

    def _on_no_arm(self, hand: SeenHand) -> str | None:
        """Why `hand` is not at the end of its arm, or None where it may be, or is seen too well to be nothing."""
        body = self.bodies[hand.person]
        if hand.score >= _SURE or not body.sees_wrist(hand.side) or body.support(hand) != -1:
            return None
        lengths = hand.distance_to(body.wrists[hand.side, :2]) / hand.extent
        return f"it is far from the arm that it should hang on ({lengths:.1f} of its own lengths)"


def _mean_phalanx(hand: SeenHand) -> float | None:
    """Mean length of the phalanges with both ends seen over the hand's extent; None for too few."""
    pairs = [pair for pair in _PHALANGES if hand.seen[list(pair)].all()]
    if len(pairs) < _LEAST_PHALANGES:
        return None
    first, second = (hand.points[list(ends), :2] for ends in zip(*pairs, strict=True))
    return float(np.linalg.norm(first - second, axis=-1).mean()) / hand.extent


def _size(a: SeenHand, b: SeenHand) -> float:
    return float(np.sqrt(a.extent * b.extent))


def _apart(a: SeenHand, b: SeenHand) -> float:
    """Mean distance from joint to joint, in sizes of the hands: of joints seen in both, or of all where few are."""
    both = a.seen & b.seen
    both = both if both.sum() > 3 else np.ones(21, bool)
    return float(np.linalg.norm(a.points[both, :2] - b.points[both, :2], axis=-1).mean()) / _size(a, b)


def _cover_distance(a: SeenHand, b: SeenHand) -> float:
    """Mean distance from each seen joint to the nearest of the other hand, both ways, in sizes of the hands."""
    one, other = a.points[a.seen, :2], b.points[b.seen, :2]
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return float(distances.min(0).mean() + distances.min(1).mean()) / 2 / _size(a, b)
