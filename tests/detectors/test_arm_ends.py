from __future__ import annotations

import numpy as np
import pytest

from hamer.detectors.arm_ends import ArmEnds, arm_ends
from hamer.detectors.bodies import N_POINTS, Bodies

METRE = 200.0
NO_HANDS = np.zeros((0, 21, 2))


def standing(at: tuple[float, float] = (320.0, 200.0), **changed: tuple[float, float]) -> np.ndarray:
    """BlazePose's points (33, 2) px of a person who stands with arms to both sides; left is on the picture's right."""
    metres = {
        "nose": (0, -0.3), "ears": (0.075, -0.3), "shoulders": (0.18, 0), "elbows": (0.45, 0), "wrists": (0.7, 0),
        "little": (0.78, 0.03), "index": (0.78, -0.02), "hips": (0.12, 0.5), "knees": (0.12, 0.95), "ankles": (0.12, 1.4),
    } | changed  # fmt: skip
    points = np.zeros((N_POINTS, 2))
    first = {"ears": 7, "shoulders": 11, "elbows": 13, "wrists": 15, "little": 17, "index": 19, "hips": 23, "knees": 25}
    for name, index in {**first, "ankles": 27}.items():
        x, y = metres[name]
        points[index], points[index + 1] = (x, y), (-x, y)
    points[0] = metres["nose"]
    return points * METRE + at


def bodies(*points: np.ndarray, spread: float = 0.0, visible: float = 0.99) -> Bodies:
    n = len(points)
    return Bodies(np.stack(points), np.full((n, N_POINTS), spread), np.full((n, N_POINTS), visible), np.ones(n))


def hand_at(x: float, y: float, size: float = 30.0) -> np.ndarray:
    """Joints (1, 21, 2) px, the wrist at x, y."""
    return np.linspace((x, y), (x + size, y + size), 21)[None]


def test_both_hands_of_a_person() -> None:
    ends = arm_ends(bodies(standing()), 640, 480)
    assert ends.is_right.tolist() == [False, True]
    np.testing.assert_allclose(ends.lengths, 0.19 * METRE, rtol=0.15)
    np.testing.assert_allclose(ends.middles[:, 0], [320 + 0.78 * METRE, 320 - 0.78 * METRE])
    assert (ends.scores > 0.9).all()
    boxes = ends.boxes()
    assert ((boxes[:, :2] < ends.middles) & (boxes[:, 2:] > ends.middles)).all()


def test_what_is_hidden_or_outside_or_uncertain_is_not_given() -> None:
    assert len(arm_ends(bodies(standing(), visible=0.3), 640, 480)) == 0
    assert arm_ends(bodies(standing((600.0, 200.0))), 640, 480).is_right.tolist() == [True]
    sure, unsure = (arm_ends(bodies(standing(), spread=spread), 640, 480).scores for spread in (1.0, 20.0))
    assert (unsure < 0.5 * sure).all()
    assert len(arm_ends(Bodies.empty(), 640, 480)) == 0


def test_a_body_without_a_trunk_is_less_sure() -> None:
    seen = bodies(standing())
    seen.visible[:, [23, 24]] = 0.1
    assert (arm_ends(seen, 640, 480).scores < 0.6 * arm_ends(bodies(standing()), 640, 480).scores).all()


def test_regions_look_along_the_hand() -> None:
    ends = arm_ends(bodies(standing()), 640, 480)
    for regions in ends.regions():
        np.testing.assert_allclose(np.abs(regions.angles), np.pi / 2, atol=0.2)  # fingers to the side
        upwards = np.stack([np.sin(regions.angles), -np.cos(regions.angles)], -1)
        assert (np.einsum("nc,nc->n", upwards, ends.middles - ends.wrists) > 0).all()


def test_a_hand_that_is_seen_takes_its_arm() -> None:
    ends = arm_ends(bodies(standing()), 640, 480)
    assert len(ends.hidden(NO_HANDS, 0.4)) == 2
    beside = hand_at(*(ends.wrists[0] + 3))
    hidden = ends.hidden(beside, 0.4)
    assert hidden.is_right.tolist() == [True]
    assert hidden.keypoints_2d is not None
    assert np.isnan(hidden.keypoints_2d).all()
    far = hand_at(20.0, 20.0)
    assert len(ends.hidden(far, 0.4)) == 2


def test_large_hands_and_unsure_ones_are_not_given_by_their_arm_alone() -> None:
    ends = arm_ends(bodies(standing()), 640, 480)
    for lengths in (ends.lengths * 3, ends.lengths / 5):
        changed = ArmEnds(ends.wrists, ends.middles, ends.forearms, lengths, ends.is_right, ends.scores)
        assert len(changed.hidden(NO_HANDS, 0.4)) == 0
    assert len(ends.hidden(NO_HANDS, 0.999)) == 0


def test_two_arms_that_lead_to_one_place_give_the_surer_hand() -> None:
    together = {"elbows": (0.27, 0.22), "wrists": (0.05, 0.3), "little": (0.0, 0.33), "index": (0.0, 0.28)}
    ends = arm_ends(bodies(standing(**together)), 640, 480)
    ends.scores[:] = (0.7, 0.9)
    hidden = ends.hidden(NO_HANDS, 0.4)
    assert hidden.is_right.tolist() == [True]
    assert hidden.scores == pytest.approx([0.9])
