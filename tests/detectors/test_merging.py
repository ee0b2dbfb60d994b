"""Merging of palms, looks and hands, on made-up joints."""

from __future__ import annotations

from typing import Any

import numpy as np

from hamer.detectors.handedness import settle_sides
from hamer.detectors.landmarks import Guesses
from hamer.detectors.merging import Consensus, agree, merge_hands, merge_palms
from hamer.detectors.palm import Palms
from hamer.detectors.regions import Regions
from hamer.detectors.scoring import hand_scores, joint_confidences


def _open_hand(x: float, y: float, size: float, mirrored: bool = False) -> np.ndarray:
    """21 joints of a spread hand pointing up, with its wrist at (x, y), px."""
    joints = [(0.0, 0.0)]
    for finger, angle in enumerate(np.deg2rad([-60, -20, 0, 17, 35])):
        lengths = (0.25, 0.45, 0.55, 0.65) if finger == 0 else (0.5, 0.7, 0.85, 1.0)
        joints += [(length * np.sin(angle), -length * np.cos(angle)) for length in lengths]
    points = np.array(joints) * size
    if mirrored:
        points[:, 0] *= -1
    return points + np.array([x, y])


def _hands(*entries: Any) -> Consensus:
    """Hands from (joints, right-hand probability, score[, presence])."""
    points = np.stack([entry[0] for entry in entries])
    n = len(points)
    return Consensus(
        points=points,
        spreads=np.full((n, 21), 0.02),
        world=np.zeros((n, 21, 3)),
        right=np.array([entry[1] for entry in entries]),
        presence=np.array([entry[3] if len(entry) > 3 else 0.97 for entry in entries]),
        sizes=np.ptp(points, axis=1).max(-1),
        support=np.ones(n, int),
        scores=np.array([entry[2] for entry in entries]),
    )


def test_overlapping_palms_become_one() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]])
    palms, support = merge_palms(Palms(boxes, np.zeros((3, 7, 2)), np.array([0.6, 0.6, 0.9])))
    np.testing.assert_allclose(palms.boxes, [[50, 50, 60, 60], [1, 0, 11, 10]])
    np.testing.assert_array_equal(support, [1, 2])
    np.testing.assert_allclose(palms.scores, [0.9, 0.6])


def test_no_palms() -> None:
    palms, support = merge_palms(Palms(np.zeros((0, 4)), np.zeros((0, 7, 2)), np.zeros(0)))
    assert len(palms) == len(support) == 0


def test_one_hand_found_twice_is_given_once_with_the_better_score() -> None:
    merged = merge_hands(_hands((_open_hand(100, 100, 50), 0.9, 0.8), (_open_hand(103, 98, 52), 0.8, 0.95)))
    assert len(merged) == 1
    assert merged.scores[0] == 0.95
    assert merged.support[0] == 2


def test_a_hand_read_as_its_mirror_image_is_dropped() -> None:
    """Index for little finger: the same pixels in another order."""
    hand = _open_hand(100, 100, 50)
    reversed_fingers = hand[[0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]]
    assert len(merge_hands(_hands((hand, 0.95, 0.9), (reversed_fingers, 0.05, 0.85)))) == 1


def test_interlocked_hands_are_both_kept() -> None:
    right, left = _open_hand(100, 100, 60), _open_hand(118, 80, 60, mirrored=True)
    assert len(merge_hands(_hands((right, 0.95, 0.97), (left, 0.05, 0.93)))) == 2


def test_a_less_sure_reading_within_a_hand_is_dropped() -> None:
    right, reading = _open_hand(100, 100, 60), _open_hand(105, 85, 40, mirrored=True)
    assert len(merge_hands(_hands((right, 0.95, 0.99, 0.99), (reading, 0.05, 0.9, 0.88)))) == 1


