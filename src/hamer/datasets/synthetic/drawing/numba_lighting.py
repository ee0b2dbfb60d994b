"""Numba passes of the drawing: what neighbours hide of a fragment's surroundings, which light arrives, what it sends back.

Letters as in `numba_zbuffer.py`.
"""

from __future__ import annotations

import numpy as np

from hamer.compiling import jit

OCCLUSION_RADIUS = 0.018  # metres; about a finger's width: darkens between fingers and in a fist
SHADOW_BIAS = 0.0012  # metres; below the depth steps of a 256-texel map over a hand and its arm
SHADOW_RAMP = 0.0025  # metres behind the caster until a surface is fully in its shadow
TURNED_AWAY = -0.6  # cosine to a light of a smooth normal that bumps cannot bring back into it
BLOCK_DEPTH = 0.006  # metres between neighbours that are smoothed together
SCATTER = np.array([0.32, 0.12, 0.08], np.float32)  # how far past the edge of light red, green and blue reach in skin


def _spirals() -> np.ndarray:
    """(4, 8, 2): eight points that fill the unit disc evenly (sunflower seeds, the golden angle apart), in four turns.

    The pixels of each 2 x 2 block take one turn each, so that what is sampled by them shows no copies of its outline.
    """
    seed = np.arange(8) + 0.5
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(8) + np.pi / 2 * np.arange(4)[:, None]
    return (np.sqrt(seed / 8)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(np.float32)


SPIRALS = _spirals()


@jit
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


@jit
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


@jit
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


@jit
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
