"""What a whole-body network makes up is left out, and true hands stay, on made-up persons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamer.detectors.hands_of_persons import hands_from_keypoints
from hamer.detectors.suppression import suppress
from hamer.detectors.wholebody.keypoints import LEFT_HAND, NAMES, RIGHT_HAND

SCALE = 300.0  # px a metre
LEFT, RIGHT = 0, 1
HANDS = (LEFT_HAND, RIGHT_HAND)


def hand(wrist: Any, degrees: float, *, thumb: int = 1, curl: float = 0.0, size: float = 0.18) -> np.ndarray:
    """21 joints of a hand of `size` metres from `wrist` (x, y m); fingers point to `degrees` (0 right, 90 down).

    `thumb` 1 or -1: on which side of the fingers; `curl` 0 to 1 draws the fingers back to the palm.
    """
    joints = [(0.0, 0.0)]
    for finger, spread in enumerate(np.deg2rad([-50, -14, -3, 9, 21])):
        reach = (0.2, 0.4, 0.55, 0.65) if finger == 0 else (0.5, 0.72, 0.88, 1.0)
        folded = (0.2, 0.38, 0.45, 0.5) if finger == 0 else (0.5, 0.55, 0.42, 0.36)
        lengths = (1 - curl) * np.array(reach) + curl * np.array(folded)
        joints += [(r * np.cos(spread), r * np.sin(spread)) for r in lengths]
    points = np.array(joints) * size
    points[:, 1] *= thumb
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ turn + np.asarray(wrist, float)


def person(
    x: float = 1.0,
    left: tuple[Any, Any] = ((0.25, 0.3), (0.3, 0.55)),
    right: tuple[Any, Any] = ((-0.25, 0.3), (-0.3, 0.55)),
    left_hand: dict[str, Any] | None = None,
    right_hand: dict[str, Any] | None = None,
    size: float = 1.0,
    facing: int = 1,
    confidence: float = 0.8,
) -> np.ndarray:
    """Keypoints (133, 3) of a standing person whose neck is at (x, 0.5) m.

    `left`, `right`: elbow and wrist in metres from the neck, of a person of 1.75 m times `size`; `left_hand`,
    `right_hand`: options of `hand`, or {"at": joints}. `facing` 1: towards the camera, the person's left on the right.
    """
    neck = np.array([x, 0.5])
    body = {"nose": (0, -0.18), "hip": (0.12 * facing, 0.5), "shoulder": (0.18 * facing, 0.0)}
    body |= {"ear": (0.075 * facing, -0.18), "eye": (0.03 * facing, -0.2)}
    body |= {"knee": (0.13 * facing, 0.95), "ankle": (0.13 * facing, 1.35)}
    points = np.zeros((133, 3))
    for part, (dx, dy) in body.items():
        for name, sign in ((part, 1), (f"left_{part}", 1), (f"right_{part}", -1)):
            if name in NAMES:
                points[NAMES.index(name)] = [*(neck + size * np.array([sign * dx, dy])), confidence]
    arms = ((left, left_hand or {}, "left"), (right, right_hand or {}, "right"))
    for (elbow, wrist), options, name in arms:
        places = [neck + size * np.array(place) for place in (elbow, wrist)]
        points[NAMES.index(f"{name}_elbow")] = [*places[0], confidence]
        points[NAMES.index(f"{name}_wrist")] = [*places[1], confidence]
        along = np.rad2deg(np.arctan2(*(places[1] - places[0])[::-1]))
        thumb = facing if name == "left" else -facing
        options = {"degrees": along, "thumb": thumb, "size": 0.18 * size} | options
        joints = options.pop("at") if "at" in options else hand(places[1], **options)
        options_confidence = options.get("confidence", confidence)
        points[HANDS[name == "right"]] = np.column_stack([joints, np.full(21, options_confidence)])
    points[:, :2] *= SCALE
    return points.astype(np.float32)


def joints_of(keypoints: np.ndarray, side: int) -> np.ndarray:
    """The joints (21, 2) of a person's hand in metres, to be claimed by another."""
    return keypoints[HANDS[side], :2] / SCALE


