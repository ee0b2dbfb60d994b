"""The tile rasteriser's Numba kernels.

The picture is cut into square tiles; each is rasterised on its own, into a depth and a triangle buffer that stay in the
processor's cache, and shaded afterwards, once per pixel and visible triangle. The kernels release the GIL and share
nothing but their inputs, so any number of threads and callers may run them at a time (Numba's own parallel=True has a
threading layer that is unsafe for concurrent callers).

`reference.py` is the same in NumPy, and the place to read first. Everything that is compiled lives in this one file,
and so does the shading formula that both share, because Numba's cache on disk looks for changes only in the file of the
function that is called. Without Numba this module still imports, for the formula; `numba` is None then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hamer.compiling import jit, numba

TILE = 32  # pixels; 64 x 64 samples of depth and index take 32 KB, which a core's cache holds


def _inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Paste `function` into its callers: passing eight arrays would cost more than what it computes."""
    return function if numba is None else numba.njit(inline="always")(function)


# The lights stand still with respect to the camera: a large key light above and left of it, a weaker fill light at its
# right, sky above and ground below as ambient light. Unit vectors towards them, camera frame (y down, z away from it).
KEY = (-0.32, -0.50, -0.8047)
FILL = (0.80, 0.10, -0.5916)


def shade(nx: Any, ny: Any, nz: Any, px: Any, py: Any, pz: Any) -> tuple[Any, Any]:
    """Diffuse factor and white highlight for a surface at (px, py, pz) with normal (nx, ny, nz), camera frame.

    Both may have any length (so interpolation needs no division), but the normal must lie on the side that is seen.
    A pixel's colour is base colour * diffuse + highlight, clipped to 1.
    """
    scale = -1.0 / np.sqrt(px * px + py * py + pz * pz)
    vx, vy, vz = px * scale, py * scale, pz * scale  # towards the viewer
    scale = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-30)
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    # An interpolated normal can lean a little away from the viewer near the silhouette: taken as seen edge-on.
    facing = np.maximum(nx * vx + ny * vy + nz * vz, 0.0)
    key = np.maximum(nx * KEY[0] + ny * KEY[1] + nz * KEY[2], 0.0)
    fill = np.maximum(nx * FILL[0] + ny * FILL[1] + nz * FILL[2], 0.0)
    ambient = 0.45 - 0.11 * ny
    # Darker towards the silhouette, which keeps fingers apart where they lie over one another.
    contour = 0.60 + 0.40 * facing * (2.0 - facing)
    diffuse = (ambient + 0.58 * key + 0.15 * fill) * contour
    # Phong's highlight of the key light, exponent 8: the mirrored light direction along the view.
    mirrored = np.maximum(2.0 * key * facing - (KEY[0] * vx + KEY[1] * vy + KEY[2] * vz), 0.0)
    squared = mirrored * mirrored
    squared = squared * squared
    return diffuse, 0.10 * squared * squared


_shade = jit(shade)


@jit
def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Smooth area-weighted unit normals (V, 3), as meshes.vertex_normals."""
    normals = np.zeros_like(vertices)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for vertex in range(normals.shape[0]):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        length = max(np.sqrt(x * x + y * y + z * z), 1e-300)
        normals[vertex, 0] = x / length
        normals[vertex, 1] = y / length
        normals[vertex, 2] = z / length
    return normals


@jit
def bin_triangles(xy: np.ndarray, faces: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Which triangles touch which tile: tile t's are members[starts[t]:starts[t + 1]], tiles row by row."""
    columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    spans = np.empty((faces.shape[0], 4), np.int32)
    starts = np.zeros(columns * rows + 1, np.int64)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x0, x1 = min(xy[a, 0], xy[b, 0], xy[c, 0]), max(xy[a, 0], xy[b, 0], xy[c, 0])
        y0, y1 = min(xy[a, 1], xy[b, 1], xy[c, 1]), max(xy[a, 1], xy[b, 1], xy[c, 1])
        if x1 < 0 or y1 < 0 or x0 >= width or y0 >= height:
            spans[face] = 0
            continue
        spans[face, 0] = int(max(x0, 0.0)) // TILE
        spans[face, 1] = int(max(y0, 0.0)) // TILE
        spans[face, 2] = int(min(x1, width - 1.0)) // TILE + 1
        spans[face, 3] = int(min(y1, height - 1.0)) // TILE + 1
        for row in range(spans[face, 1], spans[face, 3]):
            for column in range(spans[face, 0], spans[face, 2]):
                starts[row * columns + column + 1] += 1
    for tile in range(columns * rows):
        starts[tile + 1] += starts[tile]
    members = np.empty(starts[-1], np.int32)
    following = starts[:-1].copy()
    for face in range(faces.shape[0]):
        for row in range(spans[face, 1], spans[face, 3]):
            for column in range(spans[face, 0], spans[face, 2]):
                tile = row * columns + column
                members[following[tile]] = face
                following[tile] += 1
    return starts, members


