"""Made pictures: milliseconds of one core a picture, stage by stage, and pictures a second and core all in all.

Drawing is compared, in the same run, with a plain NumPy z-buffer written here: triangle after triangle, each over its
bounding box, shaded by one light without texture, shadow or smoothing of edges: the least that any renderer does.

    python benchmarks/synthetic_pictures.py --count 100 [--backgrounds photos] [--no_landmarks]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before NumPy and torch are loaded

import cv2
import numpy as np
import torch

from hamer.datasets.synthetic.camera.effects import photograph
from hamer.datasets.synthetic.drawing.numba_drawing import draw
from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.maker import PictureMaker, over_background, truth_of
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.shards import Recipe, encoded
from hamer.datasets.synthetic.truth import annotation, visible_joints
from hamer.geometry.cameras import project

REFERENCE_COUNT = 3  # pictures drawn by the reference: it takes a second each


class Stages:
    """Milliseconds of CPU time (this process) spent in each stage, a list a stage."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what happens inside to stage `name`."""
        start = time.process_time()
        yield
        self.spent[name].append(1000 * (time.process_time() - start))


def reference_draw(surfaces: Sequence[Surface], camera_matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) float32 brightness of the nearest surface: a z-buffer in plain NumPy, a loop over triangles."""
    brightness = np.zeros((height, width), np.float32)
    nearest = np.zeros((height, width), np.float32)  # 1 / z
    matrix = torch.as_tensor(camera_matrix, dtype=torch.float32)
    for surface in surfaces:
        points = surface.vertices
        pixels = project(torch.from_numpy(points), matrix).numpy() - 0.5
        for face in surface.faces:
            if (points[face, 2] > 0.02).all():
                _reference_triangle(pixels[face], points[face], nearest, brightness)
    return brightness


def _reference_triangle(xy: np.ndarray, xyz: np.ndarray, nearest: np.ndarray, brightness: np.ndarray) -> None:
    height, width = nearest.shape
    x0, y0 = np.maximum(np.ceil(xy.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.floor(xy.max(0)).astype(int), [width - 1, height - 1])
    area = (xy[1, 0] - xy[0, 0]) * (xy[2, 1] - xy[0, 1]) - (xy[1, 1] - xy[0, 1]) * (xy[2, 0] - xy[0, 0])
    if x1 < x0 or y1 < y0 or area == 0:
        return
    y, x = np.mgrid[y0 : y1 + 1, x0 : x1 + 1]
    weights = [
        ((xy[j, 0] - x) * (xy[k, 1] - y) - (xy[j, 1] - y) * (xy[k, 0] - x)) / area for j, k in ((1, 2), (2, 0), (0, 1))
    ]
    inside = (weights[0] >= 0) & (weights[1] >= 0) & (weights[2] >= 0)
    depth = sum(w / z for w, z in zip(weights, xyz[:, 2], strict=True))
    window = nearest[y0 : y1 + 1, x0 : x1 + 1]
    wins = inside & (depth > window)
    window[wins] = depth[wins]
    normal = np.cross(xyz[1] - xyz[0], xyz[2] - xyz[0])
    shade = abs(normal[2]) / max(float(np.linalg.norm(normal)), 1e-12)
    brightness[y0 : y1 + 1, x0 : x1 + 1][wins] = shade


def measure(maker: PictureMaker, count: int, first: int) -> tuple[Stages, list[float]]:
    """The stages of `count` pictures one by one, and the whole of `PictureMaker.make` with encoding, ms each."""
    stages, whole = Stages(), []
    options = maker.options
    for index in range(first, first + count):
        rng = np.random.default_rng([maker.seed, index])
        scene_rng, background_rng, effects_rng, landmark_rng = rng.spawn(4)
        with stages.of("scene: pose, view, skin, arm, things, light"):
            scene = maker.scenes.scene(scene_rng)
        with stages.of("drawing"):
            drawn = draw(
                scene.surfaces(), scene.lights, scene.camera_matrix, options.width, options.height, options.supersample
            )
        with stages.of("truth: what is seen, annotation"):
            truth = truth_of(scene)
            seen = visible_joints(truth.joints, truth.keypoints_2d, drawn.depth, drawn.label)
            annotation(truth, seen, options.width, options.height, options.box_factor)
        with stages.of("background"):
            light = over_background(drawn, maker.backgrounds.draw(options.width, options.height, background_rng))
        with stages.of("camera's faults"):
            rgb = photograph(light, effects_rng, options.effects * effects_rng.uniform())
        if maker.landmarker is not None:
            with stages.of("landmark model, two looks"):
                maker.landmarker.of(rgb, truth.keypoints_2d, landmark_rng)
        start = time.process_time()
        picture = maker.make(index)
        made = time.process_time()
        with stages.of("encoding: JPEG, PNG, annotation"):
            encoded(picture, 92)
        whole.append(1000 * (made - start) + stages.spent["encoding: JPEG, PNG, annotation"][-1])
    return stages, whole


def reference_times(maker: PictureMaker, first: int) -> list[float]:
    """Milliseconds of the reference drawing for a few of the same scenes."""
    stages = Stages()
    for index in range(first, first + REFERENCE_COUNT):
        scene = maker.scenes.scene(np.random.default_rng([maker.seed, index]).spawn(4)[0])
        with stages.of("reference"):
            reference_draw(scene.surfaces(), scene.camera_matrix, maker.options.width, maker.options.height)
    return stages.spent["reference"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="pictures (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="side of a picture, px (default: %(default)s)")
    parser.add_argument("--backgrounds", type=Path, help="folder of pictures")
    parser.add_argument("--no_landmarks", action="store_true", help="without the landmark model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    options = SyntheticOptions(width=args.size, height=args.size)
    start = time.perf_counter()
    maker = Recipe(options, backgrounds=args.backgrounds, landmarks=not args.no_landmarks).maker()
    maker.batch(range(3))
    print(f"prepared in {time.perf_counter() - start:.1f} s (skins, backgrounds, compiled code)")
    stages, whole = measure(maker, args.count, first=100)
    reference = reference_times(maker, first=100)
    print(f"\n{args.count} pictures of {args.size} x {args.size} px, CPU time of one core, ms a picture: median (mean)")
    for name, spent in stages.spent.items():
        print(f"  {name:46s} {median(spent):7.1f} ({np.mean(spent):.1f})")
    print(f"  {'reference: flat z-buffer in NumPy':46s} {median(reference):7.1f} ({np.mean(reference):.1f})")
    print(f"  {'all in all, with what is drawn twice':46s} {median(whole):7.1f} ({np.mean(whole):.1f})")
    print(f"\n{1000 / np.mean(whole):.1f} pictures a second and core; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