def boxes_of(keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([keypoints[..., :2].min(1), keypoints[..., :2].max(1)], -1)


def searched(*persons: np.ndarray) -> Any:
    keypoints = np.stack(persons)
    return suppress(keypoints, boxes_of(keypoints))


def without_arm(keypoints: np.ndarray, *sides: int) -> np.ndarray:
    """The same person with elbow and wrist of `sides` unseen."""
    keypoints = keypoints.copy()
    for side in sides:
        keypoints[[7 + side, 9 + side], 2] = 0.1
    return keypoints


# Folded arms: each hand lies on the other arm, below its elbow.
FOLDED = person(left=((0.27, 0.27), (-0.1, 0.25)), right=((-0.27, 0.27), (0.1, 0.22)))
CLASPED = person(
    left=((0.27, 0.25), (0.09, 0.36)),
    right=((-0.27, 0.25), (-0.09, 0.36)),
    left_hand={"degrees": 170, "curl": 0.7},
    right_hand={"degrees": 10, "curl": 0.7},
)
# Palm on palm, seen from the front: two narrow hands three centimetres apart.
PRAYING = person(
    left=((0.27, 0.3), (0.015, 0.25)),
    right=((-0.27, 0.3), (-0.015, 0.25)),
    left_hand={"degrees": -90},
    right_hand={"degrees": -90},
)
# The same, seen so that every joint of one hand covers that of the other.
PRAYING_JOINT_ON_JOINT = person(
    left=((0.27, 0.3), (0.0, 0.25)),
    right=((-0.27, 0.3), (0.0, 0.25)),
    left_hand={"degrees": -90, "thumb": 1},
    right_hand={"degrees": -90, "thumb": 1},
)
HOLDING_OWN_WRIST = person(
    left=((0.27, 0.25), (0.12, 0.4)),
    right=((-0.27, 0.25), (-0.05, 0.38)),
    left_hand={"degrees": 175, "curl": 0.9},
    right_hand={"degrees": 20},
)
REACHING_FOR_THE_CAMERA = person(right=((-0.2, 0.15), (-0.15, 0.05)), right_hand={"size": 0.5, "degrees": -90})
FROM_BEHIND = person(facing=-1, left=((-0.25, 0.3), (-0.3, 0.55)), right=((0.25, 0.3), (0.3, 0.55)))
# Two people, each with the hand in the other's, fingers round the palm.
HAND_IN_HAND = (
    person(x=1.0, left=((0.3, 0.28), (0.42, 0.5)), left_hand={"degrees": 80, "curl": 0.5}),
    person(x=1.9, right=((-0.3, 0.28), (-0.42, 0.5)), right_hand={"degrees": 100, "curl": 0.5}),
)
HANDSHAKE = (
    person(x=0.9, left=((0.28, 0.22), (0.45, 0.3)), left_hand={"degrees": 5, "curl": 0.4}),
    person(x=2.05, right=((-0.28, 0.22), (-0.45, 0.3)), right_hand={"degrees": 175, "curl": 0.4}),
)
HIGH_FIVE = (
    person(x=0.9, left=((0.4, -0.05), (0.5, -0.28)), left_hand={"degrees": -85}),
    person(x=1.9, right=((-0.4, -0.05), (-0.49, -0.28)), right_hand={"degrees": -85, "thumb": 1}),
)
# Chest to chest; the hands lie on the other's back and shoulder.
HUGGING = (
    person(x=1.0, left=((0.3, 0.15), (0.5, 0.1)), right=((0.2, 0.3), (0.45, 0.33))),
    person(x=1.35, facing=-1, left=((-0.3, 0.2), (-0.5, 0.22)), right=((-0.2, 0.05), (-0.45, -0.02))),
)
ADULT_AND_CHILD = (person(x=1.0), person(x=1.6, size=0.55))

TRUE = {
    "arms hanging": (person(),),
    "folded arms": (FOLDED,),
    "clasped hands": (CLASPED,),
    "praying": (PRAYING,),
    "praying, joint on joint": (PRAYING_JOINT_ON_JOINT,),
    "a hand holds the other wrist": (HOLDING_OWN_WRIST,),
    "a hand held to the camera": (REACHING_FOR_THE_CAMERA,),
    "seen from behind": (FROM_BEHIND,),
    "hand in hand": HAND_IN_HAND,
    "handshake": HANDSHAKE,
    "high five": HIGH_FIVE,
    "hugging": HUGGING,
    "adult and child": ADULT_AND_CHILD,
    "clasped hands, arms not seen": (without_arm(CLASPED, LEFT, RIGHT),),
    "praying, arms not seen": (without_arm(PRAYING, LEFT, RIGHT),),
    "folded arms, one not seen": (without_arm(FOLDED, LEFT),),
}


@pytest.mark.parametrize("persons", TRUE.values(), ids=TRUE.keys())
def test_true_hands_stay(persons: tuple[np.ndarray, ...]) -> None:
    found, plain = searched(*persons), hands_from_keypoints(np.stack(persons))
    assert found.notes == ()
    assert len(found) == 2 * len(persons)
    np.testing.assert_array_equal(found.boxes, plain.boxes)
    np.testing.assert_array_equal(found.is_right, plain.is_right)
    np.testing.assert_array_equal(found.keypoints_2d, plain.keypoints_2d)


@pytest.mark.parametrize("persons", TRUE.values(), ids=TRUE.keys())
def test_true_hands_stay_when_joints_are_a_little_off(persons: tuple[np.ndarray, ...]) -> None:
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.01 * SCALE, (len(persons), 133, 2))  # a centimetre
        moved = np.stack(persons)
        moved[..., :2] += noise
        assert len(suppress(moved, boxes_of(moved))) == 2 * len(persons)


