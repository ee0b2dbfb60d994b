"""The passes of the files named numba in torch, over the fragments of all pictures of a batch.

See there for what each pass does and where its formulas come from. Letters: K fragments, P points, F faces, T texture
coordinates, M surfaces, B pictures, S supersampling; floats are float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hamer.datasets.synthetic.drawing import numba_lighting, numba_texturing, numba_zbuffer


@dataclass
class Fragments:
    """What the pixels of a batch show.

    `picture` (K,), `pixel` (K, 2) column and row, `face` (K,), `at` (K, 2) pixel coordinates, `share` (K,) of the
    pixel's samples, `front` (K,) bool, `slots` the fragments' bounds in groups that hold a pixel once at most.
    """

    picture: Tensor
    pixel: Tensor
    face: Tensor
    at: Tensor
    share: Tensor
    front: Tensor
    slots: list[int]


def fragments(nearest: Tensor, index: Tensor, owners: Tensor, supersample: int) -> Fragments:
    """From the z-buffer's `nearest` and `index` (B, H * S, W * S); `owners` (F,) as of numba_zbuffer.fragments."""
    pictures, height, width = index.shape[0], index.shape[1] // supersample, index.shape[2] // supersample
    samples = supersample**2
    shape = (pictures, height, supersample, width, supersample)
    face = index.view(shape).permute(0, 1, 3, 2, 4).reshape(-1, samples)
    depth = nearest.view(shape).permute(0, 1, 3, 2, 4).reshape(-1, samples)
    covered = (face >= 0).any(dim=1).nonzero()[:, 0]
    # Nearest samples first: each that no fragment has taken yet begins one, and takes those of its surface near it.
    depth, order = depth[covered].sort(dim=1, descending=True, stable=True)
    face = face[covered].gather(1, order)
    owner = torch.where(face >= 0, owners[face.clamp_min(0)], -1)
    across, down = (order % supersample).float(), torch.div(order, supersample, rounding_mode="floor").float()
    left = face >= 0
    parts, slots = [], [0]
    for sample in range(samples):
        chosen = left[:, sample].nonzero()[:, 0]
        first, closest = face[chosen, sample, None], depth[chosen, sample, None]
        close = left[chosen] & (closest - depth[chosen] <= float(numba_zbuffer.MERGED) * closest * closest)
        same = (close & (face[chosen] == first)).float()
        merged = close & (owner[chosen] == owner[chosen, sample, None])
        left[chosen] &= ~merged
        centre = torch.stack([(same * across[chosen]).sum(dim=1), (same * down[chosen]).sum(dim=1)], dim=1)
        offset = (centre / same.sum(dim=1, keepdim=True) + 0.5) / supersample
        is_front = torch.full_like(chosen, sample == 0, dtype=torch.bool)
        parts.append((covered[chosen], first[:, 0], offset, merged.sum(dim=1) / samples, is_front))
        slots.append(slots[-1] + len(chosen))
    place, found, offset, share, front = (torch.cat(columns) for columns in zip(*parts, strict=True))
    row = torch.div(place, width, rounding_mode="floor")
    pixel = torch.stack([place % width, row % height], dim=1)
    picture = torch.div(row, height, rounding_mode="floor")
    return Fragments(picture, pixel, found, pixel + offset, share, front, slots)


def vertex_normals(positions: Tensor, faces: Tensor) -> Tensor:
    """Smooth area-weighted unit normals (P, 3)."""
    a, b, c = positions[faces].unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(positions)
    for corner in range(3):
        normals.index_add_(0, faces[:, corner], across)
    return normals / normals.norm(dim=1, keepdim=True).clamp_min(1e-30)


@dataclass
class Points:
    """Perspective-correct attributes of fragments: `position`, `normal` (K, 3), `d_position` (K, 2, 3), `coordinate` (K,
    2), `d_coordinate` (K, 2, 2), as of numba_texturing.interpolate."""

    position: Tensor
    normal: Tensor
    d_position: Tensor
    coordinate: Tensor
    d_coordinate: Tensor


