from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from hamer.crops.augmentation import Augmentation
from hamer.crops.coarse import MOST_NOISE, Coarseness

CONFIG = SimpleNamespace(COARSE_RATE=0.4, COARSE_SIDES=[14, 90])


def draws(count: int, config: SimpleNamespace = CONFIG) -> list[Coarseness | None]:
    rng = random.Random(1)
    return [Coarseness.sample(config, rng) for _ in range(count)]


def test_the_rate_and_the_sides_are_those_of_the_configuration() -> None:
    drawn = draws(4000)
    some = [coarse for coarse in drawn if coarse is not None]
    assert len(some) / len(drawn) == pytest.approx(0.4, abs=0.03)
    sides = np.array([coarse.side for coarse in some])
    assert sides.min() >= 14
    assert sides.max() <= 90
    middle = np.sqrt(14 * 90)  # as many below as above the middle octave
    assert (sides < middle).mean() == pytest.approx(0.5, abs=0.05)
    assert max(coarse.noise for coarse in some) <= MOST_NOISE
    assert {coarse.quality is None for coarse in some} == {True, False}


def test_a_configuration_without_it_draws_nothing() -> None:
    for config in (SimpleNamespace(), SimpleNamespace(COARSE_RATE=0.0)):
        rng = random.Random(3)
        assert Coarseness.sample(config, rng) is None
        assert rng.random() == random.Random(3).random()


@pytest.mark.parametrize("sides", [None, 16, [16], [1, 20], [40, 20], ["a", "b"], [16, float("nan")]])
def test_sides_that_are_none_are_refused(sides: object) -> None:
    with pytest.raises(ValueError, match="COARSE_SIDES must be the least and the most px"):
        Coarseness.sample(SimpleNamespace(COARSE_RATE=1.0, COARSE_SIDES=sides), random.Random(0))


def test_nothing_moves() -> None:
    """A blob stays where it is: its labels are still true."""
    y, x = np.mgrid[0:128, 0:128]
    for cx, cy in ((40.0, 71.0), (90.5, 33.25)):
        blob = (200 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 9.0**2)))[..., None]
        patch = np.repeat(blob, 4, -1).astype(np.uint8)
        coarse = Coarseness(side=24, noise=0.0, quality=None, seed=0)(patch)[..., 0].astype(float)
        centre = np.array([(coarse * x).sum(), (coarse * y).sum()]) / coarse.sum()
        np.testing.assert_allclose(centre, (cx, cy), atol=0.1)


def test_it_holds_no_more_than_its_pixels_and_leaves_the_mask() -> None:
    rng = np.random.default_rng(0)
    patch = rng.integers(0, 256, (128, 128, 4)).astype(np.uint8)
    coarse = Coarseness(side=16, noise=0.0, quality=None, seed=0)(patch)
    assert coarse.shape == patch.shape
    assert coarse.dtype == patch.dtype
    np.testing.assert_array_equal(coarse[..., 3], patch[..., 3])
    spectrum = np.abs(np.fft.fft2(coarse[..., 0] - coarse[..., 0].mean()))
    assert spectrum[16:-16, 16:-16].max() < 0.05 * spectrum.max()  # beyond what 16 px a side can hold


def test_the_same_draw_gives_the_same_crop_and_noise_is_what_it_says() -> None:
    grey = np.full((128, 128, 4), 128, np.uint8)
    one = Coarseness(side=100, noise=8.0, quality=None, seed=5)
    np.testing.assert_array_equal(one(grey), one(grey))
    assert not np.array_equal(one(grey), Coarseness(side=100, noise=8.0, quality=None, seed=6)(grey))
    assert 3.0 < one(grey)[..., :3].astype(float).std() < 8.0  # enlarged: neighbours share it
    blocks = Coarseness(side=100, noise=8.0, quality=40, seed=5)(grey)
    assert blocks[..., :3].astype(float).std() < one(grey)[..., :3].astype(float).std()


def test_a_crop_that_holds_fewer_pixels_stays_as_it_is() -> None:
    patch = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    assert Coarseness(side=64, noise=9.0, quality=50, seed=0)(patch) is patch


def test_boxes_of_small_hands_are_off_by_as_much_as_the_configuration_says() -> None:
    config = SimpleNamespace(**vars(CONFIG), COARSE_SHIFT=0.08)
    shifts = np.array([coarse.shift for coarse in draws(4000, config) if coarse is not None])
    assert np.abs(shifts).max() <= 0.16
    np.testing.assert_allclose(shifts.std(0), 0.08 * 0.96, atol=0.004)  # a normal number within two of its deviations
    np.testing.assert_allclose(shifts.mean(0), 0, atol=0.008)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1


def test_without_a_shift_nothing_more_is_drawn_and_no_box_is_off() -> None:
    drawn = [coarse for coarse in draws(50) if coarse is not None]
    assert {coarse.shift for coarse in drawn} == {(0.0, 0.0)}
    assert draws(50, SimpleNamespace(**vars(CONFIG), COARSE_SHIFT=0.0)) == draws(50)


def test_a_shift_is_added_to_that_of_the_augmentation() -> None:
    change = Augmentation(scale=1.1, rotation=20.0, shift_x=0.01, shift_y=-0.02)
    moved = Coarseness(side=20, noise=0.0, quality=None, seed=0, shift=(0.1, 0.05)).moved(change)
    assert (moved.shift_x, moved.shift_y) == pytest.approx((0.11, 0.03))
    assert (moved.scale, moved.rotation) == (1.1, 20.0)


@pytest.mark.parametrize("shift", [-0.1, float("nan"), float("inf")])
def test_a_shift_that_is_none_is_refused(shift: float) -> None:
    with pytest.raises(ValueError, match="COARSE_SHIFT must be 0 or more"):
        Coarseness.sample(SimpleNamespace(COARSE_RATE=1.0, COARSE_SIDES=[14, 90], COARSE_SHIFT=shift), random.Random(0))
