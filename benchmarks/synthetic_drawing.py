"""How long it takes to draw a made picture of a hand: Numba, torch on the processor, torch on a graphics card.

    python benchmarks/synthetic_drawing.py [--rounds 20] [--size 256] [--batch 8] [--clock cpu]

Scenes as training draws them: a textured hand with relief in random pose and light, its forearm, sometimes a held
object and a second hand, 256 x 256 pixels at 4 samples each, one thread. The candidates take turns within each round,
so that a busy machine slows all of them alike; medians and minima of a round's mean over the scenes.
`hamer.rendering` in plain NumPy and in Numba draws the same triangles in one colour without textures, shadows and
occlusion, as a yardstick. The CUDA line is printed only where a device is present; its time includes sending the scenes
there. The last table says where the time goes, from meshes to a linear picture with labels, depth and uv.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.datasets.synthetic.composition import Scene, SceneMaker
from hamer.datasets.synthetic.drawing import numba_drawing, numba_lighting, numba_texturing, numba_zbuffer
from hamer.datasets.synthetic.drawing.torch_drawing import draw_batch
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.hand_models.layer import HandModel
from hamer.rendering import Mesh, render
from hamer.structures import Camera


def make_scenes(count: int, size: int) -> list[Scene]:
    """Scenes of the picture maker, seed 0."""
    options = SyntheticOptions(width=size, height=size, skins=4)
    maker = SceneMaker(HandModel(load_open_hand()).eval(), options)
    return [maker.scene(np.random.default_rng([0, index])) for index in range(count)]


def candidates(scenes: list[Scene], size: int, batch: int) -> dict[str, Callable[[], object]]:
    """Name -> draws all scenes."""

    def numba() -> None:
        for scene in scenes:
            numba_drawing.draw(scene.surfaces(), scene.lights, scene.camera_matrix, size, size)

    def torch_on(device: str, group: int) -> Callable[[], None]:
        def draw() -> None:
            for start in range(0, len(scenes), group):
                part = scenes[start : start + group]
                drawn = draw_batch(
                    [scene.surfaces() for scene in part], [scene.lights for scene in part],
                    np.stack([scene.camera_matrix for scene in part]), size, size, device=device,
                )  # fmt: skip
                drawn.color[0, 0, 0, 0].item()  # waits for the device

        return draw

    def plain(backend: str) -> Callable[[], None]:
        def draw() -> None:
            for scene in scenes:
                matrix = scene.camera_matrix
                camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
                meshes = [Mesh(surface.vertices, surface.faces) for surface in scene.surfaces()]
                render(meshes, camera, size, size, backend=backend, threads=1)  # type: ignore[arg-type]

        return draw

    found: dict[str, Callable[[], object]] = {
        "Numba": numba,
        "torch, CPU, one picture at a time": torch_on("cpu", 1),
        f"torch, CPU, batches of {batch}": torch_on("cpu", batch),
        "hamer.rendering, NumPy, one colour": plain("numpy"),
        "hamer.rendering, Numba, one colour": plain("numba"),
    }
    if torch.cuda.is_available():
        found[f"torch, CUDA, batches of {batch}"] = torch_on("cuda", batch)
    return found


def measure(scenes: list[Scene], size: int, batch: int, rounds: int, clock: Callable[[], float]) -> None:
    """Print milliseconds a picture."""
    ways = candidates(scenes, size, batch)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for draw in ways.values():
        draw()  # compiles, fills caches
    for _ in range(rounds):
        for name, draw in ways.items():
            times[name].append(1000 * _seconds(draw, clock) / len(scenes))
    print("| drawn by | ms a picture, median (minimum) | pictures a second |\n|---|---|---|")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.1f} ({min(values):.1f}) | {1000 / middle:.0f} |")
    print()


def parts(scenes: list[Scene], size: int, rounds: int, clock: Callable[[], float]) -> None:
    """Print where the time of the Numba drawing goes."""
    homes = {
        numba_texturing: ("vertex_normals", "texture_levels", "interpolate", "sample_textures", "bend_normals"),
        numba_zbuffer: ("fill", "fragments", "accumulate"),
        numba_lighting: ("occlusion", "shadows", "smooth", "illuminate"),
    }
    originals = {name: (home, getattr(home, name)) for home, names in homes.items() for name in names}
    spent = dict.fromkeys(originals, 0.0)

    def timed(name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            start = clock()
            result = originals[name][1](*arguments)
            spent[name] += clock() - start
            return result

        return call

    best: dict[str, float] = {}
    for name, (home, _) in originals.items():
        setattr(home, name, timed(name))
    try:
        for _ in range(rounds):
            spent.update(dict.fromkeys(originals, 0.0))
            start = clock()
            for scene in scenes:
                numba_drawing.draw(scene.surfaces(), scene.lights, scene.camera_matrix, size, size)
            total = clock() - start
            row = {**spent, "the rest: joining, projecting, memory": total - sum(spent.values()), "all of it": total}
            best = {name: min(best.get(name, np.inf), value) for name, value in row.items()}
    finally:
        for name, (home, original) in originals.items():
            setattr(home, name, original)
    print("| part of the Numba drawing | ms a picture, minimum |\n|---|---|")
    for name, value in best.items():
        print(f"| {name} | {1000 * value / len(scenes):.2f} |")


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
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    return f"{model}, {os.cpu_count()} threads{load}{card}; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    torch.set_num_threads(1)
    scenes = make_scenes(arguments.scenes, arguments.size)
    drawn = [
        numba_drawing.draw(s.surfaces(), s.lights, s.camera_matrix, arguments.size, arguments.size) for s in scenes
    ]
    faces = statistics.mean(sum(len(surface.faces) for surface in scene.surfaces()) for scene in scenes)
    covered = statistics.mean(int((picture.alpha > 0).sum()) for picture in drawn)
    print(f"{machine()}\n{len(scenes)} scenes, on average {faces:.0f} triangles over {covered:.0f} pixels\n")
    measure(scenes, arguments.size, arguments.batch, arguments.rounds, clock)
    parts(scenes, arguments.size, arguments.rounds, clock)


if __name__ == "__main__":
    main()
