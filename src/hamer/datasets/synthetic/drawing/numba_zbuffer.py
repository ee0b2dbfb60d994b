"""Numba kernels of the drawing: triangles to a z-buffer, its samples to fragments, fragments to pixels.

A fragment is what a pixel shows of one surface, at the centroid of the samples that its nearest triangle covers.
`numba_texturing.py` and `numba_lighting.py` hold the passes between: each does one thing to all K fragments (deferred
shading). `torch_zbuffer.py` and `torch_passes.py` have the same as whole arrays.

Pixel coordinates are continuous, the first pixel's centre is (0.5, 0.5). Letters: P points, F faces, T texture
coordinates, K fragments, S supersampling, L lights, M surfaces. Everything runs on the caller's thread alone.
"""

from __future__ import annotations

import numpy as np

from hamer.compiling import jit

MERGED = np.float32(0.003)  # metres of depth within which a pixel's samples of one surface are shaded as one


@jit
def seen_from(
    turned: np.ndarray, xy: np.ndarray, faces: np.ndarray, drawn: np.ndarray, width: int, height: int
) -> tuple[float, float, float, float]:
    """Smallest and largest `turned` (P, 3) x and y of the triangles that reach into the picture: x0, y0, x1, y1.

    `xy` (P, 2) pixels, `drawn` (F,) whether a face is wholly in front of the camera. (0, 0, 0, 0) where none is seen.
    """
    x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
    for face in range(faces.shape[0]):
        if not drawn[face]:
            continue
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if (
            max(xy[a, 0], xy[b, 0], xy[c, 0]) < 0
            or max(xy[a, 1], xy[b, 1], xy[c, 1]) < 0
            or min(xy[a, 0], xy[b, 0], xy[c, 0]) > width
            or min(xy[a, 1], xy[b, 1], xy[c, 1]) > height
        ):
            continue
        x0, x1 = min(x0, turned[a, 0], turned[b, 0], turned[c, 0]), max(x1, turned[a, 0], turned[b, 0], turned[c, 0])
        y0, y1 = min(y0, turned[a, 1], turned[b, 1], turned[c, 1]), max(y1, turned[a, 1], turned[b, 1], turned[c, 1])
    if x0 > x1:
        return 0.0, 0.0, 0.0, 0.0
    return x0, y0, x1, y1


@jit
def fill(
    u: np.ndarray, v: np.ndarray, w: np.ndarray, faces: np.ndarray, nearest: np.ndarray, index: np.ndarray
) -> None:
    """Enter triangles into a z-buffer: the largest `w` at a sample stays in `nearest` (R, C), its face in `index`.

    `u`, `v` (P,) corners in samples (sample k lies at k); `w` is linear over the picture: 1/z, or an orthographic depth.
    Every edge is followed from its upper end, so two triangles that share it compute the same crossings: neither gaps
    nor samples drawn twice. `index` may be of size 0 where only the depth is wanted.
    """
    height, width = nearest.shape
    keep_index = index.shape[0] > 0
    for face in range(faces.shape[0]):
        first, middle, last = faces[face, 0], faces[face, 1], faces[face, 2]
        if v[middle] < v[first]:
            first, middle = middle, first
        if v[last] < v[middle]:
            middle, last = last, middle
            if v[middle] < v[first]:
                first, middle = middle, first
        row_from = int(max(np.ceil(v[first]), 0.0))
        row_to = int(min(np.ceil(v[last]), float(height)))
        if row_from >= row_to:
            continue
        area = (u[middle] - u[first]) * (v[last] - v[first]) - (u[last] - u[first]) * (v[middle] - v[first])
        if abs(area) < 1e-9:
            continue
        per_area = 1.0 / area
        w_right = (w[middle] - w[first]) * (v[last] - v[first]) - (w[last] - w[first]) * (v[middle] - v[first])
        w_down = (w[last] - w[first]) * (u[middle] - u[first]) - (w[middle] - w[first]) * (u[last] - u[first])
        w_right, w_down = w_right * per_area, w_down * per_area
        long_slope = (u[last] - u[first]) / (v[last] - v[first])
        upper_slope = (u[middle] - u[first]) / (v[middle] - v[first]) if v[middle] > v[first] else 0.0
        lower_slope = (u[last] - u[middle]) / (v[last] - v[middle]) if v[last] > v[middle] else 0.0
        for row in range(row_from, row_to):
            along = u[first] + (row - v[first]) * long_slope
            start, slope = (first, upper_slope) if row < v[middle] else (middle, lower_slope)
            across = u[start] + (row - v[start]) * slope
            column_from = int(max(np.ceil(min(along, across)), 0.0))
            column_to = int(min(np.ceil(max(along, across)), float(width)))
            w_row = w[first] + (row - v[first]) * w_down - u[first] * w_right
            for column in range(column_from, column_to):
                depth = np.float32(w_row + column * w_right)
                if depth > nearest[row, column]:
                    nearest[row, column] = depth
                    if keep_index:
                        index[row, column] = face


