"""Numba passes of the drawing: where a fragment is on its surface, its texture there, and how bumps turn its normal.

Letters as in `numba_zbuffer.py`.
"""

from __future__ import annotations

import numpy as np

from hamer.compiling import jit

STEEPEST = 1.2  # slope of bumps; texture seams may hold steeper steps, which would show as lines


@jit
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


@jit
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


@jit
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


@jit
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


@jit
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
        length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
        bent[k, 0], bent[k, 1], bent[k, 2] = nx / length, ny / length, nz / length
    return bent
