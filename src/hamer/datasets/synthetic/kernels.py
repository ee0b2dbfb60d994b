"""Numba kernels of the drawing: z-buffer, then passes over the fragments that are seen (deferred shading).

A fragment is a triangle that a pixel shows, at the centroid of the pixel's samples that it covers. Each pass below does
one thing to all K fragments: where it is on the surface, what the texture says there, how bumps turn its normal, how
much of its surroundings neighbours hide, which light reaches it, which colour comes out. `drawing_torch.py` has the
same passes as whole arrays.

Pixel coordinates are continuous, the first pixel's centre is (0.5, 0.5). Letters: P points, F faces, T texture
coordinates, K fragments, S supersampling, L lights, M surfaces. The kernels hold no GIL and run on the caller's thread
alone. All that is compiled is in this file, since Numba's cache on disk looks for changes only in the file of the
function called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import numba
except ImportError:  # drawing.draw says what to do
    numba = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

OCCLUSION_RADIUS = 0.018  # metres; about a finger's width: darkens between fingers and in a fist


def _spirals() -> np.ndarray:
    """(4, 8, 2): eight points that fill the unit disc evenly (sunflower seeds, the golden angle apart), in four turns.

    The pixels of each 2 x 2 block take one turn each, so that what is sampled by them shows no copies of its outline.
    """
    seed = np.arange(8) + 0.5
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(8) + np.pi / 2 * np.arange(4)[:, None]
    return (np.sqrt(seed / 8)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(np.float32)


SPIRALS = _spirals()
MERGED = np.float32(0.003)  # metres of depth within which a pixel's samples of one surface are shaded as one
BLOCK_DEPTH = 0.006  # metres between neighbours that are smoothed together
SHADOW_BIAS = 0.0012  # metres; below the depth steps of a 256-texel map over a hand and its arm
SHADOW_RAMP = 0.0025  # metres behind the caster until a surface is fully in its shadow
SCATTER = np.array([0.32, 0.12, 0.08], np.float32)  # how far past the edge of light red, green and blue reach in skin
TURNED_AWAY = (
    -0.6
)  # cosine to a light; its smooth normal this far from it, bumps cannot bring a fragment into its light
STEEPEST = 1.2  # slope of bumps; texture seams may hold steeper steps, which would show as lines


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on its first call, without the GIL; keep the machine code on disk where a folder allows it."""
    if numba is None:
        return function
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError as error:  # neither the package's folder nor the user's cache folder can be written
        logger.info("compiled drawing code will not be kept: %s", error)
        return numba.njit(nogil=True, error_model="numpy")(function)


