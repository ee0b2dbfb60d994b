"""`hamer info`: what is installed and which files are here."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add `info` to the command line."""
    parser = subparsers.add_parser(
        "info",
        help="what is installed, which weights are here",
        description="Print versions, devices and the weights found. Paste it into a bug report.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    import torch

    from hamer import __version__
    from hamer.assets import cache_dir, find_original

    print(f"hamer {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for package in ("torch", "numpy", "opencv-python-headless", "numba", "ai-edge-litert", "trimesh", "torchvision"):
        print(f"  {package:24s} {_version(package)}")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"devices: CPU with {torch.get_num_threads()} threads" + "".join(f", {d}" for d in devices))
    print(f"built-in network: {_built_in()}")
    print(f"cache: {cache_dir()}")
    for name in ("hamer_checkpoint", "mano", "vitdet", "regnety", "vitpose"):
        print(f"{name}: {find_original(name) or f'not here (hamer fetch {name})'}")
    return 0


def _built_in() -> str:
    """Where the network that comes with the package lies, its SHA-256, licence and card."""
    from hamer.weights import CARD, LICENCE, built_in, sha256_of

    path = built_in()
    if path is None:
        return "not in this copy of hamer (hands are fitted to landmarks alone)"
    megabytes = path.stat().st_size / 1e6
    return f"{path} ({megabytes:.1f} MB, sha256 {sha256_of(path)}, {LICENCE}, card: {CARD})"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
