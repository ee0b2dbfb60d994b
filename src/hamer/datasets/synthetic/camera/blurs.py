"""Blurs of a lens, a moving hand and a coarse sensor, (H, W, 3) float32 pictures. None moves a point's centroid."""

from __future__ import annotations

import cv2
import numpy as np

_REACH = 5  # pixels either side; OpenCV filters kernels beyond 11 x 11 ten times slower


def defocus(light: np.ndarray, radius: float) -> np.ndarray:
    """Light spread over a disc of `radius` pixels with a soft rim (a thin lens out of focus)."""
    if radius < 0.3:
        return light
    reach = int(np.ceil(radius + 0.5))
    if reach > _REACH:
        height, width = light.shape[:2]
        return cv2.resize(defocus(halved(light), radius / 2), (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return cv2.filter2D(light, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101)


def halved(light: np.ndarray) -> np.ndarray:
    """Half the size, by weights 1, 3, 3, 1 each way: a point keeps its place, which plain means of 2 x 2 would round."""
    weights = np.array([0.25, 0.5, 0.25], np.float32)
    smooth = cv2.sepFilter2D(light, -1, weights, weights, borderType=cv2.BORDER_REFLECT_101)
    size = (-(-light.shape[1] // 2), -(-light.shape[0] // 2))
    return cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR)


def moved(light: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Light smeared along a straight stroke of `length` pixels about each pixel, at `angle` radians."""
    if np.ceil(length / 2) <= _REACH:
        return cv2.filter2D(light, -1, motion_kernel(length, angle), borderType=cv2.BORDER_REFLECT_101)
    # A long stroke is two of half the length, side by side; large kernels would go through slow Fourier transforms.
    half = moved(light, length / 2, angle)
    shift = length / 4 * np.array([np.cos(angle), np.sin(angle)])
    ends = [
        cv2.warpAffine(
            half, np.array([[1, 0, s[0]], [0, 1, s[1]]]), half.shape[1::-1], borderMode=cv2.BORDER_REFLECT_101
        )
        for s in (shift, -shift)
    ]
    return cv2.addWeighted(ends[0], 0.5, ends[1], 0.5, 0)


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Weights (K, K), K odd, of a straight stroke of `length` pixels about the centre: its centroid is the centre."""
    half = length / 2
    reach = max(1, int(np.ceil(half)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    weights = np.clip(half + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return (weights / weights.sum()).astype(np.float32)


def resampled(picture: np.ndarray, scale: float) -> np.ndarray:
    """The picture made smaller by `scale` and large again.

    It is smoothed by about half a small pixel first: without, a point would jump to the centre of the small pixel it falls in.
    """
    height, width = picture.shape[:2]
    small = (max(8, round(width * scale)), max(8, round(height * scale)))
    if small[0] >= width or small[1] >= height:
        return picture
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.6 * width / small[0], borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(cv2.resize(smooth, small, interpolation=cv2.INTER_LINEAR), (width, height))
