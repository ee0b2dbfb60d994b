"""The network against what the original computed: small in every run, full size when slow tests run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.geometry.cameras import cam_crop_to_full
from hamer.models import HAMER, MANO, HamerConfig
from hamer.models.mano_head import neutral_mean_params

# The golden README's tolerances: float32 against float64 differs by 5e-6 in features and 3e-7 in the rest.
FEATURES, REST = 1e-4, 2e-5


def compare_forward(model: HAMER, images: torch.Tensor, expected: dict[str, np.ndarray]) -> None:
    with torch.inference_mode():
        features = model.backbone(images[..., 32:-32])
        output = model({"img": images})
    np.testing.assert_allclose(features.mean((1, 2, 3)), expected["feat_mean"], atol=FEATURES)
    np.testing.assert_allclose(features.flatten(1).std(1), expected["feat_std"], atol=FEATURES)
    np.testing.assert_allclose(features[:, 100:116, 3:7, 2:6], expected["feat_slice"], atol=FEATURES)
    flat = {key: value for key, value in output.items() if key != "pred_mano_params"}
    flat |= {f"pred_mano_params.{key}": value for key, value in output["pred_mano_params"].items()}
    for key, value in flat.items():
        assert value.shape == expected[key].shape, key
        relative = REST if key == "pred_cam_t" else 0
        np.testing.assert_allclose(value, expected[key], atol=0 if relative else REST, rtol=relative, err_msg=key)


def images(golden: Path, n: int | None = None) -> torch.Tensor:
    return torch.from_numpy(np.load(golden / "hamer" / "preprocess.npz")["img"][:n])


def test_small_forward(golden: Path, small: HAMER) -> None:
    compare_forward(small, images(golden), dict(np.load(golden / "hamer_small" / "forward.npz")))


@pytest.mark.parametrize("folder", ["hamer", "hamer_small"])
def test_state_dict_layout(golden: Path, folder: str, small_config: HamerConfig) -> None:
    layout: dict[str, Any] = json.loads((golden / folder / "state_dict_layout.json").read_text())
    config = HamerConfig(with_discriminator=True) if folder == "hamer" else small_config
    mano = MANO(read_mano(golden / "hamer" / "mano"))
    with torch.device("meta"):
        model = HAMER(config.to_cfg(), mano=mano, mean_params=neutral_mean_params())
    mine = {name: [list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in model.state_dict().items()}
    assert mine == layout["tensors"]
    assert sum(p.numel() for p in model.parameters()) == layout["n_parameters"]
    assert {name for name, _ in model.named_buffers()} - set(layout["buffers"]) <= unsaved(model)
    assert set(layout["buffers"]) <= {name for name, _ in model.named_buffers()}


def unsaved(model: HAMER) -> set[str]:
    return {name for name, _ in model.named_buffers()} - set(model.state_dict())


@pytest.mark.slow
def test_full_size_forward(golden: Path, golden_hamer: Callable[[HamerConfig], HAMER]) -> None:
    model = golden_hamer(HamerConfig(with_discriminator=True))
    file = np.load(golden / "hamer" / "forward.npz")
    expected = {key: file[key] for key in file.files}
    crops = images(golden)
    compare_forward(model, crops, expected)
    with torch.inference_mode():
        features = model.backbone(crops[..., 32:-32])
    np.testing.assert_allclose(features.mean((2, 3))[:, ::40], expected["feat_channel_mean"], atol=FEATURES)
    assert features.shape[1:] == tuple(expected["feat_shape"])[1:]


def test_camera_in_the_whole_picture(golden: Path) -> None:
    file, crops = np.load(golden / "hamer" / "forward.npz"), np.load(golden / "hamer" / "preprocess.npz")
    as_tensor = {key: torch.from_numpy(crops[key]).double() for key in ("box_center", "box_size", "img_size")}
    translation = cam_crop_to_full(
        torch.from_numpy(file["pred_cam_signed"]).double(),
        as_tensor["box_center"],
        as_tensor["box_size"],
        as_tensor["img_size"],
        torch.from_numpy(file["scaled_focal_length"]),
    )
    np.testing.assert_allclose(translation, file["pred_cam_t_full"], rtol=REST, atol=1e-5)  # tx, ty pass through zero
