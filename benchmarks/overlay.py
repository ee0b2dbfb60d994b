"""How long it takes to draw hands over a picture: ours in Numba and in NumPy, and the original's way where it can be run.

    python benchmarks/overlay.py [--rounds 15] [--threads 1 2] [--clock cpu]

One and eight hands of about 3,200 triangles, at 1920x1080 and 256x256, from vertices and a uint8 picture to the composited
uint8 picture. The candidates take turns within each round, so that a busy machine slows all of them alike; medians and
minima over the rounds; `--clock cpu` counts the processor time of all threads instead, which other programs disturb less.
The original draws with pyrender, making a renderer for each picture; it is measured where pyrender can be imported and
EGL works (an environment of its own: pip install pyrender, and the system's libegl1).

What bounds ours: see the last table, a single hand at 1920x1080 on one thread, part by part. Filling triangles and shading take
time in proportion to the pixels that the hand covers, at its four samples each; the size of the picture costs only its copy.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hamer.rendering
from hamer.rendering import Mesh, tiles
from hamer.rendering.scene import build_scene
from hamer.structures import Camera

OPEN_HAND = Path(hamer.__file__).parent / "hand_models" / "open_hand.npz"


@dataclass
class Case:
    """A picture and the hands that go over it."""

    name: str
    image: np.ndarray
    meshes: list[Mesh]
    camera: Camera


def make_cases() -> list[Case]:
    """Hands of 0.18 m filling about 5 % of the picture each at 1080p; the eight stand in two rows."""
    with np.load(OPEN_HAND, allow_pickle=False) as arrays:
        vertices, faces = arrays["v_template"].astype(np.float64), arrays["faces"]
    vertices = vertices - vertices.mean(axis=0)
    # Fingers up, palm towards the camera, slightly turned: from (-x fingers, -y palm) to (-y up, -z palm).
    vertices = np.stack([vertices[:, 2], vertices[:, 0], vertices[:, 1]], axis=1)
    cases = []
    for width, height, focal in ((1920, 1080, 1500.0), (256, 256, 300.0)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        camera = Camera(focal, focal, width / 2, height / 2)
        depth = 0.75
        for count in (1, 8):
            columns = min(count, 4)
            spread = 0.8 * width / focal * depth / columns if count > 1 else 0.0
            meshes = []
            for number in range(count):
                x = (number % columns - (columns - 1) / 2) * spread
                y = (number // columns - (count > 1) / 2) * 0.45 * height / focal * depth
                meshes.append(Mesh(vertices + np.array([x, y, depth + 0.01 * number]), faces))
            cases.append(Case(f"{count} hand{'s' * (count > 1)}, {width}x{height}", image, meshes, camera))
    return cases


def ours(case: Case, **options: Any) -> np.ndarray:
    """Our overlay."""
    return hamer.rendering.overlay(case.image, case.meshes, case.camera, **options)


def candidates(threads: list[int]) -> dict[str, Callable[[Case], np.ndarray]]:
    """Name -> how to draw a case."""
    found: dict[str, Callable[[Case], np.ndarray]] = {}
    if tiles.numba is not None:
        for count in threads:
            found[f"numba, {count} thread{'s' * (count > 1)}"] = functools.partial(ours, threads=count)
    found["numpy"] = functools.partial(ours, backend="numpy")
    original = pyrender_overlay()
    if original is not None:
        found["pyrender (EGL), as the original"] = original
    return found


def pyrender_overlay() -> Callable[[Case], np.ndarray] | None:
    """The original's way to draw, or None where pyrender or EGL is missing."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    try:
        import pyrender
        import trimesh
    except Exception as error:  # PyOpenGL raises many kinds
        print(f"pyrender is not measured: {error}\n")
        return None

    def draw(case: Case) -> np.ndarray:
        height, width = case.image.shape[:2]
        renderer = pyrender.OffscreenRenderer(width, height)
        scene = pyrender.Scene(bg_color=[0, 0, 0, 0], ambient_light=(0.3, 0.3, 0.3))
        for mesh in case.meshes:
            colors = np.tile([*mesh.color, 1.0], (len(mesh.vertices), 1))
            shape = trimesh.Trimesh(mesh.vertices * (1, -1, -1), mesh.faces, vertex_colors=colors)
            scene.add(pyrender.Mesh.from_trimesh(shape))
        lens = case.camera
        scene.add(pyrender.IntrinsicsCamera(lens.fx, lens.fy, lens.cx, lens.cy, zfar=1e12))
        for turn in range(3):
            pose = trimesh.transformations.rotation_matrix(2 * np.pi * turn / 3, (0, 0, 1))
            pose = pose @ trimesh.transformations.rotation_matrix(np.pi / 6, (0, 1, 0))
            scene.add(pyrender.DirectionalLight(intensity=1.0), pose=pose)
        rgba = renderer.render(scene, flags=pyrender.RenderFlags.RGBA)[0].astype(np.float32) / 255
        renderer.delete()
        blended = rgba[..., :3] * rgba[..., 3:] + case.image.astype(np.float32) / 255 * (1 - rgba[..., 3:])
        return (255 * blended).astype(np.uint8)

    try:
        case = Case("trial", np.zeros((32, 32, 3), np.uint8), [make_cases()[0].meshes[0]], Camera(30, 30, 16, 16))
        draw(case)
    except Exception as error:  # no EGL device, no driver
        print(f"pyrender is not measured: {type(error).__name__}: {error}\n")
        return None
    return draw


