"""The rasteriser in NumPy: what the Numba kernels compute, in whole arrays. Reference for them, and used without Numba.

1. A triangle covers, in each row of samples between its top and bottom, the samples from its left to its right edge.
2. 1/z is a plane over the picture; the largest value at a sample is the nearest surface.
3. A pixel is shaded once per triangle that it shows, at the centroid of that triangle's samples.

Letters: T triangles, R rows of triangles, K fragments (a triangle at a sample), S supersampling, H x W pixels.
"""

from __future__ import annotations

import numpy as np

from hamer.rendering.scene import Scene
from hamer.rendering.tiles import shade

_BAND_SAMPLES = 2_000_000  # bounds memory: the picture is drawn in bands of rows of at most so many samples


def draw(
    scene: Scene, supersample: int, color: np.ndarray, alpha: np.ndarray, depth: np.ndarray, label: np.ndarray
) -> None:
    """Draw `scene` into the zeroed outputs: see tiles.draw_tiles, whose results these are."""
    height, width = alpha.shape
    x0, y0, x1, y1 = scene.bounds(width, height)
    if x1 <= x0 or y1 <= y0:
        return
    band = max(1, _BAND_SAMPLES // ((x1 - x0) * supersample**2))
    for top in range(y0, y1, band):
        window = (x0, top, x1, min(top + band, y1))
        index, nearest = visible_triangles(scene, supersample, window)
        area = (slice(top, window[3]), slice(x0, x1))
        _resolve(scene, supersample, window, index, nearest, color[area], alpha[area], depth[area], label[area])


def visible_triangles(
    scene: Scene, supersample: int, window: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest triangle at each sample of the pixels `window` (x0, y0, x1, y1), and its 1/z; -1 and 0 for none."""
    left, top, right, bottom = (edge * supersample for edge in window)
    uv = scene.xy * supersample - 0.5  # sample k of a row lies at pixel coordinate (k + 0.5) / S
    triangles = np.arange(len(scene.faces))
    corners = uv[scene.faces]  # (T, 3, 2)
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1]
    low, high = corners.min(axis=1), corners.max(axis=1)
    keep = (abs(area) >= 1e-9) & (high[:, 0] >= left) & (low[:, 0] < right) & (high[:, 1] >= top) & (low[:, 1] < bottom)
    triangles, corners, area = triangles[keep], corners[keep], area[keep]
    w = scene.inverse_z[scene.faces[keep]]
    w_right, w_down = _gradient(corners, w, area)

    triangle, row, column_from, column_to = _spans(corners, left, top, right, bottom)
    lengths = np.maximum(column_to - column_from, 0)
    w_row = w[triangle, 0] + (row - corners[triangle, 0, 1]) * w_down[triangle]
    w_row -= corners[triangle, 0, 0] * w_right[triangle]
    fragment_span = np.repeat(np.arange(len(lengths)), lengths)
    offsets = np.arange(len(fragment_span)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    column = column_from[fragment_span] + offsets
    fragment_triangle = triangle[fragment_span]
    fragment_depth = (w_row[fragment_span] + column * w_right[fragment_triangle]).astype(np.float32)

    place = (row[fragment_span] - top) * (right - left) + column - left
    nearest = np.zeros((bottom - top) * (right - left), np.float32)
    np.maximum.at(nearest, place, fragment_depth)
    index = np.full(nearest.shape, -1, np.int64)
    # Backwards, because the last assignment stays: of two equally near triangles the first one wins, as in the kernels.
    winners = np.flatnonzero((fragment_depth == nearest[place]) & (fragment_depth > 0))[::-1]
    index[place[winners]] = triangles[fragment_triangle[winners]]
    shape = (bottom - top, right - left)
    return index.reshape(shape), nearest.reshape(shape)


def _gradient(corners: np.ndarray, w: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How 1/z changes per sample to the right and downwards, each (T,)."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    wb, wc = w[:, 1] - w[:, 0], w[:, 2] - w[:, 0]
    return (wb * ac[:, 1] - wc * ab[:, 1]) / area, (wc * ab[:, 0] - wb * ac[:, 0]) / area


def _spans(
    corners: np.ndarray, left: int, top: int, right: int, bottom: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per triangle and sample row that it crosses: triangle, row, first column, column after the last; each (R,)."""
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    u = np.take_along_axis(corners[:, :, 0], order, axis=1)
    v = np.take_along_axis(corners[:, :, 1], order, axis=1)
    row_from = np.maximum(np.ceil(v[:, 0]), top).astype(np.int64)
    row_to = np.minimum(np.ceil(v[:, 2]), bottom).astype(np.int64)
    counts = np.maximum(row_to - row_from, 0)
    triangle = np.repeat(np.arange(len(corners)), counts)
    row = row_from[triangle] + np.arange(len(triangle)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = u[triangle, 0] + (row - v[triangle, 0]) * _slope(u, v, 0, 2)[triangle]
    upper = u[triangle, 0] + (row - v[triangle, 0]) * _slope(u, v, 0, 1)[triangle]
    lower = u[triangle, 1] + (row - v[triangle, 1]) * _slope(u, v, 1, 2)[triangle]
    across = np.where(row < v[triangle, 1], upper, lower)
    column_from = np.maximum(np.ceil(np.minimum(along, across)), left).astype(np.int64)
    column_to = np.minimum(np.ceil(np.maximum(along, across)), right).astype(np.int64)
    return triangle, row, column_from, column_to


def _slope(u: np.ndarray, v: np.ndarray, start: int, end: int) -> np.ndarray:
    """Columns per row along an edge; 0 for a horizontal one, which bounds no row."""
    rise = v[:, end] - v[:, start]
    return np.divide(u[:, end] - u[:, start], rise, out=np.zeros_like(rise), where=rise > 0)


def _resolve(
    scene: Scene,
    supersample: int,
    window: tuple[int, int, int, int],
    index: np.ndarray,
    nearest: np.ndarray,
    color: np.ndarray,
    alpha: np.ndarray,
    depth: np.ndarray,
    label: np.ndarray,
) -> None:
    """Shade the window's samples and join them to pixels."""
    left, top, right, bottom = window
    samples = supersample**2
    shape = (bottom - top, supersample, right - left, supersample)
    seen = index.reshape(shape).transpose(0, 2, 1, 3).reshape(-1, samples)
    front = nearest.reshape(shape).transpose(0, 2, 1, 3).reshape(-1, samples)
    pixels = np.flatnonzero((seen >= 0).any(axis=1))
    seen, front = seen[pixels], front[pixels]
    rows, columns = np.divmod(pixels, right - left)
    covered = (seen >= 0).sum(axis=1)
    total = np.zeros((len(pixels), 3))
    for sample in range(samples):
        is_first = (seen[:, sample] >= 0) & (seen[:, :sample] != seen[:, sample, None]).all(axis=1)
        chosen = np.flatnonzero(is_first)
        face = seen[chosen, sample]
        same = seen[chosen] == face[:, None]
        count = same.sum(axis=1)
        x = left + columns[chosen] + ((same @ (np.arange(samples) % supersample)) / count + 0.5) / supersample
        y = top + rows[chosen] + ((same @ (np.arange(samples) // supersample)) / count + 0.5) / supersample
        total[chosen] += count[:, None] * _colors_at(scene, x, y, face)
    best = front.argmax(axis=1)
    chosen = np.arange(len(pixels))
    color[rows, columns] = total / covered[:, None]
    alpha[rows, columns] = covered / samples
    depth[rows, columns] = 1.0 / front[chosen, best]
    label[rows, columns] = scene.mesh_ids[seen[chosen, best]] + 1


def _colors_at(scene: Scene, x: np.ndarray, y: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Shaded colours (K, 3) of triangles `face` (K,) at pixel coordinates, perspective-correct."""
    a, b, c = scene.faces[face].T
    ab, ac = scene.xy[b] - scene.xy[a], scene.xy[c] - scene.xy[a]
    area = ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1]
    qx, qy = x - scene.xy[a, 0], y - scene.xy[a, 1]
    weight_b = (qx * ac[:, 1] - ac[:, 0] * qy) / area
    weight_c = (ab[:, 0] * qy - qx * ab[:, 1]) / area
    weights = np.stack([1 - weight_b - weight_c, weight_b, weight_c], axis=1)
    weights *= scene.inverse_z[scene.faces[face]]
    weights /= weights.sum(axis=1, keepdims=True)
    normals = np.einsum("kc,kca->ka", weights, scene.normals[scene.faces[face]])
    positions = np.einsum("kc,kca->ka", weights, scene.positions[scene.faces[face]])
    # The winding's direction on the screen says which side is seen, as in the kernels.
    normals *= np.where(area > 0, -1.0, 1.0)[:, None]
    diffuse, highlight = shade(*normals.T, *positions.T)
    colors = scene.colors[scene.mesh_ids[face]] * diffuse[:, None] + highlight[:, None]
    return np.minimum(colors, 1.0)
