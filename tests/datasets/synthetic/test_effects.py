"""A camera's effects keep size and place, start from nothing, and repeat."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.datasets.synthetic.camera import effects
from hamer.datasets.synthetic.camera.blurs import defocus, halved, motion_kernel, moved, resampled
from hamer.datasets.synthetic.camera.effects import photograph

SIDE = 128
Generator = np.random.Generator


def dot(x: float, y: float, width: int = SIDE, height: int = SIDE, sigma: float = 0.6) -> np.ndarray:
    """A bright spot at (x, y), the first pixel's centre at 0, before black: (height, width, 3) light."""
    columns, rows = np.arange(width) - x, np.arange(height)[:, None] - y
    spot = np.exp(-(columns**2 + rows**2) / (2 * sigma**2)).astype(np.float32)
    return np.repeat(spot[..., None], 3, axis=2)


def centroid(picture: np.ndarray) -> np.ndarray:
    """(x, y) of the picture's first moment in its first channel."""
    weights = picture[..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape)
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def encoded(linear: np.ndarray) -> np.ndarray:
    """The sRGB curve of IEC 61966-2-1, in grey levels."""
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0, None) ** (1 / 2.4) - 0.055)


FILTERS = {
    "small defocus": lambda light, _: defocus(light, 1.3),
    "large defocus": lambda light, _: defocus(light, 6.4),
    "short motion": lambda light, rng: moved(light, 5.0, rng.uniform(0, np.pi)),
    "long motion": lambda light, rng: moved(light, 25.0, rng.uniform(0, np.pi)),
    "resampled": lambda light, rng: resampled(light, rng.uniform(0.35, 0.95)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_keep_a_dot_in_its_place(name: str) -> None:
    # The truth of a picture is written before the effects. 0.1 px is far below what people annotate, and below the shift
    # that a filter off its centre, or a reduction without smoothing, would make (a quarter of a pixel and more).
    rng = np.random.default_rng(3)
    for _ in range(12):
        place = rng.uniform(50, 78, 2)
        after = FILTERS[name](dot(*place), rng)
        assert after.shape == (SIDE, SIDE, 3)
        np.testing.assert_allclose(centroid(after), place, atol=0.1)
        # Light is spread, not made; grids that beat against each other weigh single pixels up to a tenth more each way.
        assert after.sum() == pytest.approx(dot(*place).sum(), rel=0.25)


def test_the_dot_test_can_fail() -> None:
    shifted = np.roll(dot(60.0, 60.0), 1, axis=1)
    assert np.abs(centroid(shifted) - 60).max() > 0.9
    coarse = dot(60.3, 60.0)[::2, ::2].repeat(2, 0).repeat(2, 1)  # reduction without smoothing
    assert np.abs(centroid(coarse) - (60.3, 60.0)).max() > 0.1


def test_whole_photographs_keep_a_dot_in_its_place() -> None:
    # Noise, shading and eight bits add scatter about the place, but no direction: the mean over many pictures stays.
    rng = np.random.default_rng(5)
    errors = []
    for seed in range(150):
        place = rng.uniform(56, 72, 2)
        picture = photograph(dot(place[0], place[1], sigma=4.0) + 0.01, np.random.default_rng([8, seed])).astype(
            np.float64
        )
        level = picture.mean(axis=2, keepdims=True)
        bright = np.clip(level - 0.5 * (level.max() + np.median(level)), 0, None)
        errors.append(centroid(bright) - place)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1
    assert np.median(np.abs(errors)) < 0.1


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_motion_kernels_are_balanced(angle: float) -> None:
    for length in (0.0, 0.4, 3.0, 9.7):
        kernel = motion_kernel(length, angle)
        assert kernel.sum() == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)  # float32: its last digit


def test_halving_keeps_moments() -> None:
    half = halved(dot(63.0, 40.0))
    assert half.shape == (64, 64, 3)
    np.testing.assert_allclose(2 * centroid(half) + 0.5, (63.0, 40.0), atol=0.01)  # exact but for the spot's far tails


def test_level_zero_is_the_plain_picture() -> None:
    light = np.random.default_rng(0).uniform(0, 1, (40, 30, 3)).astype(np.float32)
    picture = photograph(light, np.random.default_rng(1), level=0)
    # One grey level: the curve is a table of 4096 entries, read at the nearest.
    assert np.abs(picture - np.clip(np.rint(encoded(light)), 0, 255)).max() <= 1
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, photograph(light, np.random.default_rng(2), level=0))
    assert (photograph(light + 1, np.random.default_rng(1), level=0) == 255).all()


@pytest.mark.parametrize(("width", "height"), [(256, 256), (97, 61), (512, 384), (33, 700)])
def test_size_and_repetition(width: int, height: int) -> None:
    light = np.random.default_rng(0).uniform(0, 2, (height, width, 3)).astype(np.float32)
    before = light.copy()
    for seed in range(12):
        first = photograph(light, np.random.default_rng([seed]))
        assert first.shape == (height, width, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, photograph(light, np.random.default_rng([seed])))
    np.testing.assert_array_equal(light, before)


def test_effects_grow_with_the_level() -> None:
    light = 0.3 + 0.25 * np.random.default_rng(0).standard_normal((64, 64, 3)).clip(-1, 1).astype(np.float32)
    clean = photograph(light, np.random.default_rng(0), level=0).astype(int)

    def change(level: float) -> float:
        return float(
            np.mean([np.abs(photograph(light, np.random.default_rng(s), level) - clean).mean() for s in range(60)])
        )

    weak, middle, full = change(0.05), change(0.4), change(1.0)
    assert weak < middle < full
    assert weak < 4  # grey levels: hardly seen
    assert full > 15  # exposure alone is half a stop off, some 20 levels in the middle


def test_all_kinds_of_photographs_come() -> None:
    light = np.random.default_rng(0).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    light[:, :, 0] *= 2
    pictures = [photograph(light, np.random.default_rng([4, s])).astype(float) for s in range(200)]
    spread = [np.ptp(p, axis=2).mean() for p in pictures]
    assert 2 <= sum(s < 6 for s in spread) <= 60  # grey ones: one in sixteen, JPEG leaves them a little colour
    brightness = [p.mean() for p in pictures]
    assert min(brightness) < 90
    assert max(brightness) > 170


def test_blur_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: dict[str, list[float]] = {"defocus": [], "moved": []}
    for name, sizes in reached.items():
        # The size is the second argument of both; the light goes on as it came.
        monkeypatch.setattr(effects, name, lambda light, size, *_, sizes=sizes: sizes.append(size) or light)
    light = np.full((24, 40, 3), 0.3, np.float32)
    for seed in range(400):
        photograph(light, np.random.default_rng([9, seed]))
    # 0.03 of the longer side either way: a finger in a picture of a hand is three times as wide.
    assert 0.015 * 40 < max(reached["defocus"]) <= 0.03 * 40
    assert 0.015 * 40 < max(reached["moved"]) / 2 <= 0.03 * 40


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.float32)]
)
def test_wrong_pictures_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="linear must be"):
        photograph(wrong, np.random.default_rng(0))


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level must be in 0..1, got 1.5"):
        photograph(np.zeros((4, 4, 3), np.float32), np.random.default_rng(0), level=1.5)