@jit
def fragments(
    nearest: np.ndarray, index: np.ndarray, owners: np.ndarray, supersample: int, bounds: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the pixels inside `bounds` (x0, y0, x1, y1) show; `owners` (F,) is the surface of a face.

    Samples of one surface that lie less than MERGED apart in depth are one fragment, on the face of the nearest of them.

    Returns:
        `pixels` (K, 2) column and row, `face` (K,), `at` (K, 2) centroid of the face's samples in pixel coordinates,
        `share` (K,) of the pixel's samples, `front` (K,) whether it holds the pixel's nearest sample.
    """
    x0, y0, x1, y1 = bounds
    samples = supersample * supersample
    most = 0
    for row in range(y0 * supersample, y1 * supersample):
        for column in range(x0 * supersample, x1 * supersample):
            most += nearest[row, column] > 0
    pixels = np.empty((most, 2), np.int32)
    face_of = np.empty(most, np.int32)
    at = np.empty((most, 2), np.float32)
    share = np.empty(most, np.float32)
    front = np.empty(most, np.bool_)
    depth = np.empty(samples, np.float32)
    face = np.empty(samples, np.int32)
    count = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            left, alike = 0, 0
            low, high = np.float32(np.inf), np.float32(0.0)
            for sample in range(samples):
                row, column = y * supersample + sample // supersample, x * supersample + sample % supersample
                depth[sample] = nearest[row, column]
                if depth[sample] > 0:
                    face[sample] = index[row, column]
                    left += 1
                    alike += face[sample] == face[0]
                    low, high = min(low, depth[sample]), max(high, depth[sample])
            is_front = True
            # Most pixels show one triangle and no other: a shortcut past the grouping below.
            if left == samples and alike == samples and high - low <= MERGED * high * high:
                pixels[count, 0], pixels[count, 1] = x, y
                face_of[count] = face[0]
                at[count, 0], at[count, 1] = x + 0.5, y + 0.5
                share[count] = 1.0
                front[count] = True
                count += 1
                left = 0
            while left > 0:
                best = 0
                for sample in range(1, samples):
                    if depth[sample] > depth[best]:
                        best = sample
                first, closest = face[best], depth[best]
                tolerance = MERGED * closest * closest
                same, merged, sum_x, sum_y = 0, 0, 0, 0
                for sample in range(samples):
                    if depth[sample] > 0 and closest - depth[sample] <= tolerance:
                        if face[sample] == first:
                            same += 1
                            sum_x += sample % supersample
                            sum_y += sample // supersample
                        elif owners[face[sample]] != owners[first]:
                            continue
                        depth[sample] = 0.0
                        merged += 1
                left -= merged
                pixels[count, 0], pixels[count, 1] = x, y
                face_of[count] = first
                at[count, 0] = x + (sum_x / same + 0.5) / supersample
                at[count, 1] = y + (sum_y / same + 0.5) / supersample
                share[count] = merged / samples
                front[count] = is_front
                is_front = False
                count += 1
    return pixels[:count], face_of[:count], at[:count], share[:count], front[:count]


@jit
def accumulate(
    pixels: np.ndarray,
    share: np.ndarray,
    front: np.ndarray,
    shaded: np.ndarray,
    position: np.ndarray,
    coordinate: np.ndarray,
    part: np.ndarray,
    color: np.ndarray,
    alpha: np.ndarray,
    depth: np.ndarray,
    label: np.ndarray,
    uv: np.ndarray,
) -> None:
    """Join the fragments to pixels: colour and alpha of all of them, the rest of the nearest. `part` (K,) labels."""
    for k in range(share.shape[0]):
        x, y = pixels[k, 0], pixels[k, 1]
        for channel in range(3):
            color[y, x, channel] += share[k] * shaded[k, channel]
        alpha[y, x] += share[k]
        if front[k]:
            depth[y, x] = position[k, 2]
            label[y, x] = part[k]
            if 1 <= part[k] <= 16:
                uv[y, x, 0] = coordinate[k, 0]
                uv[y, x, 1] = coordinate[k, 1]
