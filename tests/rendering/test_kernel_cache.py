"""Compiled code is kept where that is possible, and its absence is no error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hamer.rendering import tiles

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
