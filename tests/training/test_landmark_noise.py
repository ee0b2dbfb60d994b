"""Landmarks made worse or better for training: how much, of which, and nothing where nothing is asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hamer.training.landmark_noise import LandmarkNoise


def landmarks(hands: int = 2000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(hands, 21, 7, generator=generator) + 0.1
    values[..., 6] = 1.0
    values[:, 0, 3:6] = 0.0
    values[0, 5] = 0.0  # one that is not known
    return values


def test_nothing_asked() -> None:
    noise = LandmarkNoise()
    assert noise.is_none
    assert noise(landmarks()).equal(landmarks())


def test_whole_hands_are_dropped() -> None:
    torch.manual_seed(0)
    changed, before = LandmarkNoise(dropout=0.25)(landmarks()), landmarks()
    gone = (changed == 0).all(dim=(1, 2))
    assert abs(float(gone.float().mean()) - 0.25) < 0.04  # four standard deviations of 2000 draws
    assert changed[~gone].equal(before[~gone])


def test_joints_are_dropped_one_by_one() -> None:
    torch.manual_seed(0)
    changed, before = LandmarkNoise(joint_dropout=0.1)(landmarks()), landmarks()
    gone = (changed == 0).all(-1)
    assert abs(float(gone.float().mean()) - 0.1) < 0.01
    assert changed[~gone].equal(before[~gone])


def test_points_and_guesses_are_moved() -> None:
    torch.manual_seed(0)
    before = landmarks()
    moved = LandmarkNoise(sigma=0.01)(before) - before
    assert abs(float(moved[1:, :, :2].std()) - 0.01) < 0.0005
    assert (moved[..., 2:] == 0).all()
    shifted = LandmarkNoise(shift=0.02)(before) - before
    torch.testing.assert_close(shifted[1:, :, :2], shifted[1:, :1, :2].expand(-1, 21, -1), atol=1e-6, rtol=0)
    turned = LandmarkNoise(guess_sigma=0.003)(before) - before
    assert abs(float(turned[1:, 1:, 3:6].std()) - 0.003) < 0.0002
    assert (turned[:, 0] == 0).all()  # the wrist is the origin of the guess
    assert (turned[..., [0, 1, 2, 6]] == 0).all()


def test_guesses_are_dropped_alone() -> None:
    torch.manual_seed(0)
    before = landmarks()
    changed = LandmarkNoise(guess_dropout=0.5, guess_sigma=0.01)(before)
    gone = (changed[..., 3:6] == 0).all(dim=(1, 2))
    assert 0.4 < float(gone.float().mean()) < 0.6
    assert changed[..., [0, 1, 2, 6]].equal(before[..., [0, 1, 2, 6]])


def test_unknown_ones_stay_zero() -> None:
    changed = LandmarkNoise(sigma=0.1, shift=0.1, guess_sigma=0.1)(landmarks())
    assert (changed[0, 5] == 0).all()
    without_guess = landmarks()
    without_guess[..., 3:6] = 0.0
    assert (LandmarkNoise(guess_sigma=0.1)(without_guess)[..., 3:6] == 0).all()


def test_the_same_seed_gives_the_same_noise() -> None:
    noise, results = LandmarkNoise(0.1, 0.1, 0.1, 0.01, 0.01, 0.01), []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(noise(landmarks()))
    assert results[0].equal(results[1])


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"LANDMARK_DROPOUT": 1.2}, r"LANDMARK_DROPOUT must be in \[0, 1\]"),
        ({"LANDMARK_NOISE": {"SIGMA": -1}}, "SIGMA must not be negative"),
        ({"LANDMARK_NOISE": {"SIGMAS": 1}}, "SIGMAS is not known"),
    ],
)
def test_what_makes_no_sense_is_refused(train: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LandmarkNoise.from_cfg(train)


def test_read_from_a_configuration() -> None:
    noise = LandmarkNoise.from_cfg({"LANDMARK_DROPOUT": 0.2, "LANDMARK_NOISE": {"SIGMA": 0.01}})
    assert noise == LandmarkNoise(dropout=0.2, sigma=0.01)
    assert LandmarkNoise.from_cfg({}).is_none


def test_errors_are_mended_by_a_share_of_each_hand() -> None:
    torch.manual_seed(0)
    before = landmarks()
    truth_2d, truth_3d = torch.zeros(2000, 21, 3), torch.zeros(2000, 21, 4)
    truth_2d[..., 2], truth_3d[..., 3] = 1.0, 1.0
    truth_3d[..., :3] = 0.7  # where the hand is does not count: the guess is from its wrist, as is (0, 0, 0) here
    truth_2d[:, 9, 2] = 0.0  # not known
    before[1, :, 3:6] = 0.0  # no guess
    after = LandmarkNoise(mend=0.6)(before, truth_2d, truth_3d)
    left = after[2:, 1:, :2] / before[2:, 1:, :2]
    assert left[:, 8].eq(1).all()
    shares = 1 - torch.cat([left[:, :8], left[:, 9:]], 1)
    assert (shares - shares[:, :1, :1]).abs().max() < 1e-4  # float32 ratios: one share for all joints of a hand
    assert shares.min() >= -1e-6
    assert 0.59 < shares.max() < 0.6 + 1e-6
    assert abs(shares.mean() - 0.3) < 0.015  # 2000 hands, uniform: 0.004
    torch.testing.assert_close(after[2:, 1:, 3:6], before[2:, 1:, 3:6] * (1 - shares[:, :1, :1]))
    assert after[..., [2, 6]].equal(before[..., [2, 6]])
    assert (after[1, :, 3:6] == 0).all()
    assert (after[0, 5] == 0).all()


def test_nothing_is_mended_without_truth() -> None:
    assert LandmarkNoise(mend=1.0)(landmarks()).equal(landmarks())
    with pytest.raises(ValueError, match=r"LANDMARK_NOISE\.MEND must be in \[0, 1\]"):
        LandmarkNoise(mend=1.5)
