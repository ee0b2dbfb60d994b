"""The torch drawing against the Numba one: two independent programs for the same picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.drawing.lights import Lights, draw_lights
from hamer.datasets.synthetic.drawing.numba_drawing import draw
from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.drawing.torch_drawing import draw_batch

WIDTH, HEIGHT = 88, 72
CAMERA = np.array([[130.0, 0.0, 45.0], [0.0, 125.0, 34.0], [0.0, 0.0, 1.0]])
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def hand_scene(seed: int) -> list[Surface]:
    """A turned open hand with a random texture, and for odd seeds a board behind it with another one."""
    rng = np.random.default_rng(seed)
    arrays = load_open_hand()
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn[:, 0] *= np.linalg.det(turn)
    vertices = (arrays.v_template - arrays.v_template.mean(axis=0)) @ turn.T + (0.0, 0.0, 0.35)
    assert arrays.uv is not None
    assert arrays.uv_faces is not None
    hand = Surface(
        vertices, arrays.faces, arrays.uv, arrays.uv_faces, rng.integers(60, 256, (64, 64, 3), dtype=np.uint8),
        rng.normal(0, 1e-4, (64, 64)), 0.35, 1 + arrays.lbs_weights[arrays.faces].sum(axis=1).argmax(axis=1),
    )  # fmt: skip
    corners = np.array([(-0.3, -0.3, 0.4), (0.3, -0.3, 0.45), (0.3, 0.3, 0.5), (-0.3, 0.3, 0.45)])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    board = Surface(corners, faces, uv, faces, rng.integers(0, 256, (30, 30, 3), dtype=np.uint8), None, 0.8, [0, 18])
    return [hand, board] if seed % 2 else [hand]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("supersample", [1, 2])
def test_batches_are_the_numba_pictures(device: str, supersample: int) -> None:
    scenes = [hand_scene(seed) for seed in range(4)] + [[]]
    lights = [draw_lights(np.random.default_rng([2, index])) for index in range(5)]
    batch = draw_batch(scenes, lights, np.stack([CAMERA] * 5), WIDTH, HEIGHT, supersample, device=device)
    assert batch.color.device.type == device
    for number in range(5):
        expected = draw(scenes[number], lights[number], CAMERA, WIDTH, HEIGHT, supersample)
        drawn = batch.picture(number)
        same = (drawn.label == expected.label) & (drawn.alpha == expected.alpha)
        assert same.mean() > 0.998  # float32 may move an edge over a sample: a few of 1,000 pixels on outlines
        np.testing.assert_allclose(drawn.depth[same], expected.depth[same], atol=1e-5)
        np.testing.assert_array_equal(np.isnan(drawn.uv[same]), np.isnan(expected.uv[same]))
        np.testing.assert_allclose(drawn.uv[same], expected.uv[same], atol=1e-4)
        # Rounding, once in a while over a threshold: a tap of the occlusion or a texel of a shadow falls to the other side.
        difference = np.abs(drawn.color - expected.color)[same]
        assert np.percentile(difference, 99) < 1e-4
        assert difference.max() < 0.1


def test_runs_give_the_same_bits() -> None:
    scenes, lights = [hand_scene(1), hand_scene(2)], [draw_lights(np.random.default_rng(index)) for index in range(2)]
    first, second = (draw_batch(scenes, lights, np.stack([CAMERA] * 2), WIDTH, HEIGHT) for _ in range(2))
    assert torch.equal(first.color, second.color)
    alone = draw_batch(scenes[1:], lights[1:], CAMERA[None], WIDTH, HEIGHT)
    # Another batch, other groups of additions: rounding only.
    torch.testing.assert_close(alone.color[0], first.color[1], atol=1e-5, rtol=1e-5)


def test_lights_with_and_without_shadows_share_a_batch() -> None:
    def light(count: int, casts: list[bool]) -> Lights:
        rng = np.random.default_rng(count)
        return Lights(
            sky=np.full(3, 0.2), ground=np.full(3, 0.1), up=np.array([0.0, -1.0, 0.1]),
            directions=rng.normal(size=(count, 3)) - (0, 0, 1.5), colors=rng.uniform(0.2, 1, (count, 3)),
            casts=np.array(casts), softness=np.full(count, 0.002),
        )  # fmt: skip

    lights = [light(1, [False]), light(3, [True, False, True])]
    scenes = [hand_scene(3), hand_scene(5)]
    batch = draw_batch(scenes, lights, np.stack([CAMERA] * 2), WIDTH, HEIGHT)
    for number in range(2):
        expected = draw(scenes[number], lights[number], CAMERA, WIDTH, HEIGHT)
        assert np.percentile(np.abs(batch.picture(number).color - expected.color), 99) < 1e-4


def test_nothing_and_refusals() -> None:
    lights = draw_lights(np.random.default_rng(0))
    nothing = draw_batch([[]], [lights], CAMERA[None], WIDTH, HEIGHT)
    assert nothing.alpha.sum() == 0
    assert nothing.uv.isnan().all()
    assert draw_batch([], [], np.zeros((0, 3, 3)), WIDTH, HEIGHT).color.shape == (0, HEIGHT, WIDTH, 3)
    with pytest.raises(ValueError, match="equal lengths"):
        draw_batch([[]], [lights, lights], CAMERA[None], WIDTH, HEIGHT)
