"""Draw meshes as a camera sees them: colour, coverage, depth and which hand, or straight over a photo.

Only the tiles that a mesh touches cost time, whatever the size of the picture.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np

from hamer.rendering import reference, tiles
from hamer.rendering.meshes import Mesh, vertex_normals
from hamer.rendering.scene import Scene, build_scene
from hamer.structures import Camera

logger = logging.getLogger(__name__)

Backend = Literal["auto", "numba", "numpy"]


@dataclass
class Rendered:
    """What a camera sees of some meshes, H x W pixels.

    `color` (H, W, 3) float32 RGB in 0..1, not multiplied by alpha, 0 where nothing is; `alpha` (H, W) float32 share of
    the pixel that is covered; `depth` (H, W) float32 z in metres of the nearest surface in the pixel, 0 where nothing
    is; `hand_id` (H, W) int16 number of the mesh that it belongs to, -1 where nothing is.
    """

    color: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    hand_id: np.ndarray


def render(
    meshes: Sequence[Mesh],
    camera: Camera,
    width: int,
    height: int,
    *,
    supersample: int = 2,
    backend: Backend = "auto",
    threads: int | None = None,
) -> Rendered:
    """Draw `meshes` as `camera` sees them in a picture of `width` x `height` pixels.

    Args:
        meshes: in the camera frame; what is behind the camera or outside the picture is cut off. May be empty.
        camera: with distortion, the vertices are distorted and the edges between them stay straight.
        supersample: samples per pixel along each side; 2 gives edges in quarters of coverage.
        backend: "numba", "numpy" (slower, same picture), or "auto": Numba where it is installed.
        threads: for Numba; default one per processor that this process may use, at most 8.

    Raises:
        ValueError: for sizes that are not positive, and for unknown backends.
    """
    if width < 1 or height < 1:
        raise ValueError(f"render: width and height must be at least 1 pixel, got {width} x {height}")
    canvas = _draw(meshes, camera, width, height, supersample, backend, threads)
    return Rendered(canvas.color, canvas.alpha, canvas.depth, canvas.label - np.int16(1))


def overlay(
    image: np.ndarray,
    meshes: Sequence[Mesh],
    camera: Camera,
    *,
    opacity: float = 1.0,
    supersample: int = 2,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """`meshes` drawn over a copy of the RGB uint8 `image` (H, W, 3); options as of `render`.

    `opacity` 1 hides what is under a hand, 0 shows nothing of the meshes.
    """
    image = _rgb(image)
    if not 0 <= opacity <= 1:
        raise ValueError(f"overlay: opacity must be in 0..1, got {opacity}")
    result = np.array(image, order="C")
    _draw_over(result, float(opacity), meshes, camera, supersample, backend, threads)
    return result


def composite(image: np.ndarray, rendered: Rendered, *, opacity: float = 1.0) -> np.ndarray:
    """`rendered` over a copy of the RGB uint8 `image` of the same size."""
    image = _rgb(image)
    if image.shape[:2] != rendered.alpha.shape:
        raise ValueError(f"composite: image must have the rendered size {rendered.alpha.shape}, got {image.shape[:2]}")
    result = image.copy()
    _blend(rendered.color, rendered.alpha, result, opacity)
    return result


def side_view(
    meshes: Sequence[Mesh] | Mesh,
    camera: Camera,
    width: int,
    height: int,
    *,
    angle: float = 90.0,
    supersample: int = 2,
    backend: Backend = "auto",
) -> Rendered:
    """The meshes turned by `angle` degrees about the vertical axis through their common centre, then drawn.

    At 90 degrees a point nearer to the camera moves to the left of the picture, as in the original's side view.
    """
    meshes = [meshes] if isinstance(meshes, Mesh) else list(meshes)
    if not meshes:
        return render(meshes, camera, width, height, supersample=supersample, backend=backend)
    everything = np.concatenate([mesh.vertices for mesh in meshes])
    centre = (everything.min(axis=0) + everything.max(axis=0)) / 2
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    turned = [Mesh((mesh.vertices - centre) @ turn.T + centre, mesh.faces, mesh.color) for mesh in meshes]
    return render(turned, camera, width, height, supersample=supersample, backend=backend)


def warmup() -> None:
    """Load and compile the drawing code now, so that the first picture is as quick as the others.

    Takes a few seconds on the first run after an installation, well under a second later, when the code comes
    from disk.
    """
    triangle = Mesh([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [[0, 1, 2]])  # type: ignore[arg-type]
    overlay(np.zeros((4, 4, 3), np.uint8), [triangle], Camera(4, 4, 0, 0))


@dataclass
class _Canvas:
    """Zeroed outputs; the system provides such memory page by page on first use, so untouched parts cost nothing."""

    color: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    label: np.ndarray  # hand number + 1, so that 0 means none

    @classmethod
    def of(cls, width: int, height: int) -> _Canvas:
        plane = (height, width)
        return cls(
            np.zeros((*plane, 3), np.float32),
            np.zeros(plane, np.float32),
            np.zeros(plane, np.float32),
            np.zeros(plane, np.int16),
        )


def _draw(
    meshes: Sequence[Mesh],
    camera: Camera,
    width: int,
    height: int,
    supersample: int,
    backend: Backend,
    threads: int | None,
) -> _Canvas:
    """Draw on a canvas of the whole picture."""
    canvas = _Canvas.of(width, height)
    scene, kernels = _prepare(meshes, camera, supersample, backend)
    if kernels is None:
        reference.draw(scene, supersample, canvas.color, canvas.alpha, canvas.depth, canvas.label)
    else:
        _draw_tiles(kernels, scene, canvas, supersample, threads or _default_threads())
    return canvas


def _draw_over(
    image: np.ndarray,
    opacity: float,
    meshes: Sequence[Mesh],
    camera: Camera,
    supersample: int,
    backend: Backend,
    threads: int | None,
) -> None:
    """Draw on a canvas that is just large enough, and blend that into `image` in place."""
    scene, kernels = _prepare(meshes, camera, supersample, backend)
    x0, y0, x1, y1 = scene.bounds(image.shape[1], image.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    scene.xy = scene.xy - (x0, y0)
    canvas = _Canvas.of(x1 - x0, y1 - y0)
    if kernels is None:
        reference.draw(scene, supersample, canvas.color, canvas.alpha, canvas.depth, canvas.label)
        _blend(canvas.color, canvas.alpha, image[y0:y1, x0:x1], opacity)
    else:
        over = _Backdrop(image, x0, y0, opacity)
        _draw_tiles(kernels, scene, canvas, supersample, threads or _default_threads(), over)


def _prepare(
    meshes: Sequence[Mesh], camera: Camera, supersample: int, backend: Backend
) -> tuple[Scene, ModuleType | None]:
    """The scene to draw and the kernels to draw it with (None: NumPy)."""
    if supersample not in (1, 2, 3, 4):
        raise ValueError(f"render: supersample must be 1, 2, 3 or 4, got {supersample}")
    if len(meshes) >= 2**15 - 1:
        raise ValueError(f"render: at most {2**15 - 2} meshes fit into the hand ids, got {len(meshes)}")
    kernels = _kernels(backend)
    return build_scene(meshes, camera, vertex_normals if kernels is None else kernels.vertex_normals), kernels


class _Backdrop(NamedTuple):
    """A picture to draw over in place, and where in it the canvas begins."""

    image: np.ndarray
    x: int
    y: int
    opacity: float


def _draw_tiles(
    kernels: ModuleType,
    scene: Scene,
    canvas: _Canvas,
    supersample: int,
    threads: int,
    over: _Backdrop | None = None,
) -> None:
    height, width = canvas.alpha.shape
    starts, members = kernels.bin_triangles(scene.xy, scene.faces, width, height)
    tiles_hit = np.flatnonzero(np.diff(starts))

    def work(part: np.ndarray) -> None:
        kernels.draw_tiles(
            part, starts, members, scene.xy, scene.inverse_z, scene.positions, scene.normals, scene.faces,
            scene.mesh_ids, scene.colors, supersample, canvas.color, canvas.alpha, canvas.depth, canvas.label,
        )  # fmt: skip
        if over is not None:
            kernels.blend_tiles(part, canvas.color, canvas.alpha, over.image, over.x, over.y, over.opacity)

    _share(work, tiles_hit, threads)


def _share(work: Callable[[np.ndarray], None], tiles: np.ndarray, threads: int) -> None:
    """Run `work` on all tiles: interleaved parts, four a thread, so that crowded tiles do not fall to one of them."""
    if threads <= 1 or len(tiles) < 8:
        if len(tiles):
            work(tiles)
        return
    parts = [np.ascontiguousarray(tiles[part :: 4 * threads]) for part in range(min(4 * threads, len(tiles)))]
    list(_pool(os.getpid(), threads).map(work, parts))


@functools.lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The drawing threads; by process, since threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="hamer-rendering")


def _default_threads() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)


def _kernels(backend: Backend) -> ModuleType | None:
    """The module of Numba kernels, or None for NumPy."""
    if backend not in ("auto", "numba", "numpy"):
        raise ValueError(f"render: backend must be 'auto', 'numba' or 'numpy', got {backend!r}")
    if backend == "numpy":
        return None
    if tiles.numba is not None:
        return tiles
    if backend == "numba":
        raise ValueError("render: backend 'numba' needs the package numba, which cannot be imported; use 'numpy'")
    return None


def _blend(color: np.ndarray, alpha: np.ndarray, image: np.ndarray, opacity: float) -> None:
    """Put `color` over the uint8 `image` in place."""
    rows, columns = np.nonzero(alpha)
    share = (alpha[rows, columns] * opacity)[:, None]
    value = image[rows, columns] * (1 - share) + color[rows, columns] * (255 * share)
    image[rows, columns] = (value + 0.5).astype(np.uint8)


def _rgb(image: np.ndarray) -> np.ndarray:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(f"image must be RGB uint8 of shape (H, W, 3), got {array.dtype} of shape {array.shape}")
    return array
