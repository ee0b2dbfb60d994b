"""The reference against what the original gave."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer.crops import IMAGE_STD, crop_pictures, hand_crops

CASES = range(11)
GREY = 255 * np.asarray(IMAGE_STD)[:, None, None]  # normalised units to grey levels


@pytest.fixture(scope="module")
def original(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "hamer" / "preprocess.npz"))


def picture(photos: Path, name: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(photos / name)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("case", CASES)
def test_against_the_original(case: int, original: dict[str, np.ndarray], photos: Path) -> None:
    rgb = picture(photos, str(original["photo"][case]))
    crops = hand_crops(
        rgb,
        original["box"][case : case + 1],
        original["right_in"][case : case + 1],
        rescale_factor=float(original["rescale_factor"][case]),
    )
    np.testing.assert_allclose(crops.box_center[0], original["box_center"][case], atol=1e-4)
    np.testing.assert_allclose(crops.box_size[0], original["box_size"][case], atol=1e-4)
    np.testing.assert_array_equal(crops.img_size[0], original["img_size"][case])
    np.testing.assert_array_equal(crops.right[0], original["right"][case])
    difference = np.abs(crops.img[0] - original["img"][case])
    if original["img_exact"][case]:
        # Made with OpenCV 5, which does not round warp positions to 1/32 px: single pixels of enlarged crops differ.
        assert (difference * GREY).max() <= 8
        assert (difference * GREY).mean() <= 0.3
    else:
        # Stored as float16, whose steps are up to 2e-3 here: half of one. The blurred picture is smooth, so that the
        # positions' rounding does not show.
        assert difference.max() <= 1e-3


@pytest.mark.parametrize("row", range(4))
def test_against_the_original_with_opencv_4(
    row: int, original: dict[str, np.ndarray], golden: Path, photos: Path
) -> None:
    stored = np.load(golden / "hamer" / "preprocess_opencv4.npz")
    case = int(stored["index"][row])
    rgb = picture(photos, str(original["photo"][case]))
    crops = hand_crops(rgb, original["box"][case : case + 1], original["right_in"][case : case + 1])
    # The same OpenCV: only the order of float operations in the normalisation differs. The tolerance is the golden set's.
    assert np.abs(crops.img[0] - stored["img"][row]).max() <= 1e-3


def test_all_pictures_at_once(original: dict[str, np.ndarray], photos: Path) -> None:
    names = list(dict.fromkeys(original["photo"].tolist()))
    index = [names.index(name) for name in original["photo"].tolist()]
    pictures = [picture(photos, name) for name in names]
    crops = crop_pictures(pictures, index, original["box"], original["right_in"])
    np.testing.assert_array_equal(crops.personid, original["personid"])
    alone = hand_crops(pictures[0], original["box"][:3], original["right_in"][:3])
    np.testing.assert_array_equal(crops.img[:3], alone.img)