def test_one_hand_taken_twice() -> None:
    right = joints_of(person(), RIGHT)
    for person_, side in (
        (person(left_hand={"at": right + 0.01}), LEFT),  # the left wrist is seen elsewhere
        (without_arm(person(left_hand={"at": right + 0.01}), LEFT), LEFT),  # it is not seen
        (
            person(
                left_hand={"at": right[[0, *range(17, 21), *range(13, 17), *range(9, 13), *range(5, 9), *range(1, 5)]]}
            ),
            LEFT,
        ),  # as its mirror image
    ):
        found = searched(person_)
        assert found.is_right.tolist() == [side == LEFT]
        assert found.notes == ("left hand of person 1 left out: it is the right hand of person 1 once more",)


def test_a_hidden_hand_whose_arm_the_network_draws_to_the_other() -> None:
    """Both body wrists are put on the one hand that is seen; it is seen less surely as the other side's."""
    doubled = PRAYING_JOINT_ON_JOINT.copy()
    doubled[LEFT_HAND, 2] = 0.52
    found = searched(doubled)
    assert found.is_right.tolist() == [True]
    assert "left hand of person 1 left out: it is the right hand" in found.notes[0]


def test_the_hand_that_its_arm_leads_to_stays_even_if_seen_less_surely() -> None:
    keypoints = person(left_hand={"at": joints_of(person(), RIGHT)})
    keypoints[LEFT_HAND, 2] = 0.95
    assert searched(keypoints).is_right.tolist() == [True]