@jit
def _fill_triangle(
    u: np.ndarray, v: np.ndarray, w: np.ndarray, face: int, left: int, top: int, nearest: np.ndarray, index: np.ndarray
) -> None:
    """Enter one triangle into a tile's buffers; `u`, `v` (3,) are its corners in samples of the whole picture.

    Every edge is followed from its upper end, so two triangles that share it compute the same crossings: neither gaps
    nor samples drawn twice.
    """
    area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
    if abs(area) < 1e-9:
        return
    w_right = ((w[1] - w[0]) * (v[2] - v[0]) - (w[2] - w[0]) * (v[1] - v[0])) / area
    w_down = ((w[2] - w[0]) * (u[1] - u[0]) - (w[1] - w[0]) * (u[2] - u[0])) / area
    first, middle, last = 0, 1, 2
    if v[middle] < v[first]:
        first, middle = middle, first
    if v[last] < v[middle]:
        middle, last = last, middle
        if v[middle] < v[first]:
            first, middle = middle, first
    size = nearest.shape[0]
    row_from = int(max(np.ceil(v[first]), float(top)))
    row_to = int(min(np.ceil(v[last]), float(top + size)))
    if row_from >= row_to:
        return
    long_slope = (u[last] - u[first]) / (v[last] - v[first])
    upper_slope = (u[middle] - u[first]) / (v[middle] - v[first]) if v[middle] > v[first] else 0.0
    lower_slope = (u[last] - u[middle]) / (v[last] - v[middle]) if v[last] > v[middle] else 0.0
    for row in range(row_from, row_to):
        along = u[first] + (row - v[first]) * long_slope
        start, slope = (first, upper_slope) if row < v[middle] else (middle, lower_slope)
        across = u[start] + (row - v[start]) * slope
        column_from = int(max(np.ceil(min(along, across)), float(left)))
        column_to = int(min(np.ceil(max(along, across)), float(left + size)))
        w_row = w[0] + (row - v[0]) * w_down - u[0] * w_right
        for column in range(column_from, column_to):
            depth = np.float32(w_row + column * w_right)
            if depth > nearest[row - top, column - left]:
                nearest[row - top, column - left] = depth
                index[row - top, column - left] = face


