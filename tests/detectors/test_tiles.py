"""The search pyramid: it covers the picture and stays affordable."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.detectors.search import EFFORTS, tile_sizes, tiles

_SIZES = [(1, 1), (640, 425), (1280, 720), (1600, 1067), (300, 3000), (8000, 8000)]


@pytest.mark.parametrize(("width", "height"), _SIZES)
@pytest.mark.parametrize("effort", list(EFFORTS))
def test_every_pixel_is_seen_at_every_level(width: int, height: int, effort: str) -> None:
    regions = tiles(width, height, EFFORTS[effort])
    rng = np.random.default_rng(0)
    for side in tile_sizes(width, height, EFFORTS[effort]):
        level = regions[np.isclose(regions.sizes, side)]
        for point in rng.random((50, 2)) * [width, height]:
            assert (np.abs(level.centers - point).max(-1) <= side / 2 + 1e-6).any()


@pytest.mark.parametrize(("width", "height"), _SIZES)
def test_the_number_of_tiles_is_bounded(width: int, height: int) -> None:
    assert len(tiles(width, height, EFFORTS["fast"])) <= 24
    assert len(tiles(width, height, EFFORTS["normal"])) <= 1000


def test_a_hand_of_40_px_in_1600_fills_a_good_part_of_a_tile() -> None:
    # The palm detector sees a hand from about a sixth of its input on.
    assert min(tile_sizes(1600, 1067, EFFORTS["normal"])) <= 6 * 40