def interpolate(
    found: Fragments, xy: Tensor, inverse_z: Tensor, positions: Tensor, normals: Tensor, faces: Tensor, uv: Tensor,
    uv_faces: Tensor,
) -> Points:  # fmt: skip
    """Attributes of the fragments; arguments as of numba_texturing.interpolate."""
    corners = faces[found.face]
    a, b, c = xy[corners].unbind(1)
    ab, ac, q = b - a, c - a, found.at - a
    area = ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1]
    weight_b = (q[:, 0] * ac[:, 1] - ac[:, 0] * q[:, 1]) / area
    weight_c = (ab[:, 0] * q[:, 1] - q[:, 0] * ab[:, 1]) / area
    weights = torch.stack([1 - weight_b - weight_c, weight_b, weight_c], dim=1) * inverse_z[corners]
    z = 1 / weights.sum(dim=1, keepdim=True)
    weights = weights * z
    change_b = torch.stack([ac[:, 1], -ac[:, 0]], dim=1) / area[:, None]
    change_c = torch.stack([-ab[:, 1], ab[:, 0]], dim=1) / area[:, None]
    change = torch.stack([-(change_b + change_c), change_b, change_c], dim=2) * inverse_z[corners][:, None]
    change = (change - weights[:, None] * change.sum(dim=2, keepdim=True)) * z[:, None]
    coordinates = uv[uv_faces[found.face]]
    normal = torch.einsum("kc,kca->ka", weights, normals[corners]) * torch.where(area > 0, -1.0, 1.0)[:, None]
    return Points(
        position=torch.einsum("kc,kca->ka", weights, positions[corners]),
        normal=normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-12),
        d_position=torch.einsum("kwc,kca->kwa", change, positions[corners]),
        coordinate=torch.einsum("kc,kca->ka", weights, coordinates),
        d_coordinate=torch.einsum("kwc,kca->kwa", change, coordinates),
    )


def sample_textures(points: Points, owner: Tensor, levels: Tensor, texels: Tensor) -> Tensor:
    """Colour and slopes (K, 5); `owner` (K,), `levels` (M, Q, 2) first texel and size of each surface's Q levels."""
    size = levels[owner, 0, 1].float()
    square = points.d_coordinate.square().sum(dim=(1, 2))
    level = (0.5 * torch.log2((0.5 * square * size * size).clamp_min(1e-12))).clamp(0, 16)
    lower = level.long()
    blend = (level - lower)[:, None]
    last = levels.shape[1] - 1
    fine = _bilinear(points.coordinate, levels[owner, lower.clamp_max(last)], texels)
    coarse = _bilinear(points.coordinate, levels[owner, (lower + 1).clamp_max(last)], texels)
    return fine * (1 - blend) + coarse * blend


def _bilinear(coordinate: Tensor, level: Tensor, texels: Tensor) -> Tensor:
    start, size = level[:, 0], level[:, 1]
    place = torch.minimum((coordinate * size[:, None] - 0.5).clamp_min(0), (size[:, None] - 1).float())
    low = place.long()
    high = torch.minimum(low + 1, size[:, None] - 1)
    x, y = (place - low).unbind(1)
    x, y = x[:, None], y[:, None]
    above, below = start + low[:, 1] * size, start + high[:, 1] * size
    upper = texels[above + low[:, 0]] * (1 - x) + texels[above + high[:, 0]] * x
    return upper * (1 - y) + (texels[below + low[:, 0]] * (1 - x) + texels[below + high[:, 0]] * x) * y


