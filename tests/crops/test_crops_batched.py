"""The torch path gives the reference's numbers, on every device there is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hamer.crops import IMAGE_STD, CropBatch, batched, blur, crop_pictures, torch_crops

GREY = 255 * np.asarray(IMAGE_STD)[:, None, None]
SIZES = ((300, 400), (90, 700), (1, 1), (620, 500))
BOXES = np.array(
    [
        [100, 80, 180, 200],
        [-20, -30, 60, 50],  # over the corner
        [10, 20, 600, 80],  # blurred, outside above and below
        [0, 0, 1, 1],
        [50, 60, 450, 560],  # blurred
        [5000, 5000, 5100, 5100],  # wholly outside
        [320, 250, 420, 330],
        [-3000, 0, -2000, 600],  # blurred, wholly outside
    ],
    np.float32,
)
INDEX = [0, 0, 1, 2, 3, 3, 0, 3]
RIGHT = [1, 0, 0, 0, 1, 1, 0, 0]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


@pytest.fixture(params=["as chosen", "batched products"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both implementations on the CPU, so that what GPUs run is tested without one."""
    if request.param == "batched products":
        monkeypatch.setattr(batched, "_fill_on_cpu", batched._fill_batched)
        monkeypatch.setattr(batched, "MEMORY_BUDGET", 8 * 2**20)  # several chunks
    return request.param


def assert_equal(crops: CropBatch, reference: CropBatch) -> None:
    levels = np.abs(crops.img.cpu().numpy() - reference.img) * GREY
    # Unblurred samples are multiples of 1/1024, exact in float32, and rounded alike: only the normalisation's last bit may
    # differ. Blurred ones are sums of some tens of float32 products.
    assert levels.max() <= 1e-3
    for name in ("box_center", "box_size", "img_size", "right", "picture_index", "personid"):
        np.testing.assert_array_equal(getattr(crops, name).cpu().numpy(), getattr(reference, name))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [256, 100])
def test_equals_the_reference(pictures: list[np.ndarray], way: str, device: str, size: int) -> None:
    reference = crop_pictures(pictures, INDEX, BOXES, RIGHT, size=size)
    tensors = [torch.from_numpy(picture).to(device) for picture in pictures]
    assert_equal(torch_crops(tensors, INDEX, BOXES, RIGHT, size=size), reference)


@pytest.mark.parametrize(
    "options", [{"rescale_factor": 2.5}, {"bbox_shape": None}, {"mean": (0, 0, 0), "std": (1, 1, 1)}]
)
def test_options(pictures: list[np.ndarray], options: dict) -> None:
    reference = crop_pictures(pictures, INDEX, BOXES, RIGHT, **options)
    crops = torch_crops([torch.from_numpy(p) for p in pictures], INDEX, BOXES, RIGHT, **options)
    levels = np.abs(crops.img.numpy() - reference.img) * (255 if "std" in options else GREY)
    assert levels.max() <= 1e-3


def test_random_boxes(way: str) -> None:
    rng = np.random.default_rng(7)
    picture = rng.integers(0, 256, (480, 640, 3), np.uint8)
    corner = rng.uniform(-100, 600, (24, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(3, 500, (24, 2))], axis=1)
    right = rng.integers(0, 2, 24)
    index = np.zeros(24, int)
    assert_equal(
        torch_crops([torch.from_numpy(picture)], index, boxes, right), crop_pictures([picture], index, boxes, right)
    )


def test_views_and_tensors_are_taken(pictures: list[np.ndarray]) -> None:
    wide = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8))
    view = wide.flip(1)[10:100, 20:150]
    boxes, right = torch.tensor([[30.0, 20, 60, 70]]), torch.tensor([False])
    reference = crop_pictures([view.numpy().copy()], [0], boxes.numpy(), [0])
    assert_equal(torch_crops([view], torch.tensor([0]), boxes, right), reference)


def test_half_precision_around_it_changes_nothing(pictures: list[np.ndarray], way: str) -> None:
    tensors = [torch.from_numpy(picture) for picture in pictures]
    plain = torch_crops(tensors, INDEX, BOXES, RIGHT)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torch_crops(tensors, INDEX, BOXES, RIGHT).img, plain.img)


def test_no_hands() -> None:
    crops = torch_crops([torch.zeros(5, 5, 3, dtype=torch.uint8)], [], np.zeros((0, 4)), [])
    assert crops.img.shape == (0, 3, 256, 256)
    assert crops.to_batch()["img_size"].shape == (0, 2)
    assert torch_crops([], [], np.zeros((0, 4)), []).img.shape == (0, 3, 256, 256)


def test_bad_input() -> None:
    picture = torch.zeros(20, 20, 3, dtype=torch.uint8)
    box = [[0, 0, 10, 10]]
    with pytest.raises(ValueError, match="RGB uint8"):
        torch_crops([picture.float()], [0], box, [1])
    with pytest.raises(ValueError, match="RGB uint8"):
        torch_crops([picture.permute(2, 0, 1)], [0], box, [1])
    with pytest.raises(ValueError, match="must be a tensor"):
        torch_crops([picture.numpy()], [0], box, [1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="picture_index must be in"):
        torch_crops([picture], [1], box, [1])
    with pytest.raises(ValueError, match="picture_index must have shape"):
        torch_crops([picture], [0, 0], box, [1])
    with pytest.raises(ValueError, match="finite"):
        torch_crops([picture], [0], [[0, 0, float("nan"), 10]], [1])


def test_weights_sum_to_one_inside() -> None:
    positions = torch.arange(0, 64 * 32, 40)[None]
    weights = batched.band_weights(
        positions,
        torch.tensor([70]),
        torch.tensor([False]),
        torch.from_numpy(blur.gaussian_kernel(1.7)).float()[None],
        torch.tensor([0]),
        70,
    )
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1.0, atol=1e-6)  # float32 sums of 16 weights
    middle = (weights * torch.arange(70.0)).sum(-1)[0, 10:-10]
    np.testing.assert_allclose(middle.numpy(), positions[0, 10:-10].numpy() / 32, atol=1e-4)