@_inline
def _shade_point(
    x: float,
    y: float,
    face: int,
    xy: np.ndarray,
    inverse_z: np.ndarray,
    positions: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
) -> tuple[float, float]:
    """Diffuse factor and highlight at pixel coordinates (x, y) of a triangle, perspective-correct."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    abx, aby = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
    acx, acy = xy[c, 0] - xy[a, 0], xy[c, 1] - xy[a, 1]
    area = abx * acy - acx * aby
    qx, qy = x - xy[a, 0], y - xy[a, 1]
    # Barycentric weights over z, all times the same number, which shading does not mind.
    per_area = 1.0 / area
    share_b = (qx * acy - acx * qy) * per_area
    share_c = (abx * qy - qx * aby) * per_area
    wa, wb, wc = (1.0 - share_b - share_c) * inverse_z[a], share_b * inverse_z[b], share_c * inverse_z[c]
    # The winding's direction on the screen says which side is seen; the interpolated normal's sign would not, near the
    # silhouette. A positive area means clockwise on the screen (y points down), so the normal points away from us.
    side = -1.0 if area > 0 else 1.0
    return _shade(
        side * (wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]),
        side * (wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]),
        side * (wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]),
        wa * positions[a, 0] + wb * positions[b, 0] + wc * positions[c, 0],
        wa * positions[a, 1] + wb * positions[b, 1] + wc * positions[c, 1],
        wa * positions[a, 2] + wb * positions[b, 2] + wc * positions[c, 2],
    )


@jit
def draw_tiles(
    tiles: np.ndarray,
    starts: np.ndarray,
    members: np.ndarray,
    xy: np.ndarray,
    inverse_z: np.ndarray,
    positions: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    mesh_ids: np.ndarray,
    colors: np.ndarray,
    supersample: int,
    color: np.ndarray,
    alpha: np.ndarray,
    depth: np.ndarray,
    label: np.ndarray,
) -> None:
    """Rasterise and shade the numbered `tiles` into the zeroed full-size outputs.

    `color` (H, W, 3) 0..1, mean of the covered samples; `alpha` (H, W) share of samples covered; `depth` (H, W) metres
    and `label` (H, W) mesh number + 1 of the nearest sample.
    """
    height, width = alpha.shape
    columns = (width + TILE - 1) // TILE
    size = TILE * supersample
    sample_size = 1.0 / supersample
    nearest = np.empty((size, size), np.float32)
    index = np.empty((size, size), np.int32)
    u, v, w = np.empty(3), np.empty(3), np.empty(3)
    seen = np.empty(supersample * supersample, np.int32)
    seen_x, seen_y = np.empty(seen.size), np.empty(seen.size)
    for tile in tiles:
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        nearest[:] = 0.0
        index[:] = -1
        for entry in range(starts[tile], starts[tile + 1]):
            face = members[entry]
            for corner in range(3):
                point = faces[face, corner]
                # Sample k of a row lies at pixel coordinate (k + 0.5) / supersample.
                u[corner] = xy[point, 0] * supersample - 0.5
                v[corner] = xy[point, 1] * supersample - 0.5
                w[corner] = inverse_z[point]
            _fill_triangle(u, v, w, face, x0 * supersample, y0 * supersample, nearest, index)

        for y in range(y0, min(y0 + TILE, height)):
            for x in range(x0, min(x0 + TILE, width)):
                covered, front, front_face = 0, np.float32(0.0), -1
                for row in range(supersample):
                    for column in range(supersample):
                        at_y, at_x = (y - y0) * supersample + row, (x - x0) * supersample + column
                        face = index[at_y, at_x]
                        if face >= 0:
                            seen[covered] = face
                            seen_x[covered], seen_y[covered] = column, row
                            covered += 1
                            if nearest[at_y, at_x] > front:
                                front = nearest[at_y, at_x]
                                front_face = face
                if covered == 0:
                    continue
                red, green, blue = 0.0, 0.0, 0.0
                for sample in range(covered):
                    face = seen[sample]
                    if face < 0:
                        continue
                    # Shade a triangle once per pixel, at the centroid of its samples, which lies inside the triangle.
                    count, sum_x, sum_y = 0.0, 0.0, 0.0
                    for other in range(sample, covered):
                        if seen[other] == face:
                            seen[other] = -1
                            count += 1.0
                            sum_x += seen_x[other]
                            sum_y += seen_y[other]
                    diffuse, highlight = _shade_point(
                        x + (sum_x / count + 0.5) * sample_size,
                        y + (sum_y / count + 0.5) * sample_size,
                        face, xy, inverse_z, positions, normals, faces,
                    )  # fmt: skip
                    mesh = mesh_ids[face]
                    red += count * min(colors[mesh, 0] * diffuse + highlight, 1.0)
                    green += count * min(colors[mesh, 1] * diffuse + highlight, 1.0)
                    blue += count * min(colors[mesh, 2] * diffuse + highlight, 1.0)
                share = 1.0 / covered
                color[y, x, 0] = red * share
                color[y, x, 1] = green * share
                color[y, x, 2] = blue * share
                alpha[y, x] = covered * sample_size * sample_size
                depth[y, x] = 1.0 / front
                label[y, x] = mesh_ids[front_face] + 1


@jit
def blend_tiles(
    tiles: np.ndarray, color: np.ndarray, alpha: np.ndarray, image: np.ndarray, left: int, top: int, opacity: float
) -> None:
    """Put `color` over the uint8 `image` in place, inside the `tiles`; (left, top) is the first pixel's place."""
    height, width = alpha.shape
    columns = (width + TILE - 1) // TILE
    for tile in tiles:
        x0, y0 = (tile % columns) * TILE, (tile // columns) * TILE
        for y in range(y0, min(y0 + TILE, height)):
            for x in range(x0, min(x0 + TILE, width)):
                if alpha[y, x] > 0:
                    share = alpha[y, x] * opacity
                    for channel in range(3):
                        below = image[top + y, left + x, channel]
                        value = below * (1 - share) + color[y, x, channel] * (255 * share)
                        image[top + y, left + x, channel] = np.uint8(value + 0.5)
