"""The original's whole route, person detector to ViTPose to HaMeR, through `hamer demo`, on real photos.

The files are made up, of the real layout, with networks of few blocks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.configs.reader import read_yaml
from hamer.models import HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig
from hamer.models.mano_head import read_mean_params

PHOTOS = ("000000000785.jpg", "test1.jpg")
PERSON, KEYPOINT = 0.69, 0.2  # made-up weights score lower than trained ones; these leave a few persons


@pytest.fixture(scope="module")
def data(
    golden: Path,
    zoo_file: Callable[..., Path],
    fill_one: Callable[..., np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A `_DATA` folder as the original's instructions leave it."""
    folder = tmp_path_factory.mktemp("original") / "_DATA"
    facts = json.loads((golden / "detectors" / "vitdet_small" / "meta.json").read_text())
    (folder / "detectron2").mkdir(parents=True)
    zoo_file("vitdet_small", seed=facts["seed"], classifier=facts["classifier"]).rename(
        folder / "detectron2" / "model_final_f05665.pkl"
    )

    layout = json.loads((golden / "vitpose" / "layout.json").read_text())["reduced"]
    state = {
        name: torch.from_numpy(fill_one(name, tuple(shape))) if dtype == "float32" else torch.tensor(0)
        for name, (shape, dtype) in layout.items()
    }
    vitpose = folder / "vitpose_ckpts" / "vitpose+_huge" / "wholebody.pth"
    vitpose.parent.mkdir(parents=True)
    torch.save({"meta": {"mmcv_version": "1.3.9", "time": "now"}, "state_dict": state}, vitpose)

    config = HamerConfig(ViTConfig(64, 1, 2), DecoderConfig(depth=1, context_dim=64))
    torch.manual_seed(0)
    hamer = build_hamer(
        config, read_mano(golden / "hamer" / "mano"), read_mean_params(golden / "hamer" / "mano_mean_params.npz")
    )
    checkpoint = folder / "hamer_ckpts" / "checkpoints" / "hamer.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"state_dict": hamer.state_dict()}, checkpoint)
    cfg = read_yaml(golden / "hamer" / "model_config.yaml")
    cfg.MODEL.BACKBONE.update(EMBED_DIM=64, DEPTH=1, NUM_HEADS=2)
    cfg.MODEL.MANO_HEAD.TRANSFORMER_DECODER.update(depth=1, context_dim=64)
    (folder / "hamer_ckpts" / "model_config.yaml").write_text(cfg.dump())
    return folder


@pytest.fixture(scope="module")
def pictures(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name in PHOTOS:
        (folder / name).write_bytes((photos / name).read_bytes())
    return folder


def demo(data: Path, pictures: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hamer", "demo", "--img_folder", pictures, "--out_folder", out, *flags]
    environment = {**os.environ, "HAMER_DATA": str(data)}
    return subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, timeout=500, env=environment
    )


@pytest.fixture(scope="module")
def run(data: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results and output of the whole route, one network in memory at a time; the detector is the one that is found."""
    out = tmp_path_factory.mktemp("out")
    flags = ("--person_score", str(PERSON), "--keypoint_score", str(KEYPOINT), "--no-suppression", "--low_memory")
    done = demo(data, pictures, out, *flags)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_every_photo_has_its_results(run: tuple[Path, str]) -> None:
    out, said = run
    assert "hands: vitdet; 3D: hamer" in said
    for name in PHOTOS:
        result = json.loads((out / f"{Path(name).stem}.json").read_text())
        assert result["detector"] == "vitdet"
        assert result["hands"]
        assert (out / f"{Path(name).stem}_all.jpg").is_file()


def test_boxes_are_those_of_the_originals_demo(
    run: tuple[Path, str], data: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original's own lines, with its own names, against what the command wrote."""
    monkeypatch.setenv("HAMER_DATA", str(data))
    from hamer.utils.utils_detectron2 import DefaultPredictor_Lazy
    from vitpose_model import ViTPoseModel

    detector, cpm = DefaultPredictor_Lazy("vitdet"), ViTPoseModel("cpu")
    name = PHOTOS[0]
    img_cv2 = cv2.imread(str(photos / name))
    det_instances = detector(img_cv2)["instances"]
    valid_idx = (det_instances.pred_classes == 0) & (det_instances.scores > PERSON)
    pred_bboxes = det_instances.pred_boxes.tensor[valid_idx].cpu().numpy()
    pred_scores = det_instances.scores[valid_idx].cpu().numpy()
    vitposes_out = cpm.predict_pose(img_cv2[:, :, ::-1], [np.concatenate([pred_bboxes, pred_scores[:, None]], axis=1)])
    bboxes, is_right = [], []
    for vitposes in vitposes_out:
        for side, keyp in ((0, vitposes["keypoints"][-42:-21]), (1, vitposes["keypoints"][-21:])):
            valid = keyp[:, 2] > KEYPOINT
            if sum(valid) > 3:
                x, y = keyp[valid, 0], keyp[valid, 1]
                bboxes.append([x.min(), y.min(), x.max(), y.max()])
                is_right.append(side)

    hands = json.loads((run[0] / f"{Path(name).stem}.json").read_text())["hands"]
    assert [int(h["is_right"]) for h in hands] == is_right
    # the json rounds to thousandths of a pixel
    np.testing.assert_allclose([h["box"] for h in hands], bboxes, atol=2e-3)


def test_a_missing_file_is_named_and_nothing_else_taken(data: Path, pictures: Path, tmp_path: Path) -> None:
    done = demo(data, pictures, tmp_path / "out", "--body_detector", "regnety")
    assert done.returncode == 1
    assert "hamer fetch regnety" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path).glob("out/*.json"))


def test_suppression_says_what_it_left_out(data: Path, pictures: Path, tmp_path: Path) -> None:
    """Made-up weights see hands where there are none."""
    flags = ("--body_detector", "vitdet", "--person_score", str(PERSON), "--keypoint_score", str(KEYPOINT))
    done = demo(data, pictures / PHOTOS[0], tmp_path, *flags, "--no-flip_test")
    assert done.returncode == 0, done.stderr
    assert "left out: " in done.stderr


def test_a_run_continues_only_with_the_same_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint and the detectors' weights that are taken by themselves count as much as those that flags name."""
    from hamer.cli.demo import _files
    from hamer.results.run_folder import identity

    monkeypatch.setenv("HAMER_DATA", str(data))
    args = argparse.Namespace(checkpoint="auto", boxes=None, hand_model="open")
    files = _files(args, "vitdet")
    assert [f.name for f in files[-3:]] == ["hamer.ckpt", "model_final_f05665.pkl", "wholebody.pth"]
    assert all(identity(file) for file in files[-3:])
    assert _files(argparse.Namespace(checkpoint="fit", boxes=None, hand_model="open"), "mediapipe")[2:] == []