def test_one_hand_of_two_persons() -> None:
    """The second person's box holds an arm of the first, and the network takes its hand for the second's."""
    first = person(x=1.0)
    claimed = joints_of(first, LEFT)
    for claim in (
        person(x=1.5, right_hand={"at": claimed + 0.01}),  # the second person's own right wrist is seen
        without_arm(person(x=1.5, right_hand={"at": claimed + 0.01}), RIGHT),
        person(x=1.5, right=((-0.22, 0.3), (-0.2, 0.05)), right_hand={"at": claimed - 0.01}),
    ):
        found = searched(first, claim)
        assert len(found) == 3
        assert found.notes == ("right hand of person 2 left out: it is the left hand of person 1 once more",)
        swapped = searched(claim, first)
        assert swapped.notes == ("right hand of person 1 left out: it is the left hand of person 2 once more",)


def test_a_whole_arm_claimed_by_the_neighbour() -> None:
    first = person(x=1.0)
    neck = first[5:7, :2].mean(0) / SCALE
    arm = [first[index, :2] / SCALE - neck - [0.9, 0] for index in (7, 9)]
    second = person(x=1.9, right=(arm[0], arm[1]), right_hand={"at": joints_of(first, LEFT)}, confidence=0.9)
    found = searched(first, second)
    assert found.notes == ("right hand of person 2 left out: it is the left hand of person 1 once more",)


def test_a_person_found_twice() -> None:
    found = searched(person(confidence=0.7), person(x=1.02))
    assert len(found) == 2
    np.testing.assert_allclose(found.scores, 0.8)  # the better one stays
    assert len(found.notes) == 2


def test_exchanged_sides_are_exchanged_back() -> None:
    plain = person()
    exchanged = person(left_hand={"at": joints_of(plain, RIGHT)}, right_hand={"at": joints_of(plain, LEFT)})
    found = searched(exchanged)
    assert found.is_right.tolist() == [True, False]
    np.testing.assert_array_equal(found.keypoints_2d[0], exchanged[LEFT_HAND])  # joints stay with their hand
    assert found.notes == ("left hand of person 1 and right hand of person 1: taken for the other side, by the arms",)


def test_the_only_hand_on_the_other_arm_changes_sides() -> None:
    keypoints = person(left_hand={"at": joints_of(person(), RIGHT)})
    keypoints[RIGHT_HAND, 2] = 0.1
    found = searched(keypoints)
    assert found.is_right.tolist() == [True]
    assert "taken for the other side" in found.notes[0]


def test_exchanged_sides_are_known_by_the_elbows_where_no_wrist_is_seen() -> None:
    wide: Any = {"left": ((0.28, 0.05), (0.5, 0.05)), "right": ((-0.28, 0.05), (-0.5, 0.05))}
    plain = person(**wide)
    exchanged = person(**wide, left_hand={"at": joints_of(plain, RIGHT)}, right_hand={"at": joints_of(plain, LEFT)})
    exchanged[[9, 10], 2] = 0.1
    assert searched(exchanged).is_right.tolist() == [True, False]


def phantom(change: Any) -> np.ndarray:
    keypoints = person()
    change(keypoints[RIGHT_HAND])
    return keypoints


def hardly_seen(points: np.ndarray) -> None:
    points[:, 2] = 0.05
    points[:4, 2] = 0.55


def in_one_spot(points: np.ndarray) -> None:
    points[:, :2] = points[0, :2] + np.linspace(0, 4, 42).reshape(21, 2)


def as_long_as_an_arm(points: np.ndarray) -> None:
    points[:, :2] = points[0, :2] + 6 * (points[:, :2] - points[0, :2])


def scattered(points: np.ndarray) -> None:
    points[:, :2] = points[0, :2] + np.random.default_rng(3).uniform(-0.12, 0.12, (21, 2)) * SCALE


def on_the_floor(points: np.ndarray) -> None:
    points[:, 1] += 0.6 * SCALE
    points[:, 2] = 0.6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (hardly_seen, "its joints are hardly seen (mean confidence 0.15)"),
        (in_one_spot, "its joints are all in one spot"),
        (as_long_as_an_arm, "m apart by the body's size"),
        (scattered, "its joints are scattered"),
        (on_the_floor, "it is far from the arm that it should hang on (3.3 of its own lengths)"),
    ],
)
def test_phantoms(change: Any, reason: str) -> None:
    found = searched(phantom(change))
    assert found.is_right.tolist() == [False]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("right hand of person 1 left out: ")
    assert reason in found.notes[0]


