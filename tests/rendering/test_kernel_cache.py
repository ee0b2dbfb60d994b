"""Compiled code is kept where that is possible, and its absence is no error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hamer.rendering import Mesh, overlay, render, tiles
from hamer.structures import Camera

SCRIPT = """
import numpy as np
from hamer.rendering import Mesh, render, tiles
from hamer.structures import Camera
{before}
drawn = render([Mesh([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]], [[0, 1, 2]])], Camera(9, 9, 0, 0), 9, 9)
assert drawn.alpha[2, 2] == 1
print("drawn")
"""


def run(script: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_works_without_numba() -> None:
    blocked = "import sys; sys.modules['numba'] = None\n"
    assert "drawn" in run(blocked + SCRIPT.format(before="assert tiles.numba is None"))


@pytest.mark.slow
@pytest.mark.skipif(tiles.numba is None, reason="numba is not installed")
def test_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    # What Numba raises when it finds no folder to write to.
    before = "import numba\n"
    refuse = (
        "import numba\n"
        "plain = numba.njit\n"
        "def njit(*args, **options):\n"
        "    if options.get('cache'):\n"
        "        raise RuntimeError('cannot cache function: no locator available')\n"
        "    return plain(*args, **options)\n"
        "numba.njit = njit\n"
    )
    assert "drawn" in run(refuse + SCRIPT.format(before=before))


def test_formula_lives_with_the_kernels() -> None:
    # Numba's cache notices changes only in a kernel's own file: a formula elsewhere would go stale unseen.
    assert Path(tiles.shade.__code__.co_filename).name == "tiles.py"


@pytest.mark.skipif(tiles.numba is None, reason="numba is not installed")
def test_every_scene_uses_the_same_machine_code() -> None:
    # Another layout or dtype of an argument would silently compile the kernels again, for seconds.
    plain = Mesh(np.array([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]], np.float32), np.array([[0, 1, 2]], np.int32))
    behind = Mesh(np.array([[0.0, 0, 1], [1, 0, -1], [0, 1, 1]]), np.array([[0, 1, 2]], np.uint8))
    for camera in (Camera(9, 9, 4, 4), Camera(9, 9, 4, 4, (0.1, 0, 0, 0))):
        for meshes in ([], [plain], [plain, behind], [behind]):
            render(meshes, camera, 40, 40, threads=1)
            for image in (np.zeros((40, 40, 3), np.uint8), np.zeros((3, 40, 40), np.uint8).transpose(1, 2, 0)):
                overlay(image, meshes, camera, opacity=1)
    for kernel in (tiles.vertex_normals, tiles.bin_triangles, tiles.draw_tiles, tiles.blend_tiles):
        assert len(kernel.signatures) == 1, kernel.signatures
