"""Draw textured surfaces as a camera sees them, in linear light, with exact truth per pixel.

The kernels are in the other files named numba; `torch_drawing.py` draws the same in batches on any device. A picture is
drawn on the caller's thread, without the GIL: threads or processes over pictures use all cores, and a picture never
depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hamer import compiling
from hamer.datasets.synthetic.drawing import numba_lighting, numba_texturing, numba_zbuffer
from hamer.datasets.synthetic.drawing.lights import Lights
from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.drawing.triangles import (
    SHADOW_SIZE,
    Projection,
    Triangles,
    lens_of,
    light_frame,
)
from hamer.datasets.synthetic.srgb import light_of_bytes

_LINEAR = light_of_bytes()
_NO_INDEX = np.zeros((0, 0), np.int32)
_NO_RELIEF = np.zeros((0, 0), np.float32)


@dataclass
class Drawn:
    """What a camera sees of some surfaces, H x W pixels.

    `color` (H, W, 3) float32 linear RGB times alpha, may exceed 1 in highlights; `alpha` (H, W) float32 share of the
    pixel that is covered; of the nearest surface in the pixel: `depth` (H, W) float32 z in metres, 0 where nothing is,
    `label` (H, W) uint8, and `uv` (H, W, 2) float32 texture coordinates of the annotated hand (labels 1 to 16), NaN elsewhere.
    """

    color: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    label: np.ndarray
    uv: np.ndarray

    @classmethod
    def empty(cls, width: int, height: int) -> Drawn:
        """A picture of nothing."""
        plane = (height, width)
        return cls(
            color=np.zeros((*plane, 3), np.float32),
            alpha=np.zeros(plane, np.float32),
            depth=np.zeros(plane, np.float32),
            label=np.zeros(plane, np.uint8),
            uv=np.full((*plane, 2), np.nan, np.float32),
        )


def draw(
    surfaces: Sequence[Surface],
    lights: Lights,
    camera_matrix: np.ndarray,
    width: int,
    height: int,
    supersample: int = 2,
) -> Drawn:
    """Draw `surfaces` under `lights` as a pinhole camera sees them.

    Args:
        surfaces: camera frame; triangles that reach behind the camera (nearer than 2 cm) are left out. May be empty.
        camera_matrix: (3, 3) in pixels, the first pixel's centre at (0.5, 0.5); no skew.
        supersample: samples per pixel along each side, 1 to 4. Surfaces are shaded once per pixel and triangle.

    Raises:
        ValueError: sizes that are not positive, a camera matrix that is none.
        ImportError: Numba is missing; `torch_drawing.draw_batch` draws the same with torch.
    """
    check_sizes(width, height, supersample)
    if compiling.numba is None:
        raise ImportError(
            "drawing needs the package numba; hamer.datasets.synthetic.drawing.torch_drawing draws without it"
        )
    drawn = Drawn.empty(width, height)
    triangles = Triangles.of(surfaces)
    projection = Projection.of(triangles, camera_matrix)
    bounds = projection.bounds(triangles.faces, width, height)
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        return drawn
    normals = np.zeros_like(triangles.positions)
    numba_texturing.vertex_normals(triangles.positions, triangles.faces, normals)

    nearest = np.zeros((height * supersample, width * supersample), np.float32)
    index = np.empty(nearest.shape, np.int32)
    u, v = np.ascontiguousarray((projection.xy * supersample - 0.5).T)
    numba_zbuffer.fill(u, v, projection.inverse_z, triangles.faces[projection.drawn], nearest, index)
    drawn_faces = np.flatnonzero(projection.drawn).astype(np.int32)
    pixels, face_of, at, share, front = numba_zbuffer.fragments(
        nearest, index, triangles.owners[drawn_faces], supersample, bounds
    )
    face_of = drawn_faces[face_of]

    position, normal, d_position, coordinate, d_coordinate = numba_texturing.interpolate(
        face_of, at, projection.xy, projection.inverse_z, triangles.positions, normals, triangles.faces, triangles.uv,
        triangles.uv_faces,
    )  # fmt: skip
    textures, texels = texture_table(surfaces)
    texture = numba_texturing.sample_textures(coordinate, d_coordinate, face_of, triangles.owners, textures, texels)
    bent = numba_texturing.bend_normals(normal, d_position, d_coordinate, texture)
    lens = np.array(lens_of(camera_matrix))
    surroundings = np.empty((1 + len(lights.directions), len(face_of)), np.float32)
    surroundings[0] = numba_lighting.occlusion(pixels, at, position, normal, nearest, supersample, lens)
    _lit_shares(triangles, projection, lights, pixels, position, normal, width, height, surroundings[1:])
    surroundings = numba_lighting.smooth(surroundings, pixels, front, position, width, height)
    ambient = np.stack([lights.sky, lights.ground, lights.up])
    shaded = numba_lighting.illuminate(
        position, bent, texture, surroundings[0], surroundings[1:], face_of, triangles.owners, triangles.finish, ambient,
        lights.directions, lights.colors,
    )  # fmt: skip
    numba_zbuffer.accumulate(
        pixels, share, front, shaded, position, coordinate, triangles.labels[face_of],
        drawn.color, drawn.alpha, drawn.depth, drawn.label, drawn.uv,
    )  # fmt: skip
    return drawn


def check_sizes(width: int, height: int, supersample: int) -> None:
    """ValueError for sizes that cannot be drawn."""
    if width < 1 or height < 1:
        raise ValueError(f"draw: width and height must be at least 1 pixel, got {width} x {height}")
    if supersample not in (1, 2, 3, 4):
        raise ValueError(f"draw: supersample must be 1, 2, 3 or 4, got {supersample}")


def texture_table(surfaces: Sequence[Surface]) -> tuple[np.ndarray, np.ndarray]:
    """First texel and size of each surface's texture (M, 2), and all texels with their halved levels (N, 5).

    Surfaces with the same arrays share their texels.
    """
    starts: dict[tuple[int, int], int] = {}
    table = np.zeros((len(surfaces), 2), np.int64)
    total = 0
    for number, surface in enumerate(surfaces):
        key = (id(surface.albedo), id(surface.relief))
        size = len(surface.albedo)
        if key not in starts:
            starts[key] = total
            total += _texels_of(size)
        table[number] = starts[key], size
    texels = np.empty((total, 5), np.float32)
    for surface, (start, size) in zip(surfaces, table, strict=True):
        key = (id(surface.albedo), id(surface.relief))
        if key in starts:
            relief = _NO_RELIEF if surface.relief is None else surface.relief
            numba_texturing.texture_levels(surface.albedo, relief, _LINEAR, texels[start : start + _texels_of(size)])
            del starts[key]
    return table, texels


def _texels_of(size: int) -> int:
    total = 0
    while size:
        total += size * size
        size //= 2
    return total


def _lit_shares(
    triangles: Triangles,
    projection: Projection,
    lights: Lights,
    pixels: np.ndarray,
    position: np.ndarray,
    normal: np.ndarray,
    width: int,
    height: int,
    lit: np.ndarray,
) -> None:
    """How much of each light reaches the fragments, into `lit` (L, K)."""
    lit[:] = 1.0
    casting = triangles.faces[triangles.casts]
    for light in np.flatnonzero(lights.casts):
        frame, texel = light_frame(triangles, projection, lights.directions[light], width, height)
        light_map = np.zeros((SHADOW_SIZE, SHADOW_SIZE), np.float32)
        u, v, w = np.ascontiguousarray((triangles.positions @ frame[:, :3].T + frame[:, 3]).T)
        numba_zbuffer.fill(u, v, w, casting, light_map, _NO_INDEX)
        lit[light] = numba_lighting.shadows(
            pixels, position, normal, lights.directions[light], light_map, frame, texel, float(lights.softness[light])
        )
