"""`numba_drawing.draw` in torch: many pictures at once, on any device, float32.

The same z-buffer and passes as whole arrays (`torch_zbuffer.py`, `torch_passes.py`). Meant for graphics cards, which
draw a batch in little more time than a picture; on a processor the Numba drawing is many times quicker. Labels differ
from the Numba drawing only where float32 moves an edge over a sample, colours by rounding. On a processor the same
input gives the same bits; on CUDA the sums of vertex normals run in no fixed order, so colours may differ by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from hamer.datasets.synthetic.drawing import torch_passes, torch_zbuffer
from hamer.datasets.synthetic.drawing.lights import MOST_LIGHTS, Lights
from hamer.datasets.synthetic.drawing.numba_drawing import Drawn, check_sizes
from hamer.datasets.synthetic.drawing.surfaces import FIRST_PART, LAST_PART, Surface
from hamer.datasets.synthetic.drawing.triangles import (
    SHADOW_SIZE,
    Projection,
    Triangles,
    lens_of,
    light_frame,
)
from hamer.datasets.synthetic.srgb import light_of_bytes


@dataclass
class DrawnBatch:
    """`numba_drawing.Drawn` of B pictures on a device: `color` (B, H, W, 3), `alpha`, `depth` (B, H, W), `label` (B, H, W)
    uint8, `uv` (B, H, W, 2)."""

    color: Tensor
    alpha: Tensor
    depth: Tensor
    label: Tensor
    uv: Tensor

    @classmethod
    def empty(cls, pictures: int, height: int, width: int, device: torch.device) -> DrawnBatch:
        """Pictures of nothing."""
        plane = (pictures, height, width)
        return cls(
            color=torch.zeros(*plane, 3, device=device),
            alpha=torch.zeros(plane, device=device),
            depth=torch.zeros(plane, device=device),
            label=torch.zeros(plane, dtype=torch.uint8, device=device),
            uv=torch.full((*plane, 2), torch.nan, device=device),
        )

    def picture(self, index: int) -> Drawn:
        """One picture as NumPy arrays."""
        names = ("color", "alpha", "depth", "label", "uv")
        return Drawn(**{name: getattr(self, name)[index].cpu().numpy() for name in names})


@torch.no_grad()
def draw_batch(
    scenes: Sequence[Sequence[Surface]],
    lights: Sequence[Lights],
    camera_matrices: np.ndarray,
    width: int,
    height: int,
    supersample: int = 2,
    *,
    device: torch.device | str = "cpu",
) -> DrawnBatch:
    """Draw B scenes; arguments as of `numba_drawing.draw`, one for each picture; `camera_matrices` (B, 3, 3).

    Raises:
        ValueError: as `numba_drawing.draw`, and for lists of different lengths.
    """
    check_sizes(width, height, supersample)
    if not len(scenes) == len(lights) == len(camera_matrices):
        raise ValueError(
            "draw_batch: scenes, lights and camera_matrices must have equal lengths, got "
            f"{len(scenes)}, {len(lights)} and {len(camera_matrices)}"
        )
    device = torch.device(device)
    drawn = DrawnBatch.empty(len(scenes), height, width, device)
    batch = _Batch.of(scenes, lights, camera_matrices, width, height, device)
    faces = batch.drawn.nonzero()[:, 0]
    if not len(faces):
        return drawn
    points = batch.faces[faces]
    nearest, index = torch_zbuffer.fill(
        batch.xy[points] * supersample - 0.5, batch.inverse_z[points], batch.picture[faces], faces,
        len(scenes), height * supersample, width * supersample,
    )  # fmt: skip
    found = torch_passes.fragments(nearest, index, batch.owners, supersample)
    _shade(batch, found, nearest, supersample, drawn)
    return drawn


def _shade(batch: _Batch, found: torch_passes.Fragments, nearest: Tensor, supersample: int, drawn: DrawnBatch) -> None:
    """Run the passes and join the fragments to pixels."""
    normals = torch_passes.vertex_normals(batch.positions, batch.faces)
    points = torch_passes.interpolate(
        found, batch.xy, batch.inverse_z, batch.positions, normals, batch.faces, batch.uv, batch.uv_faces
    )
    owner = batch.owners[found.face]
    texture = torch_passes.sample_textures(points, owner, batch.levels, batch.texels)
    open_share = torch_passes.occlusion(found, points, nearest, supersample, batch.lens)
    surroundings = torch.cat([open_share[None], _lit_shares(batch, found, points)])
    pictures, height, width = drawn.alpha.shape
    surroundings = torch_passes.smooth(surroundings, found, points.position, pictures, width, height)
    color = torch_passes.illuminate(
        found, points.position, torch_passes.bend_normals(points, texture), texture, surroundings[0],
        surroundings[1:], batch.finish[owner], batch.ambient, batch.directions, batch.colors,
    )  # fmt: skip
    label = batch.labels[found.face]
    # A pixel is in a slot once at most: additions in a fixed order.
    for start, end in zip(found.slots[:-1], found.slots[1:], strict=True):
        part = slice(start, end)
        place = (found.picture[part], found.pixel[part, 1], found.pixel[part, 0])
        drawn.color[place] += found.share[part, None] * color[part]
        drawn.alpha[place] += found.share[part]
    place = (found.picture[found.front], found.pixel[found.front, 1], found.pixel[found.front, 0])
    drawn.depth[place] = points.position[found.front, 2]
    drawn.label[place] = label[found.front]
    hand = found.front & (label >= FIRST_PART) & (label <= LAST_PART)
    drawn.uv[found.picture[hand], found.pixel[hand, 1], found.pixel[hand, 0]] = points.coordinate[hand]


def _lit_shares(batch: _Batch, found: torch_passes.Fragments, points: torch_passes.Points) -> Tensor:
    """How much of each light reaches the fragments, (L, K)."""
    maps = batch.shadow_maps()
    shares = [
        torch_passes.shadows(
            found, points, batch.directions[:, light], batch.map_numbers[:, light], maps, batch.frames,
            batch.map_texels, batch.softness,
        )
        for light in range(batch.directions.shape[1])
    ]  # fmt: skip
    return torch.stack(shares)


@dataclass
class _Batch:
    """All scenes in one list of triangles on a device. N shadow maps, Q texture levels; the rest as of `triangles`."""

    positions: Tensor
    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    owners: Tensor
    labels: Tensor
    casts: Tensor
    finish: Tensor
    picture: Tensor  # (F,)
    xy: Tensor
    inverse_z: Tensor
    drawn: Tensor
    lens: Tensor  # (B, 4)
    ambient: Tensor  # (B, 3, 3) sky, ground, up
    directions: Tensor  # (B, L, 3)
    colors: Tensor  # (B, L, 3), black where a picture has fewer lights
    levels: Tensor  # (M, Q, 2)
    texels: Tensor
    map_numbers: Tensor  # (B, L), -1 for lights without shadows
    map_pictures: Tensor  # (N,)
    frames: Tensor  # (N, 3, 4)
    map_texels: Tensor  # (N,)
    softness: Tensor  # (N,)

    @classmethod
    def of(
        cls,
        scenes: Sequence[Sequence[Surface]],
        lights: Sequence[Lights],
        camera_matrices: np.ndarray,
        width: int,
        height: int,
        device: torch.device,
    ) -> _Batch:
        """Join scenes on the host, send them to the device, prepare their textures there."""
        parts = [Triangles.of(surfaces) for surfaces in scenes]
        projections = [Projection.of(part, matrix) for part, matrix in zip(parts, camera_matrices, strict=True)]
        whole = Triangles.of([surface for surfaces in scenes for surface in surfaces])
        strengths = np.zeros((2, len(scenes), MOST_LIGHTS, 3), np.float32)
        numbers = np.full((len(scenes), MOST_LIGHTS), -1, np.int64)
        maps: list[tuple[int, np.ndarray, float, float]] = []
        for number, light in enumerate(lights):
            strengths[:, number, : len(light.colors)] = light.directions, light.colors
            for which in np.flatnonzero(light.casts):
                numbers[number, which] = len(maps)
                frame, texel = light_frame(parts[number], projections[number], light.directions[which], width, height)
                maps.append((number, frame, texel, float(light.softness[which])))
        levels, texels = _textures([surface for surfaces in scenes for surface in surfaces], device)

        def send(array: np.ndarray | list) -> Tensor:
            array = np.asarray(array)
            kinds = {"f": np.float32, "i": np.int64}
            return torch.as_tensor(array.astype(kinds.get(array.dtype.kind, array.dtype)), device=device)

        def join(arrays: list[np.ndarray], empty: tuple[int, ...] = (0,)) -> Tensor:
            return send(np.concatenate(arrays) if arrays else np.zeros(empty))

        return cls(
            positions=send(whole.positions), faces=send(whole.faces), uv=send(whole.uv), uv_faces=send(whole.uv_faces),
            owners=send(whole.owners), labels=send(whole.labels), casts=send(whole.casts),
            finish=send(whole.finish),
            picture=send(np.repeat(np.arange(len(scenes)), [len(part.faces) for part in parts])),
            xy=join([projection.xy for projection in projections], (0, 2)),
            inverse_z=join([projection.inverse_z for projection in projections]),
            drawn=send(np.concatenate([np.zeros(0, bool), *(projection.drawn for projection in projections)])),
            lens=send(np.array([lens_of(matrix) for matrix in camera_matrices]).reshape(-1, 4)),
            ambient=send(np.array([(light.sky, light.ground, light.up) for light in lights]).reshape(-1, 3, 3)),
            directions=send(strengths[0]), colors=send(strengths[1]), levels=levels, texels=texels,
            map_numbers=send(numbers), map_pictures=send(np.array([entry[0] for entry in maps], np.int64)),
            frames=send(np.array([entry[1] for entry in maps]).reshape(-1, 3, 4)),
            map_texels=send(np.array([entry[2] for entry in maps], np.float32)),
            softness=send(np.array([entry[3] for entry in maps], np.float32)),
        )  # fmt: skip

    def shadow_maps(self) -> Tensor:
        """Heights towards the lights that cast shadows, (N, SHADOW_SIZE, SHADOW_SIZE)."""
        count = len(self.map_pictures)
        if not count:
            return torch.zeros(0, SHADOW_SIZE, SHADOW_SIZE, device=self.xy.device)
        # Each map takes the faces of its picture that throw shadows: pairs of (map, face).
        number, face = ((self.map_pictures[:, None] == self.picture) & self.casts).nonzero(as_tuple=True)
        frame = self.frames[number]
        points = self.positions[self.faces[face]]
        place = torch.einsum("tij,tcj->tci", frame[:, :, :3], points) + frame[:, None, :, 3]
        nearest, _ = torch_zbuffer.fill(place[..., :2], place[..., 2], number, face, count, SHADOW_SIZE, SHADOW_SIZE)
        return nearest


def _textures(surfaces: Sequence[Surface], device: torch.device) -> tuple[Tensor, Tensor]:
    """First texel and size (M, Q, 2) of each surface's texture levels, and all texels (N, 5), as numba_texturing.texture_levels."""
    table = torch.tensor(light_of_bytes(), device=device)
    starts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    texels, total = [torch.zeros(0, 5, device=device)], 0
    for surface in surfaces:
        key = (id(surface.albedo), id(surface.relief))
        if key in starts:
            continue
        starts[key] = []
        level = _finest(surface, table)
        while True:
            size = level.shape[-1]
            starts[key].append((total, size))
            texels.append(level[0].flatten(1).T)
            total += size * size
            if size == 1:
                break
            level = avg_pool2d(level, 2)
    most = max((len(entry) for entry in starts.values()), default=1)
    levels = np.zeros((len(surfaces), most, 2), np.int64)
    for number, surface in enumerate(surfaces):
        entry = starts[id(surface.albedo), id(surface.relief)]
        levels[number] = entry + entry[-1:] * (most - len(entry))
    return torch.as_tensor(levels, device=device), torch.cat(texels)


def _finest(surface: Surface, table: Tensor) -> Tensor:
    """Linear RGB and slopes, (1, 5, S, S)."""
    size = len(surface.albedo)
    color = table[torch.as_tensor(surface.albedo, device=table.device).long()].permute(2, 0, 1)
    if surface.relief is None:
        slopes = torch.zeros(2, size, size, device=table.device)
    else:
        edged = pad(torch.as_tensor(surface.relief, device=table.device)[None, None], (1, 1, 1, 1), mode="replicate")[
            0, 0
        ]
        across, down = edged[1:-1, 2:] - edged[1:-1, :-2], edged[2:, 1:-1] - edged[:-2, 1:-1]
        slopes = torch.stack([across, down]) * (0.5 * size)
    return torch.cat([color, slopes])[None]
