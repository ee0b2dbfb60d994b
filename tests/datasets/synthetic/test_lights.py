"""Drawn light: valid, varied, the same for the same generator; refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.datasets.synthetic.drawing.lights import Lights, draw_lights, warmth


def test_lights_are_valid_varied_and_reproducible() -> None:
    drawn = [draw_lights(np.random.default_rng([3, index])) for index in range(300)]
    assert {lights.environment for lights in drawn} == {"room", "sun", "overcast", "lamp", "flash", "dim", "colored"}
    assert {len(lights.directions) for lights in drawn} == {1, 2, 3}
    for lights in drawn:
        np.testing.assert_allclose(np.linalg.norm(lights.directions, axis=1), 1, atol=1e-6)  # float32
        assert np.linalg.norm(lights.up) == pytest.approx(1, abs=1e-6)
        assert lights.casts.sum() == 1
        for strength in (lights.sky, lights.ground, lights.colors):
            assert (strength >= 0).all()
            assert (strength < 6).all()
    again = draw_lights(np.random.default_rng([3, 7]))
    np.testing.assert_array_equal(again.colors, drawn[7].colors)
    assert again.environment == drawn[7].environment


def test_pictures_are_neither_black_nor_white_on_the_whole() -> None:
    """The light that a grey ball's middle gets: mostly within a photograph's range, which effects expose from there."""
    levels = []
    for index in range(300):
        lights = draw_lights(np.random.default_rng([5, index]))
        cosine = np.maximum(-lights.directions[:, 2], 0)  # a surface that faces the camera
        ambient = (lights.sky + lights.ground) / 2 - (lights.sky - lights.ground) / 2 * lights.up[2]
        levels.append(float((ambient + cosine @ lights.colors).mean()))
    low, middle, high = np.percentile(levels, [5, 50, 95])
    assert low > 0.08
    assert 0.5 < middle < 1.1
    assert high < 2.2


def test_warmth_goes_from_red_to_blue() -> None:
    scale = np.stack([warmth(value) for value in np.linspace(-1, 1, 9)])
    assert (np.diff(scale[:, 0]) < 0).all()
    assert (np.diff(scale[:, 2]) > 0).all()
    np.testing.assert_array_equal(warmth(0.0), np.ones(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": np.zeros((0, 3)), "colors": np.zeros((0, 3))}, "1 to 3"),
        ({"directions": np.zeros((1, 3))}, "zero vectors"),
        ({"sky": np.zeros(2)}, "sky"),
        ({"colors": np.full((1, 3), np.nan)}, "colors"),
        ({"casts": np.array([True, False])}, "casts"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    fields = {
        "sky": np.ones(3), "ground": np.ones(3), "up": np.array([0.0, -1.0, 0.0]),
        "directions": np.array([[0.0, 0.0, -1.0]]), "colors": np.ones((1, 3)), "casts": np.array([True]),
        "softness": np.zeros(1),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        Lights(**{**fields, **change})
