"""One patch of one picture: mirrored, blurred and warped on the region it shows, with the whole picture's numbers."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from hamer.crops import affine, blur

MAX_REGION = 32766
"""OpenCV's warp takes pictures of up to this many pixels a side; ours only ever sees the part that the crop shows."""


def check_picture(image: Any, name: str = "image") -> np.ndarray:
    """A colour picture (H, W, 3) of uint8, or a ValueError that says what came instead."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array (H, W, 3) of uint8, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3:
        hint = {2: ": repeat a grey picture's channel three times"}.get(image.ndim, "")
        hint = ": drop the alpha channel" if image.ndim == 3 and image.shape[2] == 4 else hint
        raise ValueError(f"{name} must have shape (H, W, 3), got {image.shape}{hint}")
    if image.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 (0..255), got {image.dtype}: convert it first")
    if image.shape[0] == 0 or image.shape[1] == 0:
        raise ValueError(f"{name} must have pixels, got shape {image.shape}")
    return image


def warp_patch(
    image: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    *,
    mirrored: bool = False,
    sigma: float = 0.0,
    truncate: float = blur.TRUNCATE,
    border_mode: int = cv2.BORDER_CONSTANT,
    border_value: float = 0,
) -> np.ndarray:
    """The patch of `image` that `matrix` describes, sampled bilinearly.

    Args:
        image: (H, W, C), uint8 or floating.
        matrix: (2, 3) picture coordinates to patch coordinates; coordinates of the mirrored picture where `mirrored`.
        size: width and height of the patch, px.
        sigma: blur of the picture before it is sampled, px; 0 for none.
        border_mode: OpenCV's; what lies outside the picture. Only the constant border saves work.

    Returns:
        (height, width, C): uint8 for an unblurred uint8 picture (rounded, as OpenCV does), else floating.
    """
    whole = border_mode != cv2.BORDER_CONSTANT
    region, shifted = patch_window(matrix, size, (image.shape[0], image.shape[1]), mirrored=mirrored, whole=whole)
    x0, y0, x1, y1 = region
    if x1 <= x0 or y1 <= y0:  # the patch lies wholly outside
        return np.full((size[1], size[0], image.shape[2]), border_value, image.dtype if sigma == 0 else np.float32)
    if max(x1 - x0, y1 - y0) > MAX_REGION:
        raise ValueError(
            f"The part of the picture that a crop shows must be at most {MAX_REGION} px a side, "
            f"got {x1 - x0}x{y1 - y0}: give a smaller box or shrink the picture"
        )
    pixels = blur.blur_region(image, region, sigma, truncate) if sigma > 0 else image[y0:y1, x0:x1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = (border_value,) * 4
    patch = cv2.warpAffine(pixels, shifted, size, flags=flags, borderMode=border_mode, borderValue=border)
    return patch.reshape(size[1], size[0], image.shape[2])


def patch_window(
    matrix: np.ndarray, size: tuple[int, int], shape: tuple[int, ...], *, mirrored: bool = False, whole: bool = False
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """The part of a picture that a patch reads, and where it reads it.

    Args:
        matrix, size, mirrored: as in `warp_patch`; shape: height and width of the picture, px.
        whole: take the whole picture for the part.

    Returns:
        x0, y0, x1, y1 px, ends excluded (empty where the patch lies wholly outside), and the affine (2, 3) float64 from
        patch to that part.
    """
    height, width = shape[:2]
    inverse = affine.invert(np.asarray(matrix, dtype=np.float64))
    inverse = _unmirrored(inverse, width) if mirrored else inverse
    region = (0, 0, width, height) if whole else _region(inverse, size, width, height)
    return region, inverse - np.array([[0, 0, region[0]], [0, 0, region[1]]], dtype=np.float64)


def _unmirrored(inverse: np.ndarray, width: int) -> np.ndarray:
    """Patch to mirrored picture as patch to picture, so that no pixel need be moved: x = W - 1 - x'.

    OpenCV rounds half a step of 1/32 px upwards. Its positions in 1/1024 px are taken one lower here, which makes that
    downwards, so that exactly the mirrored picture's samples are read.
    """
    unit = 1.0 / affine.WORKING_STEPS
    offset = inverse[0, 2]
    if abs(inverse[0, 1]) < 1e-9:  # unrotated: OpenCV rounds the offset by itself, and halves not symmetrically
        offset = np.rint(offset / unit) * unit
    return np.array([[-inverse[0, 0], -inverse[0, 1], width - 1 - offset - unit], inverse[1]])


def _region(inverse: np.ndarray, size: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """The picture's pixels that the patch reads: x0, y0, x1, y1, ends excluded, two pixels to spare for rounding."""
    corners = np.array([[0, 0, 1], [size[0] - 1, 0, 1], [0, size[1] - 1, 1], [size[0] - 1, size[1] - 1, 1]], float)
    points = corners @ inverse.T
    limit = np.array([width, height], float)
    low = np.clip(np.floor(points.min(axis=0)) - 2, 0, limit).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 3, 0, limit).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
