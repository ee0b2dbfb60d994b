"""The fit's joints against the original's MANO layer, and a fit of its made-up hand."""

from __future__ import annotations

import numpy as np
import torch

from hamer.checkpoints.hand_files import load_open_hand, read_mano
from hamer.fitting import fit_hands
from hamer.fitting.anatomy import ABDUCTION, FLEXION, TWIST, Anatomy
from hamer.fitting.kinematics import Skeleton, pose_skeleton


def test_joints_are_the_originals(golden):
    skeleton = Skeleton.from_hand_model(read_mano(golden / "hamer" / "mano" / "MANO_RIGHT.pkl"))
    with np.load(golden / "hamer" / "mano.npz") as file:
        rotations, betas, joints = (torch.from_numpy(file[k]).double() for k in ("rotmat", "betas", "joints"))
    posed = pose_skeleton(skeleton, rotations[:, 0], rotations[:, 1:], betas)
    points = posed.points + skeleton.wrist(betas)[:, None]
    assert (points - joints).abs().max() < 1e-6  # metres, the golden set's own tolerance


def test_a_mano_file_can_be_fitted(golden):
    mano = read_mano(golden / "hamer" / "mano" / "MANO_RIGHT.pkl")
    skeleton = Skeleton.from_hand_model(mano)
    rest = skeleton.rest_joints(torch.zeros(1, 10, dtype=torch.float64)) + torch.tensor([0.05, 0.0, 0.5])
    camera = torch.tensor([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]], dtype=torch.float64)
    pixels = (rest / rest[..., 2:] @ camera.T)[..., :2]
    keypoints = torch.cat([pixels, torch.ones(1, 21, 1)], dim=-1)
    fit = fit_hands(mano, keypoints, torch.tensor([True]), camera, rest)
    assert fit.residual_px < 0.03 * (pixels.amax(1) - pixels.amin(1)).max()  # pulled a little to the likeliest pose


def test_axes_of_the_open_hand_mean_what_they_say():
    anatomy = Anatomy.from_skeleton(Skeleton.from_hand_model(load_open_hand()))
    eye = torch.eye(3, dtype=torch.float64).expand(15, 3, 3)
    torch.testing.assert_close(anatomy.frames @ anatomy.frames.transpose(1, 2), eye, rtol=0, atol=1e-12)
    fingers = anatomy.frames[:12]  # 12:15 are the thumb's
    assert (fingers[:, 0, TWIST] < -0.8).all()  # bones point along -x
    assert (fingers[:, 2, FLEXION] > 0.8).all()  # flexion turns about +z: -x toward -y, where the palm faces
    assert (fingers[:, 1, ABDUCTION] > 0.8).all()  # abduction about +y: -x toward +z, the thumb's side
    pad_of_thumb = -anatomy.frames[14, :, ABDUCTION]
    assert pad_of_thumb[1] < 0  # toward the palm's side
    assert pad_of_thumb[2] < 0  # and toward the fingers
