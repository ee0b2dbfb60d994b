"""Finding hands: what a look costs, how it scales with workers, and what a picture costs at each effort.

    python benchmarks/hand_detector.py [--threads 2] [--seconds 1.0] [--images photo.jpg ...]

First table: looks of the palm detector and the landmark model per second, by one interpreter with several threads of its own
(the baseline, how LiteRT is usually run) and by a pool of single-threaded interpreters (`hamer.detectors.litert`), and
their ratio. Second table: seconds a picture, for the pictures given or for a made one, at each effort.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from hamer import assets
from hamer.detectors.litert import LiteRTNetwork, available_threads
from hamer.detectors.mediapipe import MediapipeDetector
from hamer.detectors.search import EFFORTS

BATCH = 16


def per_second(work: Callable[[], None], seconds: float) -> float:
    """Looks a second: best of the rounds that fit into `seconds`, of BATCH looks each."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return BATCH / best


def one_interpreter(path: Path, threads: int, inputs: np.ndarray) -> Callable[[], None]:
    """The baseline: LiteRT's own threads, one look after the other."""
    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]

    def work() -> None:
        for item in inputs:
            interpreter.set_tensor(index, item[None])
            interpreter.invoke()

    return work


def made_picture(width: int, height: int) -> np.ndarray:
    """Blurred noise in skin-like colours: no flat tile that the search could skip, and many doubtful palms."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 12).astype(np.float32)
    stretched = (blurred - blurred.min()) / np.ptp(blurred)
    return (stretched * np.array([255, 200, 170])).astype(np.uint8)


def compare_workers(threads: int, seconds: float) -> None:
    """Print the first table."""
    print(f"{'network':10s} {'one interpreter':>16s} {'pool':>10s}   ratio   (looks a second, {threads} threads)")
    for name, path in zip(("palm", "landmark"), assets.landmark_models(), strict=True):
        pool = LiteRTNetwork(path, threads=threads)
        inputs = np.random.default_rng(0).random((BATCH, *pool.input_shape), np.float32)
        baseline = per_second(one_interpreter(path, threads, inputs), seconds)
        ours = per_second(lambda pool=pool, inputs=inputs: pool.run(inputs), seconds)  # type: ignore[misc]
        print(f"{name:10s} {baseline:16.0f} {ours:10.0f}   {ours / baseline:5.2f}")


def time_pictures(threads: int, pictures: dict[str, np.ndarray]) -> None:
    """Print the second table."""
    print(f"\n{'picture':32s}" + "".join(f"{effort:>10s}" for effort in EFFORTS) + "   (seconds; hands found)")
    for name, picture in pictures.items():
        row = f"{name[:31]:32s}"
        for effort in EFFORTS:
            detector = MediapipeDetector(effort=effort, threads=threads)  # type: ignore[arg-type]
            detector.warm_up()
            start = time.perf_counter()
            (hands,) = detector([picture])
            row += f"{time.perf_counter() - start:7.2f}{len(hands):3d}"
        print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each entry of the first table")
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"ai-edge-litert {version('ai-edge-litert')}, OpenCV {cv2.__version__}"
    )
    compare_workers(args.threads, args.seconds)
    pictures = {f"made {w}x{h}": made_picture(w, h) for w, h in ((320, 240), (640, 480), (1280, 720))}
    for path in args.images:
        picture = cv2.imread(str(path))
        if picture is None:
            parser.error(f"--images {path} cannot be read as a picture")
        pictures[path.name] = np.ascontiguousarray(picture[..., ::-1])
    time_pictures(args.threads, pictures)


if __name__ == "__main__":
    main()
