"""The backend `vitpose`: batches, options, release, precision, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer import detectors
from hamer.detectors.vitpose import ViTPose
from hamer.errors import AssetError
from hamer.models.config import ViTConfig

_BOXES = np.array([[10.0, 5, 60, 110], [-20, 30, 40, 90], [70, 70, 71, 71]], np.float32)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth noise, 120 x 100."""
    import cv2

    rough = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    return cv2.resize(rough, (100, 120), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def make(small_file: Path, small_config: ViTConfig) -> Any:
    """Makes a backend with the small network."""
    return lambda **options: ViTPose(small_file, config=small_config, device="cpu", **options)


def test_batches_change_nothing(make: Any, picture: np.ndarray) -> None:
    images, boxes = [picture, picture[::2], picture], [_BOXES, np.zeros((0, 4)), _BOXES[:1]]
    one, all_at_once = make(batch_size=1)(images, boxes), make(batch_size=64)(images, boxes)
    assert [len(points) for points in one] == [3, 0, 1]
    for a, b in zip(one, all_at_once, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a[..., 2], b[..., 2], atol=1e-5)  # products in another order
        np.testing.assert_allclose(a, b, atol=3.0)  # at worst a near tie falls into a neighbouring cell


def test_batches_hold_at_most_so_many_persons(make: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make(batch_size=2)
    network = detector.load()
    sizes = []
    network.register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0])))
    detector([picture, picture], [_BOXES, _BOXES[:2]])
    assert sizes == [4, 4, 2]  # both halves of the flip test in one pass, persons of two pictures together


def test_without_flip_test_one_look_is_taken(make: Any, picture: np.ndarray) -> None:
    detector = make(flip_test=False)
    sizes = []
    detector.load().register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0])))
    (plain,) = detector([picture], [_BOXES])
    (mean,) = make()([picture], [_BOXES])
    assert sizes == [3]
    assert (plain[..., 2] >= mean[..., 2] - 0.3).all()
    assert not np.allclose(plain, mean)


def test_nobody(make: Any, picture: np.ndarray) -> None:
    detector = make()
    assert detector([], []) == []
    (points,) = detector([picture], [np.zeros((0, 4))])
    assert points.shape == (0, 133, 3)
    assert detector([picture], [[]])[0].shape == (0, 133, 3)


def test_a_picture_of_one_pixel_and_boxes_beyond_it(make: Any) -> None:
    pixel = np.full((1, 1, 3), 255, np.uint8)
    (points,) = make()([pixel], [[[0, 0, 0, 0], [500, 500, 600, 700]]])
    assert np.isfinite(points).all()


@pytest.mark.parametrize(
    ("images", "boxes", "message"),
    [
        ([np.zeros((4, 4, 3), np.uint8)], [], "one .* array a picture, got 0 for 1"),
        ([np.zeros((4, 4, 3), np.float32)], [[]], r"images\[0\] must be uint8"),
        ([np.zeros((4, 4), np.uint8)], [[]], r"images\[0\] must have shape"),
        (
            [np.zeros((4, 4, 3), np.uint8)] * 2,
            [[], [[0, 0, np.nan, 1]]],
            r"person_boxes\[1\]\[0\] must be finite",
        ),
    ],
)
def test_bad_input_is_named(make: Any, images: Any, boxes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(images, boxes)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"threads": 0}, {"precision": "half"}])
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must"):
        ViTPose("x.pth", **options)


def test_absent_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HAMER_DATA", "HAMER_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssetError, match=r"wholebody\.pth: not found.*hamer fetch"):
        detectors.load("vitpose").load()  # type: ignore[attr-defined]


def test_release_frees_and_the_next_call_loads_again(make: Any, picture: np.ndarray) -> None:
    import weakref

    detector = make()
    (before,) = detector([picture], [_BOXES])
    network = weakref.ref(detector.load())
    detector.release()
    assert network() is None
    (after,) = detector([picture], [_BOXES])
    np.testing.assert_array_equal(before, after)


def test_threads_are_given_back(make: Any, picture: np.ndarray) -> None:
    before = torch.get_num_threads()
    seen = []
    detector = make(threads=before + 1)
    detector.load().register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    detector([picture], [_BOXES])
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_rounds_the_blocks_alone(make: Any, picture: np.ndarray, precision: str) -> None:
    detector = make(precision=precision)
    network = detector.load()
    assert network.backbone.blocks[0].mlp.fc1.weight.dtype == getattr(torch, precision)
    assert network.keypoint_head.final_layer.weight.dtype == torch.float32
    (low,), (exact,) = detector([picture], [_BOXES]), make()([picture], [_BOXES])
    # bfloat16 has 8 bits: two blocks of it leave heights of maps, around 0.4 here, right to some 2 %
    np.testing.assert_allclose(low[..., 2], exact[..., 2], atol=0.02)


def test_float32_is_exact_on_every_device(make: Any, picture: np.ndarray) -> None:
    detector, allowed = make(), []
    detector.load().register_forward_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
    detector([picture], [_BOXES])
    assert allowed == [False]


def test_numbers_that_are_not_finite_are_told(make: Any, picture: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    """As where float16 overflows: else there are no hands, and nobody knows why."""
    detector = make()
    detector([picture], [_BOXES])
    assert not caplog.records
    detector.load().keypoint_head.final_layer.bias[3] = torch.nan
    detector([picture], [_BOXES])
    assert "3 of 3 persons have keypoints that are not finite" in caplog.text
