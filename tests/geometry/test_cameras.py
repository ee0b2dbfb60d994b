"""Cameras: projection and its inverse against OpenCV, translations, and the original's numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hamer.geometry.cameras import (
    cam_crop_to_full,
    distort,
    perspective_projection,
    pred_cam_to_translation,
    project,
    project_with_camera,
    solve_translation,
    undistort,
    undistort_points,
    undistort_with_camera,
)
from hamer.structures import Camera

K = np.array([[900.0, 0, 640], [0, 950, 360], [0, 0, 1]])
DISTORTIONS = [
    (-0.3, 0.1, 0.001, -0.002),
    (-0.3, 0.1, 0.001, -0.002, -0.02),
    (0.4, -0.2, 0.001, 0.001, 0.02, 0.5, -0.1, 0.03),
]


def points_in_view(n: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (n, 3)) * [0.9, 0.5, 0.4] + [0, 0, 1.5]


@pytest.mark.parametrize("distortion", [(), *DISTORTIONS])
def test_projection_agrees_with_opencv(distortion: tuple[float, ...]) -> None:
    points = points_in_view()
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(distortion or (0.0,) * 4))[0][:, 0]
    ours = project(torch.tensor(points), torch.tensor(K), torch.tensor(distortion, dtype=torch.float64))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)  # px, double
    camera = Camera(900, 950, 640, 360, distortion)
    np.testing.assert_allclose(project_with_camera(points, camera), expected, atol=1e-9)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_undistortion_agrees_with_opencv(distortion: tuple[float, ...]) -> None:
    pixels = cv2.projectPoints(points_in_view(), np.zeros(3), np.zeros(3), K, np.array(distortion))[0]
    criteria = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    expected = cv2.undistortPointsIter(pixels, K, np.array(distortion), np.eye(3), K, criteria)[:, 0]
    ours = undistort_points(torch.tensor(pixels[:, 0]), torch.tensor(K), torch.tensor(distortion))
    # px; OpenCV's fixed-point iteration converges slowly at the corners, ours is exact there (next test).
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_undistortion_inverts_distortion(distortion: tuple[float, ...], dtype: torch.dtype) -> None:
    xy = torch.tensor(points_in_view()[:, :2], dtype=dtype)
    coefficients = torch.tensor(distortion, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6  # a few roundings of numbers up to 1
    torch.testing.assert_close(undistort(distort(xy, coefficients), coefficients), xy, atol=tolerance, rtol=0)


def test_undistortion_beyond_the_lens_is_finite() -> None:
    """Strong barrel distortion never reaches these points: the nearest found comes back."""
    far = torch.tensor([[5.0, 5.0], [-20.0, 1.0], [0.1, 0.1]], dtype=torch.float64)
    barrel = torch.tensor([-0.4, 0.0, 0.0, 0.0], dtype=torch.float64)
    result = undistort(far, barrel)
    assert result.isfinite().all()
    torch.testing.assert_close(distort(result, barrel)[2], far[2])


def test_one_camera_a_batch_entry() -> None:
    points = torch.tensor(points_in_view(12).reshape(2, 6, 3))
    matrices = torch.tensor(np.stack([K, K * 2]))
    coefficients = torch.tensor([DISTORTIONS[0], (0.1, 0, 0, 0)], dtype=torch.float64)
    together = project(points, matrices, coefficients)
    for i in range(2):
        alone = project(points[i], matrices[i], coefficients[i])
        torch.testing.assert_close(together[i], alone)
    back = undistort_points(together, matrices, coefficients)
    torch.testing.assert_close(back, project(points, matrices), atol=1e-8, rtol=0)


def test_camera_undistorts_numpy_points() -> None:
    camera = Camera(900, 950, 640, 360, DISTORTIONS[0])
    pixels = project_with_camera(points_in_view(), camera).astype(np.float32)
    straight = undistort_with_camera(pixels, camera)
    assert straight.dtype == np.float32
    # px: float32 pixels near 1000 carry 3e-5, which distortion magnifies a little.
    np.testing.assert_allclose(straight, project_with_camera(points_in_view(), Camera(900, 950, 640, 360)), atol=1e-3)


def test_projection_gradients() -> None:
    points = torch.tensor(points_in_view(4), requires_grad=True)
    coefficients = torch.tensor(DISTORTIONS[2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, d: project(p, torch.tensor(K), d), (points, coefficients))


def test_wrong_number_of_coefficients_is_named() -> None:
    with pytest.raises(ValueError, match="4, 5 or 8"):
        distort(torch.zeros(1, 2), torch.zeros(3))


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
@pytest.mark.parametrize("depth", [0.15, 0.5, 5.0, 200.0])
def test_translation_is_recovered(batch: tuple[int, ...], depth: float) -> None:
    generator = torch.Generator().manual_seed(0)
    joints = 0.05 * torch.randn(*batch, 21, 3, dtype=torch.float64, generator=generator)
    true = torch.tensor([0.1 * depth, -0.2 * depth, depth], dtype=torch.float64).expand(*batch, 3)
    pixels = project(joints + true[..., None, :], torch.tensor(K))
    solved = solve_translation(joints, pixels, torch.tensor(K), torch.rand(*batch, 21, generator=generator).double())
    torch.testing.assert_close(solved, true, rtol=1e-9, atol=0)


def test_translation_in_float32_holds_far_away() -> None:
    """The drop-in surface puts hands hundreds of metres away; centring keeps single precision useful there."""
    joints = 0.05 * torch.randn(21, 3, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([0.5, -0.3, 60.0])
    camera_matrix = torch.tensor([[25000.0, 0, 640], [0, 25000, 360], [0, 0, 1]])
    solved = solve_translation(joints, project(joints + true, camera_matrix), camera_matrix)
    # Pixels near 1000 carry 6e-5 px of rounding; the hand spans some 80 px: a few 1e-6 of the depth.
    torch.testing.assert_close(solved, true, rtol=2e-5, atol=0)


def test_translation_minimises_reprojection() -> None:
    generator = torch.Generator().manual_seed(1)
    joints = 0.05 * torch.randn(21, 3, dtype=torch.float64, generator=generator)
    true = torch.tensor([0.05, 0.0, 0.4], dtype=torch.float64)
    pixels = project(joints + true, torch.tensor(K)) + torch.randn(21, 2, dtype=torch.float64, generator=generator)
    solved = solve_translation(joints, pixels, torch.tensor(K))

    def error(t: torch.Tensor) -> float:
        return float((project(joints + t, torch.tensor(K)) - pixels).square().sum())

    for axis in range(3):
        for step in (-2e-3, 2e-3):  # 2 mm; the closed form is a step or two from the exact minimum
            moved = solved.clone()
            moved[axis] += step
            assert error(moved) > error(solved)


def test_translation_is_in_front_even_where_points_contradict() -> None:
    """Points mirrored through the centre fit best behind the camera; nobody wants a hand there."""
    joints = 0.05 * torch.randn(3, 21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([0.05, 0.0, 0.5], dtype=torch.float64)
    pixels = project(joints + true, torch.tensor(K))
    center = torch.tensor(K[:2, 2])
    pixels[1] = 2 * center - pixels[1]
    joints.requires_grad_()
    solved = solve_translation(joints, pixels, torch.tensor(K))
    torch.testing.assert_close(solved[[0, 2]], true.expand(2, 3))
    assert solved[1, 2].item() == pytest.approx(0.5, rel=0.1)  # the spread of the points tells the depth
    assert (project(joints[1].mean(0, keepdim=True) + solved[1], torch.tensor(K)) - pixels[1].mean(0)).abs().max() < 20
    solved.sum().backward()
    assert joints.grad is not None
    assert joints.grad.isfinite().all()


def test_points_of_weight_zero_do_not_count() -> None:
    joints = 0.05 * torch.randn(21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([0.0, 0.1, 0.6], dtype=torch.float64)
    pixels = project(joints + true, torch.tensor(K))
    pixels[7] = 1e5
    weights = torch.ones(21, dtype=torch.float64)
    weights[7] = 0
    torch.testing.assert_close(solve_translation(joints, pixels, torch.tensor(K), weights), true)
    nothing = solve_translation(joints, pixels, torch.tensor(K), torch.zeros(21, dtype=torch.float64))
    assert nothing.isfinite().all()


def test_golden_projection(golden: Path) -> None:
    data = {name: torch.as_tensor(array) for name, array in np.load(golden / "hamer/geometry.npz").items()}
    points, translation, focal_length = data["points"], data["translation"], data["focal_length"]
    # Relative 1e-5 as the golden README states; results near zero are compared absolutely.
    plain = perspective_projection(points, translation, focal_length)
    torch.testing.assert_close(plain, data["projected"], rtol=1e-5, atol=1e-6)
    full = perspective_projection(points, translation, focal_length, data["camera_center"], data["rotation"])
    torch.testing.assert_close(full, data["projected_full"], rtol=1e-5, atol=1e-6)


def test_golden_cameras_of_crops(golden: Path) -> None:
    forward, crops = np.load(golden / "hamer/forward.npz"), np.load(golden / "hamer/preprocess.npz")

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32)

    full = cam_crop_to_full(
        tensor(forward["pred_cam_signed"]),
        tensor(crops["box_center"]),
        tensor(crops["box_size"]),
        tensor(crops["img_size"]),
        tensor(forward["scaled_focal_length"]),
    )
    torch.testing.assert_close(full, tensor(forward["pred_cam_t_full"]), rtol=2e-5, atol=1e-7)
    in_crop = pred_cam_to_translation(tensor(forward["pred_cam"]), 5000.0, 256.0)
    torch.testing.assert_close(in_crop, tensor(forward["pred_cam_t"]), rtol=2e-5, atol=1e-7)
