"""Hands are drawn within anatomical ranges, with fingers that do not pass through one another, each by its generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.hands.capsules import CapsuleHand
from hamer.datasets.synthetic.hands.collisions import GOAL, N_SEGMENTS, RADII_AT, pose_bones
from hamer.datasets.synthetic.hands.families import FAMILIES, INDEX, LITTLE, MIDDLE, RING, WEIGHTS, Draft
from hamer.datasets.synthetic.hands.poses import (
    DEEPEST,
    TRIES,
    WIDEST,
    HandDraws,
    capsules_of,
    draw_hands,
    open_pose,
    proportionate,
    settle_draft,
)
from hamer.fitting.anatomy import Anatomy
from hamer.fitting.kinematics import Skeleton, pose_skeleton
from hamer.hand_models import HandModelArrays

DEGREE = np.pi / 180


@pytest.fixture(scope="module")
def hand() -> HandModelArrays:
    return load_open_hand()


@pytest.fixture(scope="module")
def anatomy(hand: HandModelArrays) -> Anatomy:
    return Anatomy.from_skeleton(Skeleton.from_hand_model(hand))


@pytest.fixture(scope="module")
def capsules(hand: HandModelArrays) -> CapsuleHand:
    return capsules_of(hand)


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(count)]


@pytest.fixture(scope="module")
def draws(hand: HandModelArrays) -> HandDraws:
    """300 hands of all families."""
    return draw_hands(300, generators(300), hand)


@pytest.fixture(scope="module")
def by_family(hand: HandModelArrays) -> dict[str, HandDraws]:
    """12 hands of each family."""
    return {name: draw_hands(12, generators(12, seed=k), hand, name) for k, name in enumerate(FAMILIES)}


def angles_of(draws: HandDraws, anatomy: Anatomy) -> np.ndarray:
    """All 45 anatomical angles (N, 15, 3), relative to the rest pose."""
    return anatomy.angles(torch.from_numpy(draws.hand_pose).double()).numpy()


def segments(rotations: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (19, 2, 3) and radii (19, 2) of the capsules of a pose (15, 3, 3), by another way than the solver's."""
    rest = row[:45].reshape(15, 3)
    offsets = row[45:RADII_AT].reshape(N_SEGMENTS, 2, 3)
    ends = offsets.copy()
    for finger in range(5):
        turn, at, before = np.eye(3), np.zeros(3), np.zeros(3)
        for j in range(3 * finger, 3 * finger + 3):
            at = at + turn @ (rest[j] - before)
            turn, before = turn @ rotations[j], rest[j]
            ends[j] = at + offsets[j] @ turn.T
    return ends, row[RADII_AT:].reshape(N_SEGMENTS, 2)


def deepest_overlap(capsules: CapsuleHand, rotations: np.ndarray, betas: np.ndarray) -> float:
    """The deepest overlap in metres beyond what is allowed, by sampling every capsule at 21 spheres."""
    ends, radii = segments(rotations.astype(float), capsules.row(betas.astype(float)))
    share = np.linspace(0, 1, 21)[:, None]
    centres = ends[:, None, 0] + share * (ends[:, None, 1] - ends[:, None, 0])
    thick = radii[:, :1] + share[:, 0] * (radii[:, 1:] - radii[:, :1])
    pairs = capsules.bones.pairs
    distance = np.linalg.norm(centres[pairs[:, 0]][:, :, None] - centres[pairs[:, 1]][:, None], axis=-1)
    depth = thick[pairs[:, 0]][:, :, None] + thick[pairs[:, 1]][:, None] - distance
    return float((depth.max((1, 2)) - capsules.bones.allowed).max())


def test_shapes_types_and_rotations(draws: HandDraws) -> None:
    assert draws.hand_pose.shape == (300, 15, 3, 3)
    assert draws.hand_pose.dtype == np.float32
    assert draws.betas.shape == (300, 10)
    assert draws.betas.dtype == np.float32
    product = draws.hand_pose @ draws.hand_pose.swapaxes(-1, -2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-6)  # float32
    assert (np.linalg.det(draws.hand_pose) > 0).all()


