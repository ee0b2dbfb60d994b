"""The page for the browser: whole in one file, and it draws what our renderer draws."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer.export import meshes_of, write_html
from hamer.rendering import render
from hamer.structures import Reconstruction

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def data_of(page: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_page_is_self_contained(result: Reconstruction, tmp_path: Path) -> None:
    page = write_html(result, tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)\s*=\s*"', page)
    assert "http://" not in page
    assert "https://" not in page
    data = data_of(page)
    assert [hand["name"] for hand in data["hands"]] == ["hand 0 right", "hand 1 left"]
    assert data["photo"] is None
    assert data["camera"]["fx"] == result.camera.fx


def test_names_cannot_break_out_of_the_page(result: Reconstruction, tmp_path: Path) -> None:
    page = write_html(result, tmp_path / "a.html", title="</script><script>alert(1)</script>").read_text()
    assert "<script>alert" not in page
    assert "plaza &lt;2&gt;.jpg" in write_html(result, tmp_path / "b.html").read_text()


def test_size_per_hand(result: Reconstruction, tmp_path: Path) -> None:
    one = len(write_html(meshes_of(result)[:1], tmp_path / "1.html").read_bytes())
    eight = len(write_html(meshes_of(result)[:1] * 8, tmp_path / "8.html").read_bytes())
    # 16-bit positions as base64 and a few numbers; the faces are there once.
    assert (eight - one) / 7 < 162 * 6 * 4 / 3 + 500


def test_errors(result: Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="camera must be given"):
        write_html(meshes_of(result), tmp_path / "a.html", image=np.zeros((9, 9, 3), np.uint8))
    result.hands = []
    with pytest.raises(ValueError, match="no hand"):
        write_html(result, tmp_path / "a.html")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_browser_shows_the_hands_where_they_are(result: Reconstruction, tmp_path: Path) -> None:
    result.camera.distortion = ()
    result.image = np.zeros((480, 640, 3), np.uint8)
    page, shot = write_html(result, tmp_path / "a.html"), tmp_path / "a.png"
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader", "--hide-scrollbars", "--window-size=640,480", "--force-device-scale-factor=1",
        f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}", page.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if not shot.is_file():
        pytest.skip(f"chromium cannot take pictures here: {run.stderr[-300:]}")
    seen = cv2.imread(str(shot))[:, :, ::-1].astype(float)
    drawn = render(meshes_of(result), result.camera, 640, 480)
    solid = drawn.alpha == 1
    rows = slice(60, 440)  # between the buttons and the hint
    shown = seen.max(axis=2) > 30
    assert (shown & solid)[rows].sum() / (shown | solid)[rows].sum() > 0.97  # edges are sampled otherwise
    inside = solid.copy()
    inside[:60] = inside[440:] = False
    # The same lights: a few grey levels, but for the contour, where normals are interpolated otherwise.
    assert np.median(np.abs(seen - 255 * drawn.color)[inside]) < 4