@_jit
def vertex_normals(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> None:
    """Smooth area-weighted unit normals into the zeroed `normals` (P, 3)."""
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in range(3):
            point = faces[face, corner]
            normals[point, 0] += x
            normals[point, 1] += y
            normals[point, 2] += z
    for point in range(normals.shape[0]):
        x, y, z = normals[point, 0], normals[point, 1], normals[point, 2]
        length = max(np.sqrt(x * x + y * y + z * z), 1e-30)
        normals[point, 0] = x / length
        normals[point, 1] = y / length
        normals[point, 2] = z / length


@_jit
def texture_levels(albedo: np.ndarray, relief: np.ndarray, linear: np.ndarray, texels: np.ndarray) -> None:
    """A texture and its halved levels into `texels` (N, 5): linear RGB and the slope of the relief along u and v.

    `albedo` (S, S, 3) uint8, `relief` (S, S) metres or (0, 0), `linear` (256,) from sRGB. Slopes are metres per unit of u or v,
    central differences, and halved like colours: smaller bumps than a texel vanish, as from afar.
    """
    size = albedo.shape[0]
    bumpy = relief.shape[0] > 0
    for row in range(size):
        up, down = max(row - 1, 0), min(row + 1, size - 1)
        for column in range(size):
            place = row * size + column
            texels[place, 0] = linear[albedo[row, column, 0]]
            texels[place, 1] = linear[albedo[row, column, 1]]
            texels[place, 2] = linear[albedo[row, column, 2]]
            if bumpy:
                left, right = max(column - 1, 0), min(column + 1, size - 1)
                texels[place, 3] = (relief[row, right] - relief[row, left]) * (0.5 * size)
                texels[place, 4] = (relief[down, column] - relief[up, column]) * (0.5 * size)
            else:
                texels[place, 3] = 0.0
                texels[place, 4] = 0.0
    start = 0
    while size > 1:
        half = size // 2
        following = start + size * size
        for row in range(half):
            for column in range(half):
                above = start + 2 * row * size + 2 * column
                below = above + size
                for channel in range(5):
                    texels[following + row * half + column, channel] = np.float32(0.25) * (
                        texels[above, channel]
                        + texels[above + 1, channel]
                        + texels[below, channel]
                        + texels[below + 1, channel]
                    )
        start, size = following, half


@_jit
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


@_jit
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
            left = 0
            for sample in range(samples):
                row, column = y * supersample + sample // supersample, x * supersample + sample % supersample
                depth[sample] = nearest[row, column]
                if depth[sample] > 0:
                    face[sample] = index[row, column]
                    left += 1
            is_front = True
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


@_jit
def interpolate(
    face_of: np.ndarray,
    at: np.ndarray,
    xy: np.ndarray,
    inverse_z: np.ndarray,
    positions: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray,
    uv_faces: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Perspective-correct attributes of the fragments, and how they change per pixel to the right and downwards.

    Returns:
        `position` (K, 3) m; `normal` (K, 3) unit, towards the side that is seen; `d_position` (K, 2, 3), `coordinate`
        (K, 2), `d_coordinate` (K, 2, 2): the change to the right, then downwards, of each axis.
    """
    count = face_of.shape[0]
    position, normal = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    d_position = np.empty((count, 2, 3), np.float32)
    coordinate, d_coordinate = np.empty((count, 2), np.float32), np.empty((count, 2, 2), np.float32)
    for k in range(count):
        face = face_of[k]
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ta, tb, tc = uv_faces[face, 0], uv_faces[face, 1], uv_faces[face, 2]
        acx, acy = xy[c, 0] - xy[a, 0], xy[c, 1] - xy[a, 1]
        abx, aby = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
        area = abx * acy - acx * aby
        per_area = 1.0 / area
        ia, ib, ic = inverse_z[a], inverse_z[b] * per_area, inverse_z[c] * per_area
        qx, qy = at[k, 0] - xy[a, 0], at[k, 1] - xy[a, 1]
        # Shares on the picture are linear; over z, and divided by their sum, they are those on the triangle.
        wb, wc = qx * acy - acx * qy, abx * qy - qx * aby
        wa = (1.0 - (wb + wc) * per_area) * ia
        wb, wc = wb * ib, wc * ic
        z = 1.0 / (wa + wb + wc)
        wa, wb, wc = wa * z, wb * z, wc * z
        for way in range(2):
            db, dc = (acy, -aby) if way == 0 else (-acx, abx)
            da = -(db + dc) * per_area * ia
            db, dc = db * ib, dc * ic
            total = da + db + dc
            da, db, dc = (da - wa * total) * z, (db - wb * total) * z, (dc - wc * total) * z
            for axis in range(3):
                d_position[k, way, axis] = da * positions[a, axis] + db * positions[b, axis] + dc * positions[c, axis]
            for axis in range(2):
                d_coordinate[k, way, axis] = da * uv[ta, axis] + db * uv[tb, axis] + dc * uv[tc, axis]
        # The winding's direction on the screen says which side is seen; the interpolated normal's sign would not, near
        # the silhouette. A positive area means clockwise on the screen (y down): the normal points away from us.
        side = -1.0 if area > 0 else 1.0
        length = 0.0
        for axis in range(3):
            position[k, axis] = wa * positions[a, axis] + wb * positions[b, axis] + wc * positions[c, axis]
            value = side * (wa * normals[a, axis] + wb * normals[b, axis] + wc * normals[c, axis])
            normal[k, axis] = value
            length += value * value
        scale = 1.0 / max(np.sqrt(length), 1e-12)
        for axis in range(3):
            normal[k, axis] *= scale
        for axis in range(2):
            coordinate[k, axis] = wa * uv[ta, axis] + wb * uv[tb, axis] + wc * uv[tc, axis]
    return position, normal, d_position, coordinate, d_coordinate


@_jit
def sample_textures(
    coordinate: np.ndarray,
    d_coordinate: np.ndarray,
    face_of: np.ndarray,
    owners: np.ndarray,
    textures: np.ndarray,
    texels: np.ndarray,
) -> np.ndarray:
    """Colour and slopes (K, 5) at texture coordinates: bilinear in two levels, blended by the pixel's footprint.

    `owners` (F,) the surface of a face, `textures` (M, 2) its first texel and size, `texels` (N, 5) see texture_levels.
    """
    count = face_of.shape[0]
    result = np.empty((count, 5), np.float32)
    for k in range(count):
        owner = owners[face_of[k]]
        start, size = textures[owner, 0], textures[owner, 1]
        square = 0.0
        for way in range(2):
            for axis in range(2):
                square += d_coordinate[k, way, axis] * d_coordinate[k, way, axis]
        # Texels that a pixel spans, mean over its directions; the longest would blur surfaces that are seen edge-on.
        level = 0.5 * np.log2(max(0.5 * square * size * size, 1e-12))
        level = min(max(level, 0.0), 16.0)
        lower = int(level)
        blend = np.float32(level - lower)
        for _ in range(lower):
            if size > 1:
                start += size * size
                size //= 2
        for channel in range(5):
            result[k, channel] = 0.0
        for step in range(2):
            weight = blend if step else np.float32(1.0) - blend
            if step and size > 1:
                start += size * size
                size //= 2
            column = min(max(coordinate[k, 0] * size - 0.5, 0.0), size - 1.0)
            row = min(max(coordinate[k, 1] * size - 0.5, 0.0), size - 1.0)
            left, top = int(column), int(row)
            right, bottom = min(left + 1, size - 1), min(top + 1, size - 1)
            x, y = np.float32(column - left), np.float32(row - top)
            one = np.float32(1.0)
            for channel in range(5):
                above = texels[start + top * size + left, channel] * (one - x)
                above += texels[start + top * size + right, channel] * x
                below = texels[start + bottom * size + left, channel] * (one - x)
                below += texels[start + bottom * size + right, channel] * x
                result[k, channel] += weight * (above * (one - y) + below * y)
    return result


@_jit
def bend_normals(
    normal: np.ndarray, d_position: np.ndarray, d_coordinate: np.ndarray, texture: np.ndarray
) -> np.ndarray:
    """Normals (K, 3) turned by the relief: Mikkelsen, "Bump mapping unparametrized surfaces on the GPU" (2010)."""
    bent = np.empty_like(normal)
    for k in range(normal.shape[0]):
        nx, ny, nz = normal[k, 0], normal[k, 1], normal[k, 2]
        rise_right = texture[k, 3] * d_coordinate[k, 0, 0] + texture[k, 4] * d_coordinate[k, 0, 1]
        rise_down = texture[k, 3] * d_coordinate[k, 1, 0] + texture[k, 4] * d_coordinate[k, 1, 1]
        rx, ry, rz = d_position[k, 0, 0], d_position[k, 0, 1], d_position[k, 0, 2]
        dx, dy, dz = d_position[k, 1, 0], d_position[k, 1, 1], d_position[k, 1, 2]
        ax, ay, az = dy * nz - dz * ny, dz * nx - dx * nz, dx * ny - dy * nx  # down x normal
        bx, by, bz = ny * rz - nz * ry, nz * rx - nx * rz, nx * ry - ny * rx  # normal x right
        volume = rx * ax + ry * ay + rz * az
        volume = max(volume, 1e-20) if volume >= 0 else min(volume, -1e-20)
        gx = (rise_right * ax + rise_down * bx) / volume
        gy = (rise_right * ay + rise_down * by) / volume
        gz = (rise_right * az + rise_down * bz) / volume
        slope = np.sqrt(gx * gx + gy * gy + gz * gz)
        scale = min(1.0, STEEPEST / max(slope, 1e-12))
        nx, ny, nz = nx - scale * gx, ny - scale * gy, nz - scale * gz
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        bent[k, 0], bent[k, 1], bent[k, 2] = nx / length, ny / length, nz / length
    return bent


@_jit
def occlusion(
    pixels: np.ndarray,
    at: np.ndarray,
    position: np.ndarray,
    normal: np.ndarray,
    nearest: np.ndarray,
    supersample: int,
    lens: np.ndarray,
) -> np.ndarray:
    """How open the surroundings of the fragments are (K,), 0..1, by what the z-buffer shows around them.

    Points of the surface within a finger's width that rise above the fragment's plane hide ambient light (after
    McGuire et al., "The Alchemy screen-space ambient obscurance algorithm", 2011). `lens` fx, fy, cx, cy in pixels.
    """
    rows, columns = nearest.shape
    step, per_fx, per_fy = 1.0 / supersample, 1.0 / lens[0], 1.0 / lens[1]
    limit = 4.0 * OCCLUSION_RADIUS * OCCLUSION_RADIUS
    result = np.empty(at.shape[0], np.float32)
    for k in range(at.shape[0]):
        px, py, pz = position[k, 0], position[k, 1], position[k, 2]
        reach = OCCLUSION_RADIUS * lens[0] * supersample / pz
        at_x, at_y = at[k, 0] * supersample, at[k, 1] * supersample
        plane = px * normal[k, 0] + py * normal[k, 1] + pz * normal[k, 2]
        turn = pixels[k, 0] % 2 + 2 * (pixels[k, 1] % 2)
        hidden = 0.0
        for point in range(SPIRALS.shape[1]):
            column = int(at_x + reach * SPIRALS[turn, point, 0])
            row = int(at_y + reach * SPIRALS[turn, point, 1])
            if column < 0 or row < 0 or column >= columns or row >= rows or nearest[row, column] <= 0:
                continue
            ray_x = ((column + 0.5) * step - lens[2]) * per_fx
            ray_y = ((row + 0.5) * step - lens[3]) * per_fy
            inverse_z = nearest[row, column]
            above = ray_x * normal[k, 0] + ray_y * normal[k, 1] + normal[k, 2] - plane * inverse_z
            if above > 0:
                z = 1.0 / inverse_z
                x, y = ray_x * z - px, ray_y * z - py
                square = x * x + y * y + (z - pz) * (z - pz)
                if square < limit:
                    hidden += max(above * z / np.sqrt(square) - 0.12, 0.0) * (1.0 - square / limit)
        result[k] = max(1.0 - 2.0 * hidden / SPIRALS.shape[1], 0.15)
    return result


@_jit
def shadows(
    pixels: np.ndarray,
    position: np.ndarray,
    normal: np.ndarray,
    direction: np.ndarray,
    light_map: np.ndarray,
    frame: np.ndarray,
    texel: float,
    softness: float,
) -> np.ndarray:
    """How much of a light reaches the fragments past all surfaces (K,), 0..1; 0 for those turned away from it.

    `light_map` (N, N) the largest height towards the light, 0 for none; `frame` (3, 4) takes camera-frame points to its
    column, row and height; `texel` its size and `softness` the radius of the edge, metres. Percentage-closer filtering
    (Reeves et al., 1987): bilinear between texels, at eight points of a disc.
    """
    size = light_map.shape[0]
    radius = max(softness / texel, 0.35)
    per_ramp = 1.0 / SHADOW_RAMP
    result = np.empty(position.shape[0], np.float32)
    for k in range(position.shape[0]):
        nx, ny, nz = normal[k, 0], normal[k, 1], normal[k, 2]
        cosine = nx * direction[0] + ny * direction[1] + nz * direction[2]
        if cosine < TURNED_AWAY:
            result[k] = 0.0
            continue
        # From a little above the surface, so that it does not shade itself; more where light grazes it.
        lift = texel * (1.0 + 2.0 * np.sqrt(max(1.0 - cosine * cosine, 0.0)))
        x, y, z = position[k, 0] + lift * nx, position[k, 1] + lift * ny, position[k, 2] + lift * nz
        u = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + frame[0, 3]
        v = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + frame[1, 3]
        w = frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z + frame[2, 3] + SHADOW_BIAS
        if u < radius or v < radius or u >= size - 1 - radius or v >= size - 1 - radius:
            result[k] = 1.0
            continue
        turn = pixels[k, 0] % 2 + 2 * (pixels[k, 1] % 2)
        dark = 0.0
        for point in range(SPIRALS.shape[1]):
            column, row = u + radius * SPIRALS[turn, point, 0], v + radius * SPIRALS[turn, point, 1]
            left, top = int(column), int(row)
            a, b = light_map[top, left] - w, light_map[top, left + 1] - w
            c, d = light_map[top + 1, left] - w, light_map[top + 1, left + 1] - w
            if a > 0 or b > 0 or c > 0 or d > 0:
                x, y = column - left, row - top
                a, b = min(max(a * per_ramp, 0.0), 1.0), min(max(b * per_ramp, 0.0), 1.0)
                c, d = min(max(c * per_ramp, 0.0), 1.0), min(max(d * per_ramp, 0.0), 1.0)
                dark += (a * (1.0 - x) + b * x) * (1.0 - y) + (c * (1.0 - x) + d * x) * y
        result[k] = 1.0 - dark / SPIRALS.shape[1]
    return result


@_jit
def smooth(
    values: np.ndarray, pixels: np.ndarray, front: np.ndarray, position: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Means of `values` (C, K) over blocks of 2 x 2 pixels of one surface, so that all of SPIRALS' turns count everywhere.

    A block reaches from a fragment's pixel to the right and downwards; neighbours count whose nearest surface is about as
    far away as the fragment is.
    """
    channels, count = values.shape
    number = np.full((height + 1, width + 1), -1, np.int32)
    for k in range(count):
        if front[k]:
            number[pixels[k, 1], pixels[k, 0]] = k
    result = np.empty_like(values)
    for k in range(count):
        found = 0
        for channel in range(channels):
            result[channel, k] = 0.0
        for step in range(4):
            other = number[pixels[k, 1] + step // 2, pixels[k, 0] + step % 2]
            if other >= 0 and abs(position[other, 2] - position[k, 2]) < BLOCK_DEPTH:
                found += 1
                for channel in range(channels):
                    result[channel, k] += values[channel, other]
        for channel in range(channels):
            result[channel, k] = result[channel, k] / found if found else values[channel, k]
    return result


@_jit
def illuminate(
    position: np.ndarray,
    normal: np.ndarray,
    texture: np.ndarray,
    open_share: np.ndarray,
    lit: np.ndarray,
    face_of: np.ndarray,
    owners: np.ndarray,
    finish: np.ndarray,
    ambient: np.ndarray,
    directions: np.ndarray,
    colors: np.ndarray,
) -> np.ndarray:
    """Linear RGB (K, 3) that the fragments send to the camera.

    `lit` (L, K) share of each light that arrives; `finish` (M, 2) gloss and scattering; `ambient` (3, 3) sky, ground,
    up; `directions`, `colors` (L, 3). Lambert's law, wrapped around the edge of light by SCATTER in skin, and a
    microfacet highlight: GGX (Walter et al., 2007), Kelemen's visibility, Schlick's Fresnel.
    """
    count, lights = position.shape[0], directions.shape[0]
    result = np.empty((count, 3), np.float32)
    for k in range(count):
        gloss, scatter = finish[owners[face_of[k]], 0], finish[owners[face_of[k]], 1]
        roughness = 0.78 - 0.55 * gloss
        roughness4 = roughness * roughness * roughness * roughness
        strength = gloss / (gloss + 0.15)
        nx, ny, nz = normal[k, 0], normal[k, 1], normal[k, 2]
        scale = -1.0 / np.sqrt(position[k, 0] ** 2 + position[k, 1] ** 2 + position[k, 2] ** 2)
        vx, vy, vz = position[k, 0] * scale, position[k, 1] * scale, position[k, 2] * scale  # towards the viewer
        facing = max(nx * vx + ny * vy + nz * vz, 0.02)
        edge = 1.0 - facing
        edge *= edge * edge * edge * edge
        # Ambient light from the side that the normal faces, and its mirror image in the surface's gloss.
        upward = nx * ambient[2, 0] + ny * ambient[2, 1] + nz * ambient[2, 2]
        viewed = vx * ambient[2, 0] + vy * ambient[2, 1] + vz * ambient[2, 2]
        mirrored = 0.5 + 0.5 * (2.0 * facing * upward - viewed)
        sheen = strength * (0.04 + (1.0 - roughness) * (1.0 - roughness) * edge) * open_share[k]
        for channel in range(3):
            albedo = texture[k, channel]
            # Light that leaves a cavity has met its walls often, and takes their colour on (Jimenez et al., 2016).
            opened = open_share[k] * (1.0 + albedo * (1.0 - open_share[k]))
            sky, ground = ambient[0, channel], ambient[1, channel]
            result[k, channel] = albedo * opened * (ground + (sky - ground) * (0.5 + 0.5 * upward))
            result[k, channel] += sheen * (ground + (sky - ground) * min(max(mirrored, 0.0), 1.0))
        for light in range(lights):
            lx, ly, lz = directions[light, 0], directions[light, 1], directions[light, 2]
            cosine = nx * lx + ny * ly + nz * lz
            if cosine <= -SCATTER[0] or lit[light, k] <= 0:
                continue
            shine = 0.0
            if cosine > 0:
                hx, hy, hz = lx + vx, ly + vy, lz + vz
                half_scale = 1.0 / max(np.sqrt(hx * hx + hy * hy + hz * hz), 1e-6)
                half_normal = max((nx * hx + ny * hy + nz * hz) * half_scale, 0.0)
                half_light = max((lx * hx + ly * hy + lz * hz) * half_scale, 0.05)
                spread = half_normal * half_normal * (roughness4 - 1.0) + 1.0
                fresnel = 1.0 - half_light
                fresnel = 0.04 + 0.96 * fresnel * fresnel * fresnel * fresnel * fresnel
                shine = strength * fresnel * roughness4 / (spread * spread) * 0.25 / (half_light * half_light)
                shine = min(shine * cosine, 4.0) * lit[light, k] * open_share[k]
            around = 0.4 + 0.6 * open_share[k]
            for channel in range(3):
                wrap = scatter * SCATTER[channel]
                diffuse = max(cosine + wrap, 0.0) / ((1.0 + wrap) * (1.0 + wrap))
                reach = lit[light, k]
                reach += 3.0 * wrap * reach * (1.0 - reach)  # skin carries light into a shadow's edge
                diffuse *= min(reach, 1.0) * around
                result[k, channel] += colors[light, channel] * (texture[k, channel] * diffuse + shine)
    return result


@_jit
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


@_jit
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