def test_all_angles_lie_within_the_anatomical_ranges(draws: HandDraws, anatomy: Anatomy) -> None:
    angles = angles_of(draws, anatomy)
    active = angles[:, anatomy.joint_of, anatomy.axis_of]
    slack = 1e-4  # radians: rotations are float32
    assert (active >= anatomy.low.numpy() - slack).all()
    assert (active <= anatomy.high.numpy() + slack).all()
    passive = np.ones((15, 3), bool)
    passive[anatomy.joint_of, anatomy.axis_of] = False
    assert np.abs(angles[:, passive]).max() < slack, "a hinge turned about an axis that it does not have"


def test_no_finger_passes_through_another_or_the_palm(draws: HandDraws, capsules: CapsuleHand) -> None:
    depths = [deepest_overlap(capsules, p, b) for p, b in zip(draws.hand_pose[:150], draws.betas[:150], strict=True)]
    # Tapered capsules are measured between the nearest points of their axes, which the sampled spheres undercut by
    # less than 0.3 mm.
    assert max(depths) <= DEEPEST + 3e-4


def test_a_finger_pushed_into_another_is_noticed_and_repaired(capsules: CapsuleHand) -> None:
    fingers = np.zeros((4, 4))
    fingers[INDEX, 1], fingers[MIDDLE, 1] = -20.0, 15.0  # through one another
    draft = Draft("crossed", fingers, np.zeros(6))
    wanted = draft.active()[0] - capsules.bent
    bones = capsules.bones
    local, world, pivots = np.empty((15, 3, 3)), np.empty((15, 3, 3)), np.empty((15, 3))
    axes, ends = np.empty((26, 3)), np.empty((N_SEGMENTS, 2, 3))
    pose_bones(capsules.base, wanted, bones.frames, bones.joint_of, bones.axis_of, local, world, pivots, axes, ends)
    assert deepest_overlap(capsules, local, np.zeros(10)) > 0.004
    settled, depth, _ = settle_draft(draft, capsules.base, capsules)
    assert depth <= DEEPEST
    assert deepest_overlap(capsules, settled, np.zeros(10)) <= DEEPEST + 3e-4


def test_capsules_follow_the_skeleton(hand: HandModelArrays, capsules: CapsuleHand, draws: HandDraws) -> None:
    skeleton = Skeleton.from_hand_model(hand)
    pose, betas = (torch.from_numpy(x[:20]).double() for x in (draws.hand_pose, draws.betas))
    points = pose_skeleton(skeleton, torch.eye(3).expand(20, 3, 3).double(), pose, betas).points.numpy()
    tips = points[:, [8, 12, 20, 16, 4]]
    for i in range(20):
        ends, radii = segments(draws.hand_pose[i].astype(float), capsules.row(draws.betas[i].astype(float)))
        last = ends[2:15:3, 1]
        # The round end of a finger reaches to its tip; the tip is a point of the skin, moved by pose correctives.
        np.testing.assert_allclose(np.linalg.norm(last - tips[i], axis=1), radii[2:15:3, 1], atol=0.004)


def test_a_hand_depends_on_its_own_generator_alone(hand: HandModelArrays, draws: HandDraws) -> None:
    order = [17, 3, 250, 99]
    again = draw_hands(4, [np.random.default_rng([0, i]) for i in order], hand)
    assert np.array_equal(again.hand_pose, draws.hand_pose[order]), "to the bit, whatever the batch"
    assert np.array_equal(again.betas, draws.betas[order])
    assert again.family == [draws.family[i] for i in order]
    other = draw_hands(4, generators(4, seed=1), hand)
    assert not np.array_equal(other.hand_pose, draws.hand_pose[:4])


def test_most_tries_succeed_and_all_families_are_drawn(draws: HandDraws) -> None:
    assert draws.tries.mean() < 1.4
    assert (draws.tries > TRIES).mean() < 0.02, "the fall-back is the exception"
    assert len(set(draws.family)) > 0.8 * len(FAMILIES)
    assert set(WEIGHTS) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_possible_and_varied(name: str, by_family: dict[str, HandDraws]) -> None:
    draws = by_family[name]
    assert (draws.tries <= TRIES).mean() > 0.9
    spread = draws.hand_pose.std(axis=0).max()
    assert spread > 0.05, "hands of one family differ"


