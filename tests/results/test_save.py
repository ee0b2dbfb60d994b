"""Files of a result whose picture is larger than the formats and OpenCV take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hamer.results import Outputs, hand_sheet, save
from hamer.structures import Camera, Hand, HandParameters, Reconstruction

SHAPE = (40, 70_000, 3)  # wider than a JPEG may be, and than OpenCV warps


@pytest.fixture
def panorama() -> Reconstruction:
    """A tetrahedron for a hand near the right end, in a picture whose columns tell their number."""
    vertices = np.array([[0.68, 0, 1], [0.69, 0, 1], [0.68, 0.01, 1], [0.68, 0, 1.01]])
    zeros = HandParameters(np.zeros(3), np.zeros(45), np.zeros(10))
    joints = np.repeat(vertices[:1], 21, axis=0)
    box = np.array([67_990, 10, 68_010, 30])
    hand = Hand(0, True, 1.0, box, vertices, joints, np.zeros((21, 2)), np.ones(21), vertices[0], zeros)
    image = np.zeros(SHAPE, np.uint8)
    image[:, 68_000:] = 200
    camera = Camera(100_000, 100_000, 0, 20)
    faces = [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]
    return Reconstruction([hand], camera, SHAPE[1], SHAPE[0], np.array(faces), "open", "m", "d", image=image)


def test_a_panorama_is_written(panorama: Reconstruction, tmp_path: Path) -> None:
    files = save(panorama, tmp_path, outputs=Outputs(html=True))
    assert {f.name for f in files} >= {"image_0.png", "image_all.jpg", "image.json", "image.html"}
    assert max(Image.open(tmp_path / "image_all.jpg").size) == 65_500


@pytest.mark.parametrize("rescale_factor", [2.0, 30.0])
def test_a_sheet_shows_the_region_of_the_box(panorama: Reconstruction, rescale_factor: float) -> None:
    """Enlarged and reduced: the step at the box's centre is in the middle of the crop."""
    sheet = hand_sheet(panorama, panorama.hands[0], rescale_factor=rescale_factor)
    assert sheet.shape == (256, 512, 3)
    assert (sheet[128, :120] == 0).all()
    assert (sheet[128, 136:256] == 200).all()
