"""Previews: what is drawn, where it lands, and where it goes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.training.previews import Previews, preview

SIDE = 256
GAP = 2
CROP, TRUTH, ESTIMATE, FRONT, ASIDE = range(5)


@pytest.fixture
def drawing() -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Two grey crops, the open hand 40 cm before the camera of a crop, and keypoints at its joints."""
    hand = load_open_hand()
    vertices = torch.from_numpy(np.asarray(hand.v_template, np.float32))
    vertices = (vertices - vertices.mean(0)).expand(2, -1, -1)
    translation = torch.tensor([[0.0, 0.0, 7.0], [0.02, 0.0, 7.0]])
    focal = torch.full((2, 2), 5000.0)
    points = torch.rand(2, 21, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    batch = {
        "img": torch.zeros(2, 3, SIDE, SIDE),
        "keypoints_2d": torch.cat([0.8 * points, torch.ones(2, 21, 1)], dim=-1),
    }
    output = {
        "pred_keypoints_2d": 0.5 * points,
        "pred_vertices": vertices,
        "pred_cam_t": translation,
        "focal_length": focal,
    }
    return batch, output, np.asarray(hand.faces)


def cell(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    return picture[row * (SIDE + GAP) :, column * (SIDE + GAP) :][:SIDE, :SIDE]


def test_a_row_for_each_hand(drawing: Any) -> None:
    batch, output, faces = drawing
    picture = preview(batch, output, faces, n_hands=1)
    assert picture.shape == (SIDE, 5 * SIDE + 4 * GAP, 3)
    assert preview(batch, output, faces).shape[0] == 2 * SIDE + GAP
    grey = cell(picture, 0, CROP)
    # zero is the mean colour of the normalisation
    assert np.abs(grey.reshape(-1, 3).mean(0) - 255 * np.array([0.485, 0.456, 0.406])).max() < 1


@pytest.mark.parametrize(("column", "scale"), [(TRUTH, 0.8), (ESTIMATE, 0.5)])
def test_keypoints_are_in_crop_widths_from_the_centre(drawing: Any, column: int, scale: float) -> None:
    batch, output, faces = drawing
    picture = preview(batch, output, faces, n_hands=1)
    drawn = np.argwhere((cell(picture, 0, column) != cell(picture, 0, CROP)).any(-1))
    points = (batch["keypoints_2d"][0, :, :2] / 0.8 * scale + 0.5).numpy() * SIDE
    # from outermost joint to outermost joint, whose discs have a radius of 4 and a soft rim
    assert np.abs(drawn.min(0)[::-1] - points.min(0)).max() < 6
    assert np.abs(drawn.max(0)[::-1] - points.max(0)).max() < 6


def test_the_mesh_lands_where_the_camera_puts_it(drawing: Any) -> None:
    batch, output, faces = drawing
    picture = preview(batch, output, faces)
    for row, shift in enumerate((0.0, 5000 * 0.02 / 7.0)):
        drawn = np.argwhere((cell(picture, row, FRONT) != cell(picture, row, CROP)).any(-1))
        points = output["pred_vertices"][row].numpy() + output["pred_cam_t"][row].numpy()
        pixels = 5000 * points[:, :2] / points[:, 2:] + SIDE / 2
        # a pixel at the rim is drawn when it is touched
        assert np.abs(drawn.min(0)[::-1] - pixels.min(0)).max() < 1.5
        assert np.abs(drawn.max(0)[::-1] + 1 - pixels.max(0)).max() < 1.5
        assert abs(pixels.mean(0)[0] - SIDE / 2 - shift) < 2
    side = cell(picture, 0, ASIDE)
    assert (side == 255).all(-1).any()
    assert (side != 255).any()


def test_half_precision_and_what_is_not_finite_are_drawn_too(drawing: Any) -> None:
    batch, output, faces = drawing
    output = {name: value.to(torch.bfloat16) for name, value in output.items()}
    output["pred_vertices"] = torch.full_like(output["pred_vertices"], torch.nan)
    output["pred_keypoints_2d"] = torch.full_like(output["pred_keypoints_2d"], torch.nan)
    picture = preview({"img": batch["img"]}, output, faces, n_hands=1)
    assert (cell(picture, 0, FRONT) == cell(picture, 0, CROP)).all()
    assert (cell(picture, 0, ESTIMATE) == cell(picture, 0, CROP)).all()


def test_they_go_to_loggers_that_take_pictures(drawing: Any) -> None:
    batch, output, faces = drawing
    taken: list[Any] = []
    writer = SimpleNamespace(add_image=lambda *args, **kwargs: taken.append((args, kwargs)))
    module: Any = SimpleNamespace(
        loggers=[SimpleNamespace(experiment=writer), SimpleNamespace(experiment=object())],
        trainer=SimpleNamespace(is_global_zero=True),
        mano=SimpleNamespace(faces=faces),
        cfg=SimpleNamespace(MODEL=SimpleNamespace(IMAGE_MEAN=[0.5] * 3, IMAGE_STD=[0.2] * 3)),
        global_step=12,
    )
    Previews(1)(module, batch, output, "val")
    (tag, picture, place), options = taken.pop()
    assert (tag, place, options) == ("val/predictions", 12, {"dataformats": "HWC"})
    assert picture.shape[0] == SIDE
    module.trainer.is_global_zero = False
    Previews(1)(module, batch, output, "val")
    assert not taken


def test_pictures_of_a_run_are_in_tensorboard(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    module = golden_module({"GENERAL": {"LOG_STEPS": 4}}, previews=Previews(2))
    fit = trainer(max_steps=8, logger=TensorBoardLogger(str(tmp_path), name="", version=""))
    fit.fit(module, repeated(golden_batch, 4))
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    pictures = events.Images("train/predictions")
    assert [picture.step for picture in pictures] == [4, 8]
    assert (pictures[0].width, pictures[0].height) == (5 * SIDE + 4 * GAP, 2 * SIDE + GAP)