def test_families_are_distinct(by_family: dict[str, HandDraws], anatomy: Anatomy) -> None:
    """What tells a family from others: how far each finger is bent in all, degrees."""

    def bent(name: str) -> np.ndarray:
        return angles_of(by_family[name], anatomy)[:, :, 0].reshape(-1, 5, 3).sum(-1).mean(0) / DEGREE

    index, middle, little, ring = range(4)
    assert (bent("open")[:4] < 60).all()
    assert (bent("flat")[:4] < 30).all()
    assert (bent("fist")[:4] > 150).all()
    for name, straight in (("pointing", [index]), ("victory", [index, middle]), ("horns", [index, little])):
        folded = [f for f in range(4) if f not in straight]
        assert bent(name)[straight].max() < 60 < 120 < bent(name)[folded].min(), name
    assert bent("call_me")[little] < 40 < 150 < bent("call_me")[[index, middle, ring]].min()
    relaxed = bent("relaxed")[:4]
    assert bent("flat")[:4].max() < relaxed.min()
    assert relaxed.max() < bent("fist")[:4].min()


@pytest.mark.parametrize("name", ["ok", "tripod", "key"])
def test_thumb_and_index_finger_meet(name: str, by_family: dict[str, HandDraws], capsules: CapsuleHand) -> None:
    share = np.linspace(0, 1, 21)[:, None]
    gaps = []
    for pose, betas in zip(by_family[name].hand_pose, by_family[name].betas, strict=True):
        ends, radii = segments(pose.astype(float), capsules.row(betas.astype(float)))
        lines = ends[:, None, 0] + share * (ends[:, None, 1] - ends[:, None, 0])
        distances = [np.linalg.norm(lines[14][:, None] - lines[s][None], axis=-1).min() for s in (1, 2)]
        gaps.append(min(d - radii[14].mean() - radii[s].mean() for d, s in zip(distances, (1, 2), strict=True)))
    assert np.median(gaps) < 0.014, "a pen's width at most"


def test_goals_are_reached_and_face_one_another(capsules: CapsuleHand) -> None:
    draft = Draft("ring", np.array([[50.0, 0, 45, 25], *[[10, 0, 10, 5]] * 3]), np.array([30.0, 0, 0, 20, 0, 20]))
    draft.meet(INDEX, 2, 0.0, gap=0.015, along=0.8)
    draft.firm[INDEX] = 14.0
    assert np.array(draft.goals).shape == (1, GOAL)
    rotations, depth, missed = settle_draft(draft, capsules.base, capsules)
    assert depth <= DEEPEST
    assert missed < 0.001
    ends, radii = segments(rotations, capsules.base)
    gap = np.linalg.norm(ends[14].mean(0) - ends[2].mean(0)) - radii[14].mean() - radii[2].mean()
    assert 0.005 < gap < 0.022, "the phalanges face one another across the gap"


def test_shapes_are_broad_but_never_absurd(draws: HandDraws, capsules: CapsuleHand) -> None:
    assert np.abs(draws.betas).max() <= WIDEST
    spread = draws.betas.std(axis=0)
    assert (spread > 0.8).all()
    assert (spread < 1.35).all()
    assert all(proportionate(b.astype(float), capsules) for b in draws.betas)
    assert not proportionate(np.r_[40.0, np.zeros(9)], capsules)


def test_the_fall_back_suits_every_shape(capsules: CapsuleHand) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        betas = rng.choice([-1.0, 1.0], 10) * rng.uniform(0.5, WIDEST, 10)
        while not proportionate(betas, capsules):
            betas *= 0.8
        assert deepest_overlap(capsules, open_pose(capsules.row(betas), capsules), betas) <= DEEPEST + 3e-4


def test_unfit_arguments_are_refused(hand: HandModelArrays) -> None:
    with pytest.raises(ValueError, match="one generator per hand"):
        draw_hands(3, generators(2), hand)
    with pytest.raises(ValueError, match="family must be one of"):
        draw_hands(1, generators(1), hand, "juggling")


def test_combinations_hold_every_pattern_of_fingers_up_and_folded() -> None:
    drafts = [FAMILIES["combination"](rng) for rng in generators(800)]
    folded = np.stack([draft.fingers[:, 2] > 60 for draft in drafts])  # PIP
    assert len(np.unique(folded, axis=0)) == 16
    bend = np.array([draft.fingers[RING, 2] for draft in drafts])[~folded[:, RING]]
    held = (folded[:, MIDDLE] | folded[:, LITTLE])[~folded[:, RING]]
    assert (
        np.percentile(bend[held], 10) > np.percentile(bend[~held], 10) + 3
    )  # degrees: no ring finger is straight alone
