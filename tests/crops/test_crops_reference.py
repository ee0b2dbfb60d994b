"""The reference's own mathematics: region against whole picture, mirroring, borders, ways back, bad input."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from hamer.crops import CropBatch, blur, crop_windows, denormalise, hand_crops, normalise
from hamer.crops.affine import axis_positions, patch_transform
from hamer.crops.patches import warp_patch
from hamer.crops.reference import crop_patch


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """White noise: the picture in which every error of position shows most."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def whole_picture_crop(rgb: np.ndarray, center: np.ndarray, size: float, mirrored: bool) -> np.ndarray:
    """The original's way: blur and mirror everything in float64, then warp."""
    sigma = blur.crop_sigma(size)
    image = rgb
    if sigma > 0:
        kernel = blur.gaussian_kernel(sigma)
        image = cv2.sepFilter2D(rgb.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    x = rgb.shape[1] - center[0] - 1 if mirrored else center[0]
    image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
    matrix = patch_transform(x, center[1], size, size, 256, 256)
    return cv2.warpAffine(image, matrix, (256, 256), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("center", "size"),
    [
        ((200.3, 150.7), 120.0),  # inside, enlarged
        ((5.5, 8.25), 90.0),  # over the top left corner
        ((390.0, 296.0), 300.0),  # over the bottom right corner
        ((200.0, 150.0), 563.0),  # the largest crop without a blur, wider than the picture
        ((200.0, 150.0), 564.0),  # the smallest with one
        ((60.0, 280.0), 900.0),  # blurred, mostly outside
        ((450.0, 150.0), 700.0),  # blurred, centre outside
    ],
)
def test_region_gives_the_whole_pictures_numbers(center: tuple[float, float], size: float, mirrored: bool) -> None:
    rgb = noise(300, 400)
    expected = whole_picture_crop(rgb, np.float32(center), size, mirrored)
    patch = crop_patch(rgb, np.float32(center), size, mirrored=mirrored)
    if blur.crop_sigma(size) == 0:
        np.testing.assert_array_equal(patch, expected)
    else:  # float32 instead of float64: 2^-24 of 255 a rounding, some tens of them
        np.testing.assert_allclose(patch, expected, atol=1e-3)


def test_sigma_starts_where_the_originals_does() -> None:
    assert blur.crop_sigma(563.0) == 0
    assert blur.crop_sigma(1024.0) == pytest.approx(0.5)
    assert blur.gaussian_kernel(1.3).sum() == pytest.approx(1)
    assert len(blur.gaussian_kernel(1.3)) == 2 * int(4 * 1.3 + 0.5) + 1


def test_axis_positions_are_opencvs() -> None:
    ramp_x = np.tile(np.arange(900.0), (700, 1))
    ramp_y = np.tile(np.arange(700.0)[:, None], (1, 900))
    rng = np.random.default_rng(3)
    for _ in range(20):
        size = rng.uniform(20, 400)
        matrix = patch_transform(rng.uniform(250, 650), rng.uniform(250, 450), size, size, 256, 256)
        columns, rows = axis_positions(matrix, 256)
        read_x, read_y = (32 * cv2.warpAffine(ramp, matrix, (256, 256)) for ramp in (ramp_x, ramp_y))
        np.testing.assert_array_equal(read_x, np.tile(columns, (256, 1)))
        np.testing.assert_array_equal(read_y, np.tile(rows[:, None], (1, 256)))


def test_left_hand_is_the_mirrored_pictures_right_hand() -> None:
    rgb = noise(240, 320)
    box = np.array([[100.0, 80.0, 180.0, 200.0]])
    mirrored_box = np.array([[320 - 1 - 180.0, 80.0, 320 - 1 - 100.0, 200.0]])
    left = hand_crops(rgb, box, [0])
    right = hand_crops(np.ascontiguousarray(rgb[:, ::-1]), mirrored_box, [1])
    np.testing.assert_array_equal(left.img, right.img)
    np.testing.assert_array_equal(left.box_center, [[140.0, 140.0]])


def test_outside_is_black() -> None:
    rgb = np.full((100, 100, 3), 200, np.uint8)
    away = hand_crops(rgb, [[500, 500, 540, 560], [-4000, 20, -2000, 90]], [1, 0])  # the second one is a blurred crop
    black = normalise(np.zeros((256, 256, 3), np.uint8))
    np.testing.assert_array_equal(away.img[0], black)
    np.testing.assert_array_equal(away.img[1], black)
    corner = denormalise(hand_crops(rgb, [[-20, -20, 20, 20]], [1]).img)[0]
    assert corner[:120, :120].max() == 0
    assert (corner[136:, 136:] == 200).all()


def test_tiny_and_long_pictures() -> None:
    one_pixel = hand_crops(np.full((1, 1, 3), 90, np.uint8), [[0, 0, 1, 1]], [1])
    assert denormalise(one_pixel.img).max() == 90
    long = np.full((2, 40000, 3), 90, np.uint8)  # longer than OpenCV's warp takes; the crop's part is short
    crops = hand_crops(long, [[39000, 0, 39010, 2]], [0])
    assert denormalise(crops.img)[0, 128].max() == 90


def test_region_beyond_opencvs_warp_is_refused() -> None:
    with pytest.raises(ValueError, match="32766 px"):
        hand_crops(np.zeros((1, 40000, 3), np.uint8), [[0, 0, 39999, 1]], [1])


def test_no_hands() -> None:
    crops = hand_crops(noise(50, 60), np.zeros((0, 4)), np.zeros(0))
    assert crops.img.shape == (0, 3, 256, 256)
    assert len(crops) == 0
    assert crops.to_batch()["img_size"].shape == (0, 2)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0, 7, 0, 7]], r"boxes\[0\] must have x1 > x0.*points"),
        ([[0, 0, 5, 5], [9, 9, 3, 3]], r"boxes\[1\] must have x1 > x0"),
        ([[0, 0, np.nan, 10]], r"boxes\[0\] must be four finite"),
        ([[0, 0, np.inf, 10]], r"boxes\[0\] must be four finite"),
        ([[0, 0, 10]], r"shape \(N, 4\)"),
        ([0, 0, 10, 10], r"shape \(N, 4\)"),
        ([[0, 0, 1e-3, 1e-3]], "at least 0.1 px"),
        ([[0, 0, 1e8, 1e8]], "reaches beyond"),
    ],
)
def test_bad_boxes(boxes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hand_crops(noise(20, 20), boxes, np.ones(len(boxes)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20), np.uint8), "grey"),
        (np.zeros((20, 20, 4), np.uint8), "alpha"),
        (np.zeros((20, 20, 3), np.float32), "uint8"),
        (np.zeros((0, 20, 3), np.uint8), "must have pixels"),
        ("picture.jpg", "NumPy array"),
    ],
)
def test_bad_pictures(image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hand_crops(image, [[0, 0, 10, 10]], [1])  # type: ignore[arg-type]


def test_bad_arguments() -> None:
    box = [[0, 0, 10, 10]]
    with pytest.raises(ValueError, match="is_right must have shape"):
        hand_crops(noise(20, 20), box, [1, 0])
    with pytest.raises(ValueError, match="is_right must hold"):
        hand_crops(noise(20, 20), box, [2])
    with pytest.raises(ValueError, match="rescale_factor"):
        hand_crops(noise(20, 20), box, [1], rescale_factor=0)
    with pytest.raises(ValueError, match="size must be"):
        hand_crops(noise(20, 20), box, [1], size=0)


def test_windows_keep_the_aspect_ratio() -> None:
    _, size = crop_windows([[0, 0, 30, 40], [0, 0, 60, 40], [0, 0, 10, 90]], rescale_factor=2.0)
    np.testing.assert_allclose(size, [80, 160, 180])  # max(h, 4 w / 3)
    _, size = crop_windows([[0, 0, 60, 40]], rescale_factor=1.0, bbox_shape=None)
    np.testing.assert_allclose(size, [60])


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_points_go_to_the_picture_and_back(kind: str) -> None:
    crops = hand_crops(noise(240, 320), [[10, 20, 90, 100], [150, 30, 300, 200]], [1, 0])
    points = np.random.default_rng(0).uniform(0, 256, (2, 21, 2)).astype(np.float32)
    if kind == "torch":
        batch = crops.to_batch()
        crops = CropBatch(**batch, picture_index=torch.zeros(2, dtype=torch.int64))
        there = crops.to_picture(torch.from_numpy(points))
        assert isinstance(there, torch.Tensor)
    else:
        there = crops.to_picture(points)
    np.testing.assert_allclose(np.asarray(crops.to_crop(there)), points, atol=1e-3)  # float32 of numbers up to 320


@pytest.mark.parametrize("right", [1, 0])
def test_a_marked_pixel_is_found_again(right: int) -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)
    rgb[81, 123] = 255
    crops = hand_crops(rgb, [[100, 60, 140, 110]], [right])
    level = denormalise(crops.img)[0, :, :, 0].astype(float)
    rows, columns = np.nonzero(level)
    at = np.array([[np.average(columns, weights=level[rows, columns]), np.average(rows, weights=level[rows, columns])]])
    # Positions are rounded to 1/32 px; the centroid of an enlarged pixel is off by less than that
    np.testing.assert_allclose(crops.to_picture(at[None])[0, 0], [123, 81], atol=0.05)
    np.testing.assert_allclose(crops.to_crop(np.array([[[123.0, 81.0]]]))[0, 0], at[0], atol=0.2)