def test_a_true_hand_seen_in_part_stays() -> None:
    keypoints = person()
    keypoints[RIGHT_HAND, 2] = 0.2
    keypoints[RIGHT_HAND.start + 5 : RIGHT_HAND.start + 11, 2] = 0.6
    assert len(searched(keypoints)) == 2


def test_a_hand_seen_surely_stays_whomever_it_is_of() -> None:
    keypoints = phantom(on_the_floor)
    keypoints[RIGHT_HAND, 2] = 0.85
    assert len(searched(keypoints)) == 2


def test_without_its_wrist_nothing_is_said_of_how_far_a_hand_may_be() -> None:
    keypoints = phantom(on_the_floor)
    keypoints[10, 2] = 0.1
    assert len(searched(keypoints)) == 2


def test_without_a_body_nothing_is_said_of_arms() -> None:
    keypoints = person()
    keypoints[:91, 2] = 0.0
    found = searched(keypoints)
    assert len(found) == 2
    assert found.notes == ()


def test_no_hand_holds_its_joints_as_scattered() -> None:
    """Random poses and views of the open hand, all joints seen, are no phantoms."""
    torch = pytest.importorskip("torch")
    from hamer.checkpoints.hand_files import load_open_hand
    from hamer.fitting.anatomy import Anatomy
    from hamer.fitting.kinematics import Skeleton, pose_skeleton
    from hamer.geometry.rotations import aa_to_rotmat

    generator, n = torch.Generator().manual_seed(0), 400
    skeleton = Skeleton.from_hand_model(load_open_hand())
    anatomy = Anatomy.from_skeleton(skeleton)
    like = skeleton.joints_template
    bent = anatomy.low + (anatomy.high - anatomy.low) * torch.rand(n, len(anatomy.low), generator=generator).to(like)
    pose = anatomy.rotations(anatomy.full_angles(bent, torch.zeros(n, 15, 3).to(like)))
    turned = aa_to_rotmat(3 * torch.randn(n, 3, generator=generator).to(like))
    joints = pose_skeleton(skeleton, turned, pose, torch.zeros(n, 10).to(like)).points.numpy()
    keypoints = np.zeros((n, 133, 3), np.float32)
    keypoints[:, RIGHT_HAND, :2] = 1000 * joints[..., :2]
    keypoints[:, RIGHT_HAND, 2] = 0.8
    assert [len(suppress(keypoints[index : index + 1])) for index in range(n)] == [1] * n


def test_nobody() -> None:
    found = suppress(np.zeros((0, 133, 3)), np.zeros((0, 4)))
    assert len(found) == 0
    assert found.notes == ()


def test_one_box_a_person() -> None:
    with pytest.raises(ValueError, match="persons must have one box for each of 1 persons, got 2"):
        suppress(person()[None], np.zeros((2, 4)))


def test_annotated_hands_of_real_photos_stay(photos: Path) -> None:
    """Whatever people hold and however hands touch: none is a phantom or another's double (bodies not annotated)."""
    entries = json.loads((photos / "photos.json").read_text())
    counted = 0
    for entry in entries:
        hands = [item for item in entry["hands"] if item.get("keypoints_2d")]
        keypoints = np.zeros((len(hands), 133, 3), np.float32)
        for person_, item in zip(keypoints, hands, strict=True):
            person_[HANDS[bool(item["is_right"])]] = item["keypoints_2d"]
        plain = hands_from_keypoints(keypoints)
        found = suppress(keypoints)
        assert found.notes == (), entry["file"]
        assert len(found) == len(plain)
        counted += len(found)
    assert counted > 10
