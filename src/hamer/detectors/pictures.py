"""Pictures as the detectors take them, checked once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: OpenCV's warp addresses pixels with 16-bit numbers.
_LONGEST = 32767


def check_pictures(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`images` as a list of contiguous RGB uint8 arrays (H, W, 3), or a ValueError that says which is none."""
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise ValueError("images must be a list of pictures, got one array of three dimensions; pass [image]")
    return [_check(image, f"images[{index}]") for index, image in enumerate(images)]


#: Median of the grey values (0..255) below which a picture counts as dark, and the median it is brightened to.
_DARK, _WELL_LIT = 70, 100


def well_exposed(image: np.ndarray) -> np.ndarray:
    """`image` (H, W, 3) uint8, brightened by a gamma of at least 0.4 where it is dark, as the networks expect good light."""
    sparse = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)]
    median = float(np.median(sparse.mean(-1)))
    if median >= _DARK or median < 1:
        return image
    gamma = max(0.4, float(np.log(_WELL_LIT / 255) / np.log(median / 255)))
    return (255 * (np.arange(256) / 255) ** gamma + 0.5).astype(np.uint8)[image]


def _check(image: np.ndarray, name: str) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name} must be a numpy array (H, W, 3) of RGB uint8, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3:
        hint = "; a grey picture becomes RGB with np.repeat(image[..., None], 3, -1)" if image.ndim == 2 else ""
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}{hint}")
    if image.dtype != np.uint8:
        raise ValueError(
            f"{name} must be uint8 in 0..255, got {image.dtype}; scale and convert it with .astype(np.uint8)"
        )
    if 0 in image.shape:
        raise ValueError(f"{name} has no pixels: shape {image.shape}")
    if max(image.shape[:2]) > _LONGEST:
        raise ValueError(f"{name} is longer than {_LONGEST} px: shape {image.shape}; scale it down first")
    return np.ascontiguousarray(image)