def test_hands_apart_are_both_kept_whatever_their_side() -> None:
    assert len(merge_hands(_hands((_open_hand(100, 100, 50), 0.9, 0.9), (_open_hand(170, 100, 50), 0.9, 0.6)))) == 2


def test_fingers_taken_for_a_hand_of_their_own_are_dropped() -> None:
    whole = _open_hand(100, 100, 100)
    fingertips = _open_hand(100, 40, 28)
    assert len(merge_hands(_hands((whole, 0.9, 0.95), (fingertips, 0.9, 0.6)))) == 1


def test_order_of_the_input_does_not_matter() -> None:
    entries = [
        (_open_hand(100, 100, 50), 0.9, 0.8),
        (_open_hand(104, 97, 52), 0.8, 0.95),
        (_open_hand(300, 90, 40), 0.1, 0.7),
    ]
    a, b = merge_hands(_hands(*entries)), merge_hands(_hands(*entries[::-1]))
    np.testing.assert_array_equal(a.points, b.points)


def test_a_forearm_beside_its_hand_is_no_second_hand_but_a_touching_hand_is() -> None:
    hand = (_open_hand(100, 100, 50), 0.9, 0.99)
    arm = _open_hand(90, 165, 80)  # reaches into the hand from below, and is larger
    assert len(merge_hands(_hands(hand, (arm, 0.9, 0.8, 0.85)))) == 1
    assert len(merge_hands(_hands(hand, (arm, 0.9, 0.8, 0.98)))) == 2  # seen as clearly as hands are
    touching = _open_hand(90, 142, 55)
    assert len(merge_hands(_hands(hand, (touching, 0.1, 0.8, 0.85)))) == 2


def test_agreeing_looks_have_no_spread_and_an_outlier_counts_little() -> None:
    hand = _open_hand(100, 100, 50)[None]

    def look(points: np.ndarray, right: float = 0.9) -> Guesses:
        return Guesses(points, np.zeros((1, 21, 3)), np.array([0.9]), np.array([right]), Regions.of([[0, 0]], [1]))

    points, spreads, _, right = agree([look(hand)] * 3)
    np.testing.assert_allclose(points, hand)
    np.testing.assert_allclose(spreads, 0, atol=1e-12)
    np.testing.assert_allclose(right, 0.9)
    points, spreads, _, _ = agree([look(hand), look(hand), look(hand + 100)])
    assert np.abs(points - hand).max() < 1  # plain averaging would move it by 33 px
    assert spreads.max() > 0


def test_scores_rise_with_presence_and_fall_with_spread() -> None:
    def score(presence: float, spread: float) -> float:
        return float(
            hand_scores(np.full((3, 1), presence), np.full((1, 21), spread), np.array([50.0]), np.array([0.9]))[0]
        )

    assert score(0.99, 0.02) > 0.9
    assert score(0.99, 0.02) > score(0.9, 0.02) > score(0.5, 0.02)
    assert score(0.9, 0.02) > score(0.9, 0.08)
    assert score(0.5, 0.06) < 0.2


def test_joint_confidences_lie_in_0_to_1_and_fall_with_spread() -> None:
    confidences = joint_confidences(np.array([[0.0, 0.05, 0.5]]), np.array([0.8]))
    assert (np.diff(confidences[0]) < 0).all()
    assert confidences.min() >= 0
    assert confidences[0, 0] == 0.8


def test_a_doubtful_side_yields_to_a_sure_neighbour() -> None:
    right, other = _open_hand(100, 100, 60), _open_hand(118, 80, 60, mirrored=True)
    assert settle_sides(_hands((right, 0.97, 0.9), (other, 0.6, 0.9))).right[1] < 0.5
    assert settle_sides(_hands((right, 0.97, 0.9), (other, 0.9, 0.9))).right[1] > 0.5  # not doubtful
    far = _open_hand(500, 100, 60)
    assert settle_sides(_hands((right, 0.97, 0.9), (far, 0.6, 0.9))).right[1] > 0.5  # not a neighbour
