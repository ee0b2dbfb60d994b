"""Programs written for the original run as they are: only its import paths are used here, as its demo uses them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch

from hamer.datasets.utils import (
    convert_cvimg_to_tensor,
    do_augmentation,
    expand_to_aspect_ratio,
    fliplr_keypoints,
    gen_trans_from_patch_cv,
    generate_image_patch_cv2,
    get_example,
    keypoint_3d_processing,
    mano_param_processing,
    rot_aa,
    rotate_2d,
    trans_point2d,
)
from hamer.datasets.vitdet_dataset import DEFAULT_MEAN, DEFAULT_STD, ViTDetDataset
from hamer.utils import recursive_to

IMG = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
CFG = SimpleNamespace(
    MODEL={
        "IMAGE_SIZE": 256,
        "IMAGE_MEAN": [0.485, 0.456, 0.406],
        "IMAGE_STD": [0.229, 0.224, 0.225],
        "BBOX_SHAPE": [192, 256],
    }
)


def test_the_demos_loop() -> None:
    boxes, right = np.stack([[10, 20, 90, 110], [150, 60, 260, 200]]), np.array([0, 1])
    dataset = ViTDetDataset(CFG, IMG, boxes, right, rescale_factor=2.0)
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=False, num_workers=0)
    for batch in loader:
        batch = recursive_to(batch, torch.device("cpu"))
        multiplier = 2 * batch["right"] - 1
        assert multiplier.tolist() == [-1, 1]
        assert batch["box_center"].float().shape == batch["img_size"].float().shape == (2, 2)
        assert batch["img_size"].max() == 320
        white = (torch.ones_like(batch["img"][0]).cpu().numpy() - DEFAULT_MEAN[:, None, None] / 255) / (
            DEFAULT_STD[:, None, None] / 255
        )
        assert white.shape == (3, 256, 256)


def test_patches_as_other_projects_cut_them() -> None:
    size = expand_to_aspect_ratio(np.array([80.0, 60.0]), target_aspect_ratio=[192, 256]).max()
    patch, trans = generate_image_patch_cv2(
        IMG, 100.0, 80.0, size, size, 256, 256, False, 1.0, 0, border_mode=cv2.BORDER_CONSTANT
    )
    np.testing.assert_array_equal(patch, cv2.warpAffine(IMG, trans, (256, 256), flags=cv2.INTER_LINEAR))
    np.testing.assert_allclose(trans, gen_trans_from_patch_cv(100.0, 80.0, size, size, 256, 256, 1.0, 0))
    np.testing.assert_allclose(trans_point2d(np.array([100.0, 80.0]), trans), [128, 128], atol=1e-4)
    tensor = convert_cvimg_to_tensor(patch[:, :, ::-1])
    assert (tensor.shape, tensor.dtype) == ((3, 256, 256), np.float32)


def test_aspect_ratios_of_odd_input() -> None:
    assert expand_to_aspect_ratio(5.0, [192, 256]) == 5.0
    np.testing.assert_allclose(expand_to_aspect_ratio(np.array([30.0, 90.0]), [192, 256]), [67.5, 90])
    assert expand_to_aspect_ratio((3, 4)) == (3, 4)


def test_a_training_example() -> None:
    config = SimpleNamespace(
        SCALE_FACTOR=0.3,
        ROT_FACTOR=30,
        TRANS_FACTOR=0.02,
        COLOR_SCALE=0.2,
        ROT_AUG_RATE=0.6,
        DO_FLIP=False,
        FLIP_AUG_RATE=0.0,
        EXTREME_CROP_AUG_RATE=0.5,
        EXTREME_CROP_AUG_LEVEL=1,
    )
    assert len(do_augmentation(config)) == 8
    points = np.concatenate([np.random.default_rng(0).uniform(60, 160, (21, 2)), np.ones((21, 1))], axis=1)
    params = {"global_orient": np.zeros(3, np.float32), "hand_pose": np.zeros(45, np.float32), "betas": np.zeros(10)}
    has_params = {"global_orient": 1.0, "hand_pose": 1.0, "betas": 1.0}
    for seed in range(10):
        img, points_2d, points_3d, _, _, img_size = get_example(
            IMG, 110.0, 110.0, 120.0, 120.0, points, np.zeros((21, 4)), params, has_params, list(range(21)), 256, 256,
            DEFAULT_MEAN, DEFAULT_STD, True, seed % 2 == 0, config,
        )  # fmt: skip
        assert img.shape == (3, 256, 256)
        assert np.isfinite(img).all()
        assert points_2d.shape == (21, 3)
        assert points_3d.shape == (21, 4)
        assert img_size.tolist() == [240, 320]


def test_small_functions() -> None:
    np.testing.assert_allclose(rotate_2d(np.array([1.0, 0.0]), np.pi / 2), [0, 1], atol=1e-6)
    np.testing.assert_allclose(rot_aa(np.array([0, 0, 0.5]), 30.0), [0, 0, 0.5 - np.pi / 6], atol=1e-6)
    np.testing.assert_allclose(fliplr_keypoints(np.array([[10.0, 5, 1]]), 100, [0]), [[89, 5, 1]])
    np.testing.assert_allclose(keypoint_3d_processing(np.array([[1.0, 2, 3, 1]]), [0], 0, True), [[-1, 2, 3, 1]])
    pose = {"global_orient": np.array([0.1, 0.2, 0.3]), "hand_pose": np.full(45, 0.1), "betas": np.ones(10)}
    turned, _ = mano_param_processing(pose, {"betas": 1.0}, 0, True)
    np.testing.assert_allclose(turned["global_orient"], [0.1, -0.2, -0.3], atol=1e-6)
    np.testing.assert_allclose(turned["hand_pose"][:3], [0.1, -0.1, -0.1])


def test_recursive_to() -> None:
    nested = {"a": [torch.zeros(1), "name"], "b": {"c": torch.ones(2)}}
    moved = recursive_to(nested, "meta")
    assert moved["a"][0].device.type == moved["b"]["c"].device.type == "meta"
    assert moved["a"][1] == "name"
    assert nested["b"]["c"].device.type == "cpu"


def test_data_sets_of_evaluation_and_training(tmp_path: Path) -> None:
    """`create_dataset` with an entry of the original's list, and the static method that its training calls."""
    from hamer.datasets import create_dataset
    from hamer.datasets.image_dataset import ImageDataset

    cv2.imwrite(str(tmp_path / "a.png"), IMG)
    np.savez(tmp_path / "set.npz", imgname=["a.png"], center=[[160.0, 120.0]], scale=[80.0])
    entry = {"TYPE": "ImageDataset", "DATASET_FILE": tmp_path / "set.npz", "IMG_DIR": tmp_path, "KEYPOINT_LIST": [0]}
    cfg = SimpleNamespace(MODEL=CFG.MODEL, DATASETS={})
    dataset = create_dataset(cfg, entry, train=False, rescale_factor=-1)
    assert isinstance(dataset, ImageDataset)
    batch = next(iter(torch.utils.data.DataLoader(dataset, 8, shuffle=False)))
    assert batch["img"].shape == (1, 3, 256, 256)
    assert callable(ImageDataset.load_tars_as_webdataset)
