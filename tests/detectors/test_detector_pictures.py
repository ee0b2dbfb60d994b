"""Input of the two-stage detectors against what the original's loader made of five photos."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hamer.detectors.rcnn.pictures import (
    REGNETY_PICTURES,
    VITDET_PICTURES,
    PictureRule,
    alike,
    prepare,
    resize,
    to_photo,
)

SMALL_PICTURES = PictureRule(256, 256, VITDET_PICTURES.mean, VITDET_PICTURES.std, "RGB", square=256)
RULES = {"vitdet": VITDET_PICTURES, "regnety": REGNETY_PICTURES, "vitdet_small": SMALL_PICTURES}


def facts_of(golden: Path, detector: str) -> list[dict]:
    content = json.loads((golden / "detectors" / detector / "preprocess.json").read_text())
    return content.get("photos", [content])


@pytest.mark.parametrize("detector", RULES)
def test_photos_become_the_original_input(golden: Path, photos: Path, detector: str) -> None:
    rule = RULES[detector]
    for facts in facts_of(golden, detector):
        photo = cv2.imread(str(photos / facts["photo"]))
        assert photo is not None
        if hashlib.sha256(photo.tobytes()).hexdigest() != facts["decoded_bgr_sha256"]:
            pytest.skip("this build's JPEG decoder gives other pixels than the one that made the golden files")
        rgb = np.ascontiguousarray(photo[..., ::-1])
        levels = np.ascontiguousarray(resize(rgb, rule))
        assert hashlib.sha256(levels.tobytes()).hexdigest() == facts["resized_uint8_sha256_in_network_channel_order"]

        batch, ((h, w),) = prepare([rgb], rule)
        assert (h, w) == tuple(facts["resized_hw"])
        assert batch.shape[1:] == tuple(facts["padded_chw"])
        y, x = facts["slice_top_left_yx"]
        # the same float32 operations on the same bytes: equal but for the order of a division
        expected = np.array(facts["slice_chw_3x8x8"], np.float32)
        np.testing.assert_allclose(batch[0, :, y : y + 8, x : x + 8].numpy(), expected, rtol=0, atol=1e-6)
        inside = batch[0, :, :h, :w].double()
        # float64 sums over 10^6 values
        for ours, key in ((inside.mean((1, 2)), "mean"), (inside.std((1, 2), unbiased=False), "std")):
            np.testing.assert_allclose(ours.numpy(), facts[f"normalised_{key}_per_channel_unpadded"], atol=1e-6)
        outside = batch.clone()
        outside[..., :h, :w] = 0
        assert not outside.any()


@pytest.mark.parametrize("detector", RULES)
def test_mean_and_std_are_the_original_ones(golden: Path, detector: str) -> None:
    facts = json.loads((golden / "detectors" / detector / "preprocess.json").read_text())
    rule = RULES[detector]
    assert torch.equal(torch.tensor(rule.mean), torch.tensor(facts["mean"]))
    assert torch.equal(torch.tensor(rule.std), torch.tensor(facts["std"]))
    assert rule.channels == facts["channel_order_of_network_input"]


@pytest.mark.parametrize(("rule", "key"), [(VITDET_PICTURES, "1024_1024"), (REGNETY_PICTURES, "800_1333")])
def test_sizes_are_the_original_ones(golden: Path, rule: PictureRule, key: str) -> None:
    units = np.load(golden / "detectors" / "units.npz")
    ours = [rule.resized((int(h), int(w))) for h, w in units["resize.in_hw"]]
    np.testing.assert_array_equal(ours, units[f"resize.out_hw_{key}"])


def test_small_picture_of_the_golden_set(golden: Path, photos: Path) -> None:
    photo = cv2.imread(str(photos / "000000000785.jpg"))
    expected = np.load(golden / "detectors" / "vitdet_small" / "input.npz")
    assert any(np.array_equal(resize(photo[..., ::-1].copy(), SMALL_PICTURES), expected[key]) for key in expected.files)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7), (2000, 30)])
def test_extreme_pictures_keep_a_pixel(rule: PictureRule, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 255, np.uint8)
    batch, ((h, w),) = prepare([picture], rule)
    assert min(h, w) >= 1
    assert max(h, w) <= rule.longest
    assert batch[0, :, h - 1, w - 1].tolist() == pytest.approx(
        [(255 - m) / s for m, s in zip(rule.mean, rule.std, strict=True)], abs=1e-5
    )


def test_only_pictures_of_one_padded_size_share_a_batch() -> None:
    wide, tall, wider = (np.zeros((*size, 3), np.uint8) for size in ((60, 100), (100, 60), (61, 101)))
    assert alike([wide, tall, wider, wide], REGNETY_PICTURES, 2) == [[0, 2], [3], [1]]
    with pytest.raises(ValueError, match=r"one padded size.*alike"):
        prepare([wide, tall], REGNETY_PICTURES)
    with pytest.raises(ValueError, match="no pictures"):
        prepare([], REGNETY_PICTURES)
    batch, sizes = prepare([wide, tall], VITDET_PICTURES)  # a square holds all
    assert batch.shape == (2, 3, 1024, 1024)
    assert sizes == [(614, 1024), (1024, 614)]


def test_one_by_one_and_batched_are_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60, 100 - i, 3), np.uint8) for i in range(2)]
    batch, sizes = prepare(pictures, REGNETY_PICTURES)
    for index, picture in enumerate(pictures):
        alone, (size,) = prepare([picture], REGNETY_PICTURES)
        assert torch.equal(alone[0], batch[index])
        assert size == sizes[index]


def test_boxes_return_to_the_photo() -> None:
    boxes = torch.tensor([[0, 0, 100.0, 50.0], [10, 10, 10, 20], [-5, -5, 300, 300], [200.5, 0, 220, 10]])
    ours, kept = to_photo(boxes, (100, 200), (50, 101))
    assert kept.tolist() == [True, False, True, False]
    # factors 101 / 200 and 50 / 100
    torch.testing.assert_close(ours, torch.tensor([[0, 0, 50.5, 25], [0, 0, 101, 50.0]]))


def test_rule_refuses_a_square_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="square must hold the longest side"):
        PictureRule(256, 300, (0, 0, 0), (1, 1, 1), square=256)
