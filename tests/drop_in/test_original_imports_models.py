"""The original's import paths for networks and configurations, and nothing else of this package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.configs import CACHE_DIR_HAMER, dataset_config, dataset_eval_config, get_config
from hamer.models import DEFAULT_CHECKPOINT, HAMER, MANO, download_models, load_hamer
from hamer.models.discriminator import Discriminator
from hamer.models.losses import Keypoint2DLoss, Keypoint3DLoss, ParameterLoss
from hamer.models.mano_wrapper import MANO as WrappedMANO

SMALL = (("BACKBONE: {TYPE: vit}", "BACKBONE: {TYPE: vit, EMBED_DIM: 48, DEPTH: 1, NUM_HEADS: 3}"), ("1280", "48"))
CONFIG = """
MANO: {DATA_DIR: _DATA/data/, MODEL_PATH: '${MANO.DATA_DIR}/mano', MEAN_PARAMS: '${MANO.DATA_DIR}/mano_mean_params.npz',
  GENDER: neutral, NUM_HAND_JOINTS: 15, CREATE_BODY_POSE: false}
EXTRA: {FOCAL_LENGTH: 5000, PELVIS_IND: 0}
MODEL:
  IMAGE_SIZE: 256
  IMAGE_MEAN: [0.485, 0.456, 0.406]
  IMAGE_STD: [0.229, 0.224, 0.225]
  BACKBONE: {TYPE: vit}
  MANO_HEAD:
    TYPE: transformer_decoder
    IN_CHANNELS: 2048
    TRANSFORMER_DECODER: {depth: 1, heads: 8, mlp_dim: 1024, dim_head: 64, dropout: 0.0, emb_dropout: 0.0, norm: layer,
      context_dim: 1280}
LOSS_WEIGHTS: {KEYPOINTS_3D: 0.05, KEYPOINTS_2D: 0.01, GLOBAL_ORIENT: 0.001, HAND_POSE: 0.001, BETAS: 0.0005,
    ADVERSARIAL: 0.0005}
"""


@pytest.fixture
def data_folder(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `_DATA`, as the original's instructions leave it (a narrow network inside)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HAMER_DATA", raising=False)
    data = tmp_path / "_DATA"
    shutil.copytree(golden / "hamer" / "mano", data / "data" / "mano")
    shutil.copy(golden / "hamer" / "mano_mean_params.npz", data / "data")
    (data / "hamer_ckpts" / "checkpoints").mkdir(parents=True)
    text = CONFIG
    for old, new in SMALL:
        text = text.replace(old, new)
    (data / "hamer_ckpts" / "model_config.yaml").write_text(text)
    cfg = get_config(str(data / "hamer_ckpts" / "model_config.yaml"), update_cachedir=True)
    torch.manual_seed(0)
    torch.save(
        {"state_dict": HAMER(cfg, init_renderer=False).state_dict()},
        data / "hamer_ckpts" / "checkpoints" / "hamer.ckpt",
    )
    return data


def test_the_demo_s_calls(data_folder: Path) -> None:
    assert Path(DEFAULT_CHECKPOINT) == Path("_DATA/hamer_ckpts/checkpoints/hamer.ckpt")
    assert Path(CACHE_DIR_HAMER) == Path("_DATA")
    model, model_cfg = load_hamer(DEFAULT_CHECKPOINT)
    device = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    model = model.to(device)
    model.eval()

    model_cfg.defrost()
    model_cfg.MODEL.BBOX_SHAPE = [192, 256]
    model_cfg.freeze()
    assert model_cfg.MODEL.IMAGE_SIZE == model.cfg.MODEL.IMAGE_SIZE == 256
    assert model_cfg.EXTRA.FOCAL_LENGTH == 5000

    batch = {
        "img": torch.randn(2, 3, 256, 256, device=device),
        "box_center": torch.zeros(2, 2),
        "box_size": torch.ones(2),
        "img_size": torch.ones(2, 2),
        "right": torch.tensor([1.0, 0.0]),
        "personid": torch.arange(2),
    }
    with torch.no_grad():
        out = model(batch)
    multiplier = 2 * batch["right"] - 1
    pred_cam = out["pred_cam"]
    pred_cam[:, 1] = multiplier * pred_cam[:, 1]  # callers write into the result
    assert {key: tuple(value.shape) for key, value in out.items() if key != "pred_mano_params"} == {
        "pred_cam": (2, 3),
        "pred_cam_t": (2, 3),
        "focal_length": (2, 2),
        "pred_keypoints_3d": (2, 21, 3),
        "pred_vertices": (2, 778, 3),
        "pred_keypoints_2d": (2, 21, 2),
    }
    assert {key: tuple(value.shape) for key, value in out["pred_mano_params"].items()} == {
        "global_orient": (2, 1, 3, 3),
        "hand_pose": (2, 15, 3, 3),
        "betas": (2, 10),
    }
    assert np.asarray(model.mano.faces).shape == (1538, 3)
    assert model.device.type == device.type


def test_load_from_checkpoint(data_folder: Path) -> None:
    cfg = get_config("_DATA/hamer_ckpts/model_config.yaml", update_cachedir=True)
    model = HAMER.load_from_checkpoint(DEFAULT_CHECKPOINT, strict=False, cfg=cfg, init_renderer=False)
    assert isinstance(model, HAMER)
    assert sum(p.numel() for p in model.parameters()) > 1e6


def test_mano_from_the_configuration(data_folder: Path) -> None:
    cfg = get_config("_DATA/hamer_ckpts/model_config.yaml", update_cachedir=True)
    assert MANO is WrappedMANO
    mano = MANO(**{key.lower(): value for key, value in dict(cfg.MANO).items()})
    identity = torch.eye(3).expand(1, 16, 3, 3)
    output = mano(betas=torch.zeros(1, 10), global_orient=identity[:, :1], hand_pose=identity[:, 1:], pose2rot=False)
    assert output.vertices.shape == (1, 778, 3)
    assert output.joints.shape == (1, 21, 3)


def test_parts_of_the_training(data_folder: Path) -> None:
    scores = Discriminator()(torch.randn(3, 15, 3, 3), torch.randn(3, 10))
    assert scores.shape == (3, 17)
    assert Keypoint2DLoss(loss_type="l1")(torch.zeros(3, 21, 2), torch.ones(3, 21, 3)).item() == 3 * 21 * 2
    assert Keypoint3DLoss(loss_type="l1")(torch.zeros(3, 21, 3), torch.ones(3, 21, 4), pelvis_id=0).item() == 0
    assert ParameterLoss()(torch.zeros(3, 10), torch.ones(3, 10), torch.tensor([1.0, 0.0, 1.0])).item() == 20


def test_lists_of_data_sets() -> None:
    assert "FREIHAND-TRAIN" in dataset_config()
    assert "HO3D-VAL" in dataset_eval_config()
    assert callable(download_models)
    assert os.fspath(CACHE_DIR_HAMER)