def measure(
    cases: list[Case], ways: dict[str, Callable[[Case], np.ndarray]], rounds: int, clock: Callable[[], float]
) -> None:
    """Print a table of milliseconds, median (minimum)."""
    times: dict[tuple[str, str], list[float]] = {}
    for case in cases:
        for name, draw in ways.items():
            draw(case)  # compiles, fills caches
            times[name, case.name] = []
        for _ in range(rounds):
            for name, draw in ways.items():
                start = clock()
                draw(case)
                times[name, case.name].append(1000 * (clock() - start))
    print("| milliseconds, median (minimum) | " + " | ".join(case.name for case in cases) + " |")
    print("|---" * (len(cases) + 1) + "|")
    for name in ways:
        cells = [f"{statistics.median(v):.1f} ({min(v):.1f})" for v in (times[name, case.name] for case in cases)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    fastest = next(iter(ways))
    for name in list(ways)[1:]:
        ratios = [statistics.median(times[name, c.name]) / statistics.median(times[fastest, c.name]) for c in cases]
        print(f"| {name} / {fastest} | " + " | ".join(f"{ratio:.1f}x" for ratio in ratios) + " |")
    print()


def parts(case: Case, clock: Callable[[], float]) -> None:
    """Print where the time of one drawing goes, on one thread."""
    height, width = case.image.shape[:2]
    scene = build_scene(case.meshes, case.camera, tiles.vertex_normals)
    starts, members = tiles.bin_triangles(scene.xy, scene.faces, width, height)
    hit = np.flatnonzero(np.diff(starts))

    color = np.zeros((height, width, 3), np.float32)
    alpha, depth = np.zeros((2, height, width), np.float32)
    label = np.zeros((height, width), np.int16)

    def draw(inverse_z: np.ndarray) -> None:
        tiles.draw_tiles(
            hit, starts, members, scene.xy, inverse_z, scene.positions, scene.normals, scene.faces, scene.mesh_ids,
            scene.colors, 2, color, alpha, depth, label,
        )  # fmt: skip

    def whole() -> None:
        ours(case, threads=1)

    draw(scene.inverse_z)
    covered = int((alpha > 0).sum())
    target = case.image.copy()
    steps: dict[str, Callable[[], object]] = {
        "copy of the picture": case.image.copy,
        "normals, projection": lambda: build_scene(case.meshes, case.camera, tiles.vertex_normals),
        "triangles to tiles": lambda: tiles.bin_triangles(scene.xy, scene.faces, width, height),
        # Triangles behind the empty buffer's depth are filled, and never shaded.
        "filling": lambda: draw(-scene.inverse_z),
        "filling and shading": lambda: draw(scene.inverse_z),
        "blending": lambda: tiles.blend_tiles(hit, color, alpha, target, 0, 0, 1.0),
        "all of it": whole,
    }
    print(f"| part, {case.name}, {covered} pixels covered | ms, minimum |\n|---|---|")
    for name, step in steps.items():
        best = min(_seconds(step, clock) for _ in range(30))
        print(f"| {name} | {1000 * best:.2f} |")


def _seconds(step: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    step()
    return clock() - start


def machine() -> str:
    """What this ran on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    if tiles.numba is not None:
        versions += f", numba {tiles.numba.__version__}"
    return f"{model}, {os.cpu_count()} threads{load}; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    start = time.perf_counter()
    hamer.rendering.warmup()
    print(f"{machine()}\nfirst drawing after import: {time.perf_counter() - start:.2f} s; {arguments.clock} time\n")
    cases = make_cases()
    measure(cases, candidates(arguments.threads), arguments.rounds, clock)
    if tiles.numba is not None:
        parts(cases[0], clock)


if __name__ == "__main__":
    main()