def test_hands_of_a_picture_are_numbered() -> None:
    crops = hand_crops(noise(80, 90), [[10, 10, 40, 40], [20, 20, 60, 70], [5, 5, 30, 20]], [1, 0, 1])
    np.testing.assert_array_equal(crops.personid, [0, 1, 2])


def test_to_batch_has_the_originals_keys_and_types() -> None:
    batch = hand_crops(noise(80, 90), [[10, 10, 40, 40]], [0]).to_batch()
    assert {name: tensor.dtype for name, tensor in batch.items()} == {
        "img": torch.float32,
        "personid": torch.int64,
        "box_center": torch.float32,
        "box_size": torch.float32,
        "img_size": torch.float64,
        "right": torch.float32,
    }


def test_normalisation_there_and_back() -> None:
    rgb = noise(16, 16)
    np.testing.assert_array_equal(denormalise(normalise(rgb)), rgb)


def test_other_borders_use_the_whole_picture() -> None:
    rgb = noise(60, 80)
    matrix = patch_transform(5.0, 5.0, 40.0, 40.0, 64, 64, rotation=20.0)
    patch = warp_patch(rgb, matrix, (64, 64), border_mode=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(patch, cv2.warpAffine(rgb, matrix, (64, 64), borderMode=cv2.BORDER_REPLICATE))


@pytest.mark.parametrize("rotation", [0.0, 33.0, -120.0])
def test_turned_patches_are_cut_from_the_region_alike(rotation: float) -> None:
    rgb = noise(300, 400, seed=5)
    matrix = patch_transform(210.2, 140.9, 130.0, 130.0, 256, 256, 1.1, rotation)
    patch = warp_patch(rgb, matrix, (256, 256), mirrored=True)
    np.testing.assert_array_equal(patch, cv2.warpAffine(np.ascontiguousarray(rgb[:, ::-1]), matrix, (256, 256)))
