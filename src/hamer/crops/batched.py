"""The batched torch path: all hands of several pictures at once, on the CPU or a GPU, equal to the reference.

An unrotated crop is separable: crop = Wy @ picture @ Wx^T, where a row of Wy (or Wx) holds the bilinear weights of one
crop row (column), already folded with the anti-aliasing Gaussian. So the blurred picture is never made, only its
samples at the crop's resolution. Rows of W are bands of a few pixels; on the CPU blocks of crop rows are multiplied
with just the picture rows that they touch, on a GPU the whole band matrix is one batched product. Pictures stay uint8
until the pixels that a crop shows are read.

Positions are OpenCV 4's (1/32 px) and unblurred crops are rounded to whole grey levels, so the result equals the
reference: to the last bit before normalisation where nothing is blurred, within 1e-3 grey levels where it is (order of
float32 sums). On a GPU this holds for full float32 products (PyTorch's default); with TF32 allowed for matrix products
a sample may be off by half a grey level.

Letters: N hands, S crop side, R and C rows and columns of the picture part that a crop shows, T taps of a band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hamer.crops import affine, blur
from hamer.crops.batch import CropBatch, check_picture_index, place_in_picture
from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD
from hamer.crops.reference import check_size, window_transform
from hamer.crops.windows import check_is_right, crop_windows

MEMORY_BUDGET = 512 * 2**20
"""Bytes of float32 picture parts that one batched product on a GPU may hold."""

# Crop rows in one product on the CPU. Fewer rows: less arithmetic with the zeros outside the band, but more calls.
_SHARP_BLOCK = 32
_BLURRED_BLOCK = 16


@torch.no_grad()
def torch_crops(
    pictures: Sequence[torch.Tensor],
    picture_index: Any,
    boxes: Any,
    is_right: Any,
    *,
    rescale_factor: float = 2.0,
    bbox_shape: tuple[int, int] | None = (192, 256),
    size: int = 256,
    mean: tuple[float, ...] = IMAGE_MEAN,
    std: tuple[float, ...] = IMAGE_STD,
) -> CropBatch:
    """Crops of hands in several pictures, on the device of the pictures.

    Args:
        pictures: RGB uint8 tensors (H, W, 3), of any sizes, on one device.
        picture_index: (N,) which picture a box is in.
        boxes: (N, 4) xyxy px; is_right: (N,) 1 or 0. Small: read on the host.
        rescale_factor, bbox_shape, size: as in `hand_crops`.

    Returns:
        the fields of `hand_crops` as tensors on that device.

    Raises:
        ValueError: for what is no RGB picture and for boxes that are not finite or have no area.
    """
    device = _check_pictures(pictures)
    check_size(size)
    center, box_size = crop_windows(_host(boxes), rescale_factor=rescale_factor, bbox_shape=bbox_shape)
    right = check_is_right(_host(is_right), len(box_size))
    index = check_picture_index(_host(picture_index), len(box_size), len(pictures))
    axes = _Axes.of_windows(pictures, index, center, box_size, right, size)
    levels = torch.empty((len(box_size), 3, size, size), dtype=torch.float32, device=device)
    fill = _fill_on_cpu if device.type == "cpu" else _fill_batched
    with torch.autocast(device.type, enabled=False):  # a caller's half precision would cost grey levels
        fill(levels, pictures, index, axes)
    sharp = torch.as_tensor(axes.sigma == 0, device=device)[:, None, None, None]
    levels = torch.where(sharp, torch.floor(levels + 0.5), levels)
    scale = torch.tensor([1 / (255 * s) for s in std], device=device)[:, None, None]
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)[:, None, None]
    sizes = np.array([[pictures[i].shape[1], pictures[i].shape[0]] for i in index.tolist()], np.float64).reshape(-1, 2)
    sizes = sizes.astype(np.float32) if device.type == "mps" else sizes  # which has no float64
    rest = (center, box_size, sizes, right, index, place_in_picture(index))
    return CropBatch(levels.mul_(scale).add_(offset), *(torch.as_tensor(array, device=device) for array in rest))


@dataclass
class _Axes:
    """Where each crop's rows and columns read their pictures; host arrays.

    `positions` (N, 2, S) int64 in 1/32 px, rows then columns, columns in the mirrored picture for left hands; `limits`
    (N, 2) height and width of the picture, px; `mirrored` (N,) bool; `sigma` (N,) px; `parts` (N, 2, 2) first and one
    past the last picture row (column) with a weight.
    """

    positions: np.ndarray
    limits: np.ndarray
    mirrored: np.ndarray
    sigma: np.ndarray
    parts: np.ndarray

    @classmethod
    def of_windows(
        cls,
        pictures: Sequence[torch.Tensor],
        index: np.ndarray,
        center: np.ndarray,
        box_size: np.ndarray,
        right: np.ndarray,
        size: int,
    ) -> _Axes:
        count = len(index)
        positions = np.zeros((count, 2, size), np.int64)
        limits = np.array([pictures[i].shape[:2] for i in index.tolist()], np.int64).reshape(count, 2)
        mirrored = right == 0
        for row in range(count):
            matrix = window_transform(
                center[row], box_size[row], int(limits[row, 1]), mirrored=bool(mirrored[row]), size=size
            )
            columns, rows = affine.axis_positions(matrix, size)
            positions[row] = rows, columns
        sigma = np.array([blur.crop_sigma(side, size) for side in box_size], np.float64)
        axes = cls(positions, limits, mirrored, sigma, np.zeros((count, 2, 2), np.int64))
        for row in range(count):
            axes.parts[row] = [axes.part(row, axis, slice(None)) for axis in (0, 1)]
        return axes

    def part(self, row: int, axis: int, crop_part: slice) -> tuple[int, int]:
        """First and one past last of the picture's rows (axis 0) or columns (axis 1) that a part of the crop reads."""
        radius = blur.kernel_radius(self.sigma[row])
        pixels = self.positions[row, axis, crop_part] >> affine.FRACTION_BITS
        last = int(self.limits[row, axis]) - 1
        low = min(max(int(pixels.min()) - radius, 0), last)
        high = min(max(int(pixels.max()) + 1 + radius, 0), last)
        if axis == 1 and self.mirrored[row]:
            low, high = last - high, last - low
        return low, high + 1

    def weights(self, rows: np.ndarray, axis: np.ndarray, length: int, device: torch.device | str) -> torch.Tensor:
        """Band matrices (K, S, length) of K pairs of hand and axis; columns count from the start of the hand's part."""
        radii = np.array([blur.kernel_radius(sigma) for sigma in self.sigma[rows]])

        def move(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(array, device=device)

        return band_weights(
            move(self.positions[rows, axis]),
            move(self.limits[rows, axis]),
            move(self.mirrored[rows] & (axis == 1)),
            _kernels(move(self.sigma[rows].astype(np.float32)), move(radii), int(radii.max())),
            move(self.parts[rows, axis, 0]),
            length,
        )


def band_weights(
    positions: torch.Tensor,
    limit: torch.Tensor,
    mirrored: torch.Tensor,
    kernels: torch.Tensor,
    start: torch.Tensor,
    length: int,
) -> torch.Tensor:
    """Bilinear sampling of a blurred axis as a matrix.

    Args:
        positions: (N, S) int64, 1/32 px.
        limit: (N,) pixels of the axis. Samples outside are zero, the blur repeats the border (nearest).
        mirrored: (N,) bool, positions count from the axis' end.
        kernels: (N, 2 r + 1) weights of the blur; [1] for none.
        start: (N,) first pixel of the part that the matrix' columns stand for; length: number of columns.

    Returns:
        (N, S, length) float32; a row's weights sum to 1 inside the picture.
    """
    first = positions >> affine.FRACTION_BITS
    fraction = (positions & ((1 << affine.FRACTION_BITS) - 1)).to(torch.float32) / (1 << affine.FRACTION_BITS)
    last = (limit - 1)[:, None]
    weight_0 = (1 - fraction) * ((first >= 0) & (first <= last))
    weight_1 = fraction * ((first >= -1) & (first < last))
    padded = F.pad(kernels, (1, 1))[
        :, None
    ]  # the kernel about pixel 0 is padded[1:], the one about pixel 1 padded[:-1]
    weights = weight_0[..., None] * padded[..., 1:] + weight_1[..., None] * padded[..., :-1]
    radius = kernels.shape[1] // 2
    taps = torch.arange(-radius, radius + 2, device=positions.device)
    pixels = torch.minimum((first[..., None] + taps).clamp(min=0), last[..., None])
    pixels = torch.where(mirrored[:, None, None], last[..., None] - pixels, pixels) - start[:, None, None]
    band = torch.zeros((*positions.shape, length), dtype=torch.float32, device=positions.device)
    # Taps outside the part have weight zero: let them add nothing to a pixel that exists.
    return band.scatter_add_(2, pixels.clamp(0, length - 1), weights)


def _kernels(sigma: torch.Tensor, radius: torch.Tensor, reach: int) -> torch.Tensor:
    """The Gaussians of `blur.gaussian_kernel`, one row a sigma (N,) and its radius (N,): (N, 2 reach + 1)."""
    taps = torch.arange(-reach, reach + 1, device=sigma.device)
    values = torch.exp(-0.5 * (taps / sigma.clamp(min=1e-6)[:, None]) ** 2) * (taps.abs() <= radius[:, None])
    return values / values.sum(dim=1, keepdim=True)


def _fill_on_cpu(levels: torch.Tensor, pictures: Sequence[torch.Tensor], index: np.ndarray, axes: _Axes) -> None:
    """Grey levels (N, 3, S, S) in place, hand by hand, blocks of crop rows and columns against the pixels they read."""
    size = levels.shape[-1]
    for row, picture_number in enumerate(index.tolist()):
        (y0, y1), (x0, x1) = axes.parts[row].tolist()
        part = pictures[picture_number][y0:y1, x0:x1]
        vertical, horizontal = axes.weights(np.array([row, row]), np.array([0, 1]), max(y1 - y0, x1 - x0), "cpu")
        step = _BLURRED_BLOCK if axes.sigma[row] > 0 else _SHARP_BLOCK
        blocks = [slice(start, min(start + step, size)) for start in range(0, size, step)]
        squeezed = torch.empty((size, (x1 - x0) * 3), dtype=torch.float32)
        for block in blocks:
            low, high = (v - y0 for v in axes.part(row, 0, block))
            pixels = part[low:high].to(torch.float32).reshape(high - low, -1)
            torch.mm(vertical[block, low:high], pixels, out=squeezed[block])
        planes = squeezed.view(size, x1 - x0, 3).permute(2, 0, 1).reshape(3 * size, x1 - x0)
        for block in blocks:
            low, high = (v - x0 for v in axes.part(row, 1, block))
            levels[row, :, :, block] = (planes[:, low:high] @ horizontal[block, low:high].T).view(3, size, -1)


def _fill_batched(levels: torch.Tensor, pictures: Sequence[torch.Tensor], index: np.ndarray, axes: _Axes) -> None:
    """Grey levels (N, 3, S, S) in place, hands of like size together in batched products."""
    device, size = levels.device, levels.shape[-1]
    for rows in _chunks(axes):
        height, width = (int(v) for v in (axes.parts[rows, :, 1] - axes.parts[rows, :, 0]).max(axis=0))
        pixels = torch.zeros((len(rows), height, width, 3), dtype=torch.float32, device=device)
        for place, row in enumerate(rows.tolist()):
            (y0, y1), (x0, x1) = axes.parts[row].tolist()
            pixels[place, : y1 - y0, : x1 - x0] = pictures[int(index[row])][y0:y1, x0:x1]
        vertical = axes.weights(rows, np.zeros_like(rows), height, device)
        horizontal = axes.weights(rows, np.ones_like(rows), width, device)
        squeezed = torch.bmm(vertical, pixels.view(len(rows), height, -1)).view(len(rows), size, width, 3)
        planes = squeezed.permute(0, 3, 1, 2).reshape(len(rows), 3 * size, width)
        crops = torch.bmm(planes, horizontal.transpose(1, 2)).view(len(rows), 3, size, size)
        levels[torch.as_tensor(rows, device=device)] = crops


def _chunks(axes: _Axes) -> Iterator[np.ndarray]:
    """Rows of hands whose picture parts, padded to the largest of them, fit the memory budget; large ones first."""
    sides = axes.parts[:, :, 1] - axes.parts[:, :, 0]
    order = np.argsort(-sides.max(axis=1, initial=0), kind="stable")
    start = 0
    while start < len(order):
        side = int(sides[order[start]].max())
        count = max(1, MEMORY_BUDGET // (side * side * 3 * 4))
        like_size = int(
            (sides[order[start:]].max(axis=1) * 2 >= side).sum()
        )  # padding costs at most four times the work
        stop = start + min(count, like_size)
        yield order[start:stop]
        start = stop


def _check_pictures(pictures: Sequence[torch.Tensor]) -> torch.device:
    devices = set()
    for number, picture in enumerate(pictures):
        if not isinstance(picture, torch.Tensor):
            raise ValueError(f"pictures[{number}] must be a tensor (H, W, 3) of uint8, got {type(picture).__name__}")
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != torch.uint8 or picture.numel() == 0:
            raise ValueError(
                f"pictures[{number}] must be RGB uint8 (H, W, 3), got {tuple(picture.shape)} {picture.dtype}"
            )
        devices.add(picture.device)
    if len(devices) > 1:
        raise ValueError(f"pictures must be on one device, got {sorted(map(str, devices))}")
    return devices.pop() if devices else torch.device("cpu")


def _host(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