def bend_normals(points: Points, texture: Tensor) -> Tensor:
    """Normals (K, 3) turned by the relief."""
    rise = (texture[:, None, 3:] * points.d_coordinate).sum(dim=2)  # (K, 2): to the right, downwards
    right, down = points.d_position.unbind(1)
    first, second = torch.linalg.cross(down, points.normal), torch.linalg.cross(points.normal, right)
    volume = (right * first).sum(dim=1, keepdim=True)
    volume = torch.where(volume >= 0, volume.clamp_min(1e-20), volume.clamp_max(-1e-20))
    gradient = (rise[:, :1] * first + rise[:, 1:] * second) / volume
    scale = (numba_texturing.STEEPEST / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    bent = points.normal - scale * gradient
    return bent / bent.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _turned_spirals(pixel: Tensor) -> Tensor:
    """The disc's eight points for each pixel, (K, 8, 2)."""
    turn = pixel[:, 0] % 2 + 2 * (pixel[:, 1] % 2)
    return torch.as_tensor(numba_lighting.SPIRALS, device=pixel.device)[turn]


def occlusion(found: Fragments, points: Points, nearest: Tensor, supersample: int, lens: Tensor) -> Tensor:
    """How open the surroundings are (K,); `nearest` (B, H * S, W * S), `lens` (B, 4) fx, fy, cx, cy."""
    rows, columns = nearest.shape[1:]
    lens = lens[found.picture]
    position, normal = points.position, points.normal
    reach = numba_lighting.OCCLUSION_RADIUS * lens[:, :1] * supersample / position[:, 2:]
    spirals = _turned_spirals(found.pixel)
    plane = (position * normal).sum(dim=1)
    limit = 4 * numba_lighting.OCCLUSION_RADIUS**2
    hidden = torch.zeros_like(plane)
    for point in range(spirals.shape[1]):
        column, row = (found.at * supersample + reach * spirals[:, point]).trunc().long().unbind(1)
        usable = (column >= 0) & (row >= 0) & (column < columns) & (row < rows)
        column, row = column.clamp(0, columns - 1), row.clamp(0, rows - 1)
        inverse_z = nearest[found.picture, row, column]
        usable &= inverse_z > 0
        sample = (torch.stack([column, row], dim=1) + 0.5) / supersample
        ray = torch.cat([(sample - lens[:, 2:]) / lens[:, :2], torch.ones_like(reach)], dim=1)
        above = (ray * normal).sum(dim=1) - plane * inverse_z
        z = 1 / torch.where(usable, inverse_z, 1)
        square = (ray * z[:, None] - position).square().sum(dim=1)
        usable &= (above > 0) & (square < limit)
        sine = above * z * torch.rsqrt(torch.where(usable, square, 1))
        hidden += torch.where(usable, (sine - 0.12).clamp_min(0) * (1 - square / limit), 0)
    return (1 - 2 * hidden / spirals.shape[1]).clamp_min(0.15)


def shadows(
    found: Fragments, points: Points, direction: Tensor, number: Tensor, maps: Tensor, frames: Tensor, texels: Tensor,
    softness: Tensor,
) -> Tensor:  # fmt: skip
    """How much of one light of each picture arrives (K,).

    `direction` (B, 3); `number` (B,) of the picture's map or -1; `maps` (N, S, S), `frames` (N, 3, 4), `texels` and
    `softness` (N,) metres, as of numba_lighting.shadows.
    """
    result = torch.ones_like(found.share)
    chosen = (number[found.picture] >= 0).nonzero()[:, 0]
    if not len(chosen):
        return result
    picture = found.picture[chosen]
    which, normal = number[picture], points.normal[chosen]
    size = maps.shape[1]
    cosine = (normal * direction[picture]).sum(dim=1)
    texel = texels[which]
    radius = (softness[which] / texel).clamp_min(0.35)
    lift = texel * (1 + 2 * (1 - cosine * cosine).clamp_min(0).sqrt())
    frame = frames[which]
    place = (
        torch.einsum("kij,kj->ki", frame[:, :, :3], points.position[chosen] + lift[:, None] * normal) + frame[:, :, 3]
    )
    height = place[:, 2] + numba_lighting.SHADOW_BIAS
    inside = ((place[:, :2] >= radius[:, None]) & (place[:, :2] < size - 1 - radius[:, None])).all(dim=1)
    spirals = _turned_spirals(found.pixel[chosen])
    dark = torch.zeros_like(texel)
    for point in range(spirals.shape[1]):
        at = (place[:, :2] + radius[:, None] * spirals[:, point]).clamp(0, size - 1.001)
        left, top = at.long().unbind(1)
        x, y = at[:, 0] - left, at[:, 1] - top
        for corner in range(4):
            right, bottom = corner % 2, corner // 2
            behind = (maps[which, top + bottom, left + right] - height) / numba_lighting.SHADOW_RAMP
            dark += behind.clamp(0, 1) * (x if right else 1 - x) * (y if bottom else 1 - y)
    lit = torch.where(inside, 1 - dark / spirals.shape[1], 1)
    result[chosen] = torch.where(cosine < numba_lighting.TURNED_AWAY, 0, lit)
    return result


def smooth(values: Tensor, found: Fragments, position: Tensor, pictures: int, width: int, height: int) -> Tensor:
    """Means of `values` (C, K) over blocks of 2 x 2 pixels of one surface, as numba_lighting.smooth."""
    number = torch.full((pictures, height + 1, width + 1), -1, dtype=torch.int64, device=values.device)
    front = found.front.nonzero()[:, 0]
    number[found.picture[front], found.pixel[front, 1], found.pixel[front, 0]] = front
    total, count = torch.zeros_like(values), torch.zeros_like(values[0])
    for step in range(4):
        other = number[found.picture, found.pixel[:, 1] + step // 2, found.pixel[:, 0] + step % 2]
        near = (other >= 0) & ((position[other, 2] - position[:, 2]).abs() < numba_lighting.BLOCK_DEPTH)
        total += torch.where(near, values[:, other], 0)
        count += near
    return torch.where(count > 0, total / count.clamp_min(1), values)


def illuminate(
    found: Fragments, position: Tensor, normal: Tensor, texture: Tensor, open_share: Tensor, lit: Tensor, finish: Tensor,
    ambient: Tensor, directions: Tensor, colors: Tensor,
) -> Tensor:  # fmt: skip
    """Linear RGB (K, 3); `lit` (L, K), `finish` (K, 2), `ambient` (B, 3, 3), `directions` and `colors` (B, L, 3)."""
    gloss, scatter = finish[:, :1], finish[:, 1:]
    roughness = 0.78 - 0.55 * gloss
    strength = gloss / (gloss + 0.15)
    opened, albedo = open_share[:, None], texture[:, :3]
    view = -position / position.norm(dim=1, keepdim=True)
    facing = (normal * view).sum(dim=1, keepdim=True).clamp_min(0.02)
    sky, ground, up = ambient[found.picture].unbind(1)
    upward, viewed = (normal * up).sum(dim=1, keepdim=True), (view * up).sum(dim=1, keepdim=True)
    mirrored = (0.5 + 0.5 * (2 * facing * upward - viewed)).clamp(0, 1)
    sheen = strength * (0.04 + (1 - roughness) ** 2 * (1 - facing) ** 5) * opened
    result = albedo * opened * (1 + albedo * (1 - opened)) * (ground + (sky - ground) * (0.5 + 0.5 * upward))
    result = result + sheen * (ground + (sky - ground) * mirrored)
    wrap = scatter * torch.as_tensor(numba_lighting.SCATTER, device=scatter.device)
    for light in range(directions.shape[1]):
        toward, arrived = directions[found.picture, light], lit[light][:, None]
        cosine = (normal * toward).sum(dim=1, keepdim=True)
        shine = strength * _highlight(normal, view, toward, roughness**4) * cosine.clamp_min(0)
        shine = shine.clamp_max(4) * arrived * opened
        diffuse = (cosine + wrap).clamp_min(0) / (1 + wrap) ** 2
        diffuse = diffuse * (arrived + 3 * wrap * arrived * (1 - arrived)).clamp_max(1) * (0.4 + 0.6 * opened)
        result = result + colors[found.picture, light] * (albedo * diffuse + shine)
    return result


def _highlight(normal: Tensor, view: Tensor, toward: Tensor, roughness4: Tensor) -> Tensor:
    """GGX with Kelemen's visibility and Schlick's Fresnel, times pi, (K, 1)."""
    half = toward + view
    half = half / half.norm(dim=1, keepdim=True).clamp_min(1e-6)
    half_normal = (normal * half).sum(dim=1, keepdim=True).clamp_min(0)
    half_light = (toward * half).sum(dim=1, keepdim=True).clamp_min(0.05)
    fresnel = 0.04 + 0.96 * (1 - half_light) ** 5
    spread = half_normal.square() * (roughness4 - 1) + 1
    return fresnel * roughness4 / spread.square() * 0.25 / half_light.square()
