"""`hamer data pack --landmarks`: what the landmark model sees of annotated hands, beside their truth."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer import assets
from hamer.checkpoints.unpickling import load_pickle
from hamer.cli import main
from hamer.configs.node import ConfigNode
from hamer.datasets.packing import PackOptions, pack, read_annotations
from hamer.datasets.synthetic.maker import MadePicture, PictureMaker
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.tar_dataset import load_tars
from hamer.pipeline.reconstructor import load_hand_model

COUNT = 5


@pytest.fixture(scope="module")
def made() -> list[MadePicture]:
    """Hands that nothing covers, in pictures without a camera's faults."""
    options = SyntheticOptions(skins=1, second_hand=0, held_object=0, occluder=0, person=0, effects=0)
    return PictureMaker(load_hand_model("open"), options, seed=5).batch(range(COUNT))


@pytest.fixture
def album(made: list[MadePicture], tmp_path: Path, landmark_models: tuple[Path, Path], monkeypatch: Any) -> Path:
    """Their pictures and a json of their joints, of which the last hand's knuckles are not labelled."""
    monkeypatch.setattr(assets, "landmark_models", lambda: landmark_models)
    pictures = []
    for number, picture in enumerate(made):
        Image.fromarray(picture.rgb).save(tmp_path / f"{number}.png")
        points: list[Any] = [[*point, 1.0] for point in picture.truth.keypoints_2d.tolist()]
        if number == COUNT - 1:
            points[5] = points[9] = None
        pictures.append(
            {"image": f"{number}.png", "hands": [{"is_right": picture.truth.is_right, "keypoints_2d": points}]}
        )
    file = tmp_path / "hands.json"
    file.write_text(json.dumps({"pictures": pictures}), encoding="utf-8")
    return file


def annotations(folder: Path) -> list[dict[str, Any]]:
    with tarfile.open(folder / "000000.tar") as tar:
        names = sorted(name for name in tar.getnames() if name.endswith(".data.pyd"))
        return [load_pickle(tar.extractfile(name).read())[0] for name in names]  # type: ignore[union-attr]


def test_landmarks_lie_near_the_truth_and_only_where_there_is_a_place_to_look(
    album: Path, made: list[MadePicture], tmp_path: Path
) -> None:
    pack(read_annotations(album), tmp_path / "out", PackOptions(landmarks=True), workers=2)
    hands, misses = annotations(tmp_path / "out"), []
    for hand, picture in zip(hands[:-1], made, strict=False):
        if "landmarks_2d" in hand:
            assert hand["landmarks_2d"].shape == hand["landmarks_3d"].shape == (21, 3)
            true = picture.truth.keypoints_2d
            misses.append(
                np.linalg.norm(hand["landmarks_2d"][:, :2] - true, axis=1).mean() / np.ptp(true, axis=0).max()
            )
    assert len(misses) >= 2  # drawn hands in odd views it may not know
    assert np.median(misses) < 0.12
    assert "landmarks_2d" not in hands[-1]
    pack(read_annotations(album), tmp_path / "alone", PackOptions(landmarks=True), workers=1)
    assert (tmp_path / "alone" / "000000.tar").read_bytes() == (tmp_path / "out" / "000000.tar").read_bytes()


def test_training_reads_them(album: Path, tmp_path: Path) -> None:
    command = ["data", "pack", "--annotations", str(album), "--out_folder", str(tmp_path / "out"), "--landmarks"]
    assert main(command) == 0
    cfg = ConfigNode({"MODEL": {"IMAGE_SIZE": 64}, "DATASETS": {"LANDMARKS": True, "CONFIG": {}}})
    items = list(load_tars(cfg, str(tmp_path / "out" / "000000.tar"), train=False))
    assert len(items) == COUNT
    has = np.array([item["has_landmarks"] for item in items])
    assert has.sum() >= 2
    assert has[-1] == 0
    for item in items:
        if item["has_landmarks"]:
            off = np.linalg.norm(item["landmarks"][:, :2] - item["keypoints_2d"][:, :2], axis=-1).mean()
            assert off < 0.15  # crop widths


def test_a_pack_without_them_continues_as_it_did(album: Path, tmp_path: Path) -> None:
    """Its journal is that of a pack from before there were landmarks; a pack with them is another one."""
    pack(read_annotations(album), tmp_path / "out")
    header = json.loads((tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert "landmarks" not in header["options"]
    with pytest.raises(ValueError, match="other pictures or options"):
        pack(read_annotations(album), tmp_path / "out", PackOptions(landmarks=True))
