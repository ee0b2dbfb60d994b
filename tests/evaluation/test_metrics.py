"""Axioms of the metrics, and the same by another way of computing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.evaluation import fscore
from hamer.evaluation.alignment import procrustes_proper, procrustes_reflecting, root_relative, scale_translation
from hamer.evaluation.auc import area
from hamer.evaluation.fingertips import FINGERTIP_VERTICES, HO3D_ORDER, HO3D_TIPS, with_fingertips
from hamer.evaluation.metrics import mean_error, mpjpe, mpvpe, pa_mpjpe, pa_mpjpe_reflecting
from hamer.evaluation.pck import keypoint_l2, mean_pck, normalised_distances, pck_per_joint
from hamer.geometry.rotations import aa_to_rotmat

DOUBLE = 1e-9  # metres; double precision over a few hundred operations


@pytest.fixture
def hands() -> tuple[torch.Tensor, torch.Tensor]:
    """Two (2, 5, 21, 3) sets of made-up joints, the second near the first."""
    rng = torch.Generator().manual_seed(0)
    truth = 0.1 * torch.randn(2, 5, 21, 3, generator=rng, dtype=torch.float64)
    return truth + 0.01 * torch.randn(truth.shape, generator=rng, dtype=torch.float64), truth


def moved(points: torch.Tensor) -> torch.Tensor:
    rotation = aa_to_rotmat(torch.tensor([0.4, -1.1, 0.7], dtype=points.dtype))
    return 1.7 * points @ rotation.T + torch.tensor([0.1, 0.2, 0.9], dtype=points.dtype)


def test_aligned_errors_do_not_see_similarities(hands) -> None:
    prediction, truth = hands
    for metric in (pa_mpjpe, pa_mpjpe_reflecting):
        assert metric(moved(truth), truth).max() < DOUBLE
        torch.testing.assert_close(metric(moved(prediction), truth), metric(prediction, truth))
        assert metric(prediction, truth).shape == (2, 5)
        assert (metric(prediction, truth) < mean_error(prediction, truth)).all()


def test_only_the_reflecting_alignment_accepts_a_mirrored_hand(hands) -> None:
    truth = hands[1]
    mirrored = truth * truth.new_tensor([-1.0, 1.0, 1.0])
    assert pa_mpjpe_reflecting(mirrored, truth).max() < DOUBLE
    assert pa_mpjpe(mirrored, truth).min() > 0.01
    assert torch.linalg.det(procrustes_proper(mirrored, truth)[..., :3, :]).isfinite().all()


def test_mpjpe_is_relative_to_the_root(hands) -> None:
    prediction, truth = hands
    torch.testing.assert_close(mpjpe(prediction + 3.0, truth), mpjpe(prediction, truth))
    assert mpjpe(truth + torch.tensor([0.0, 0.0, 0.5]), truth).max() < DOUBLE
    assert (root_relative(prediction, 9)[..., 9, :] == 0).all()
    torch.testing.assert_close(
        mpvpe(prediction + 1, truth, prediction[..., 0, :] + 1, truth[..., 0, :]), mpjpe(prediction, truth)
    )


def test_points_without_labels_do_not_count(hands) -> None:
    prediction, truth = hands
    valid = torch.ones(truth.shape[:-1], dtype=torch.bool)
    valid[..., 5:9] = False
    wild = torch.where(valid[..., None], truth, 7.0)
    kept = [j for j in range(21) if not 5 <= j < 9]
    torch.testing.assert_close(mpjpe(prediction, wild, valid), mpjpe(prediction[..., kept, :], truth[..., kept, :]))
    torch.testing.assert_close(
        pa_mpjpe(prediction, wild, valid), pa_mpjpe(prediction[..., kept, :], truth[..., kept, :])
    )
    assert mpjpe(prediction, truth, torch.zeros_like(valid)).isnan().all()


def test_scale_translation_fixes_root_and_bone(hands) -> None:
    prediction, truth = hands
    aligned = scale_translation(prediction, truth)
    torch.testing.assert_close(aligned[..., 0, :], truth[..., 0, :])
    bones = [(p[..., 4, :] - p[..., 0, :]).norm(dim=-1) for p in (aligned, truth)]
    torch.testing.assert_close(bones[0], bones[1])
    torch.testing.assert_close(scale_translation(3 * prediction + 1, truth), aligned)
    flat = torch.zeros_like(prediction)
    torch.testing.assert_close(scale_translation(flat, truth), truth[..., :1, :].expand_as(truth))


def test_area_is_that_of_the_curve() -> None:
    errors = 0.06 * torch.rand(40, 21, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    limits = np.linspace(0, 0.05, 100)
    curves = [[(errors[:, j].numpy() <= t).mean() for t in limits] for j in range(21)]
    areas = [np.sum((np.array(c)[1:] + np.array(c)[:-1]) / 2 * np.diff(limits)) / 0.05 for c in curves]
    assert float(area(errors).mean()) == pytest.approx(np.mean(areas), abs=1e-14)  # of 1, double precision


def test_area_at_the_ends() -> None:
    step = 0.05 / 99
    given = torch.tensor(
        [0.0, 1e-12, step, step * 1.001, 0.05, 0.0501, float("inf"), float("nan")], dtype=torch.float64
    )
    expected = [1.0, 98.5 / 99, 98.5 / 99, 97.5 / 99, 0.5 / 99, 0.0, 0.0, float("nan")]
    torch.testing.assert_close(area(given), torch.tensor(expected, dtype=torch.float64), equal_nan=True)
    with pytest.raises(ValueError, match="limit must be above 0"):
        area(given, limit=0.0)


@pytest.fixture
def clouds() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    truth = rng.normal(scale=[0.02, 0.06, 0.03], size=(70, 150, 3))
    prediction = truth[:, rng.permutation(150)[:120]] + rng.normal(scale=0.006, size=(70, 120, 3))
    return prediction, truth


def reference_f(prediction: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """From the definition: every pair of points, one hand."""
    distances = np.linalg.norm(prediction[:, None] - truth[None], axis=-1)
    precision, recall = (distances.min(1) < threshold).mean(), (distances.min(0) < threshold).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_f_score_is_the_definition(clouds) -> None:
    prediction, truth = clouds
    expected = [
        [reference_f(p, t, limit) for limit in fscore.THRESHOLDS] for p, t in zip(prediction, truth, strict=True)
    ]
    assert 0.05 < np.mean(expected) < 0.95
    for threads in (1, 3):
        np.testing.assert_array_equal(fscore.f_score(prediction, truth, threads=threads), expected)
    batched = fscore.f_score(prediction.reshape(7, 10, 120, 3), truth.reshape(7, 10, 150, 3))
    np.testing.assert_array_equal(batched.reshape(70, 2), expected)


def test_f_score_without_compiler(clouds, monkeypatch) -> None:
    expected = fscore.f_score(clouds[0][:4], clouds[1][:4])
    monkeypatch.setattr(fscore, "numba", None)
    np.testing.assert_array_equal(fscore.f_score(clouds[0][:4], clouds[1][:4]), expected)


def test_f_score_at_the_threshold_and_far_away() -> None:
    one, other = np.zeros((1, 3)), np.array([[0.0, 0.005, 0.0]])
    np.testing.assert_array_equal(fscore.f_score(one, other), [0, 1])  # nearer than, not as near as
    np.testing.assert_array_equal(fscore.f_score(one, other + 5), [0, 0])
    assert fscore.f_score(np.zeros((0, 4, 3)), np.zeros((0, 4, 3))).shape == (0, 2)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 4, 3)), np.zeros((3, 4, 3)), r"leading dimensions must agree, got \(2,\) and \(3,\)"),
        (np.zeros((4, 2)), np.zeros((4, 3)), r"prediction must have shape \(..., points, 3\)"),
        (np.zeros((0, 3)), np.zeros((4, 3)), "at least one point"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "prediction must hold finite numbers"),
    ],
)
def test_f_score_names_what_is_wrong(prediction, truth, message) -> None:
    with pytest.raises(ValueError, match=message):
        fscore.f_score(prediction, truth)


def test_pck_leaves_out_what_is_never_visible() -> None:
    errors = np.array([[0.01, 0.2, np.nan], [0.06, np.inf, np.nan]])
    per_joint = pck_per_joint(errors, (0.05, 0.3))
    np.testing.assert_array_equal(per_joint, [[0.5, 0.0, np.nan], [1.0, 0.5, np.nan]])
    np.testing.assert_array_equal(mean_pck(errors, (0.05, 0.3)), [0.25, 0.75])
    assert np.isnan(mean_pck(np.full((2, 3), np.nan), (0.1,))).all()


def test_distances_over_the_box() -> None:
    truth = np.array([[[10.0, 10.0], [20.0, 10.0]]])
    prediction = truth + np.array([3.0, 4.0])
    found = normalised_distances(prediction, truth, np.array([[True, False]]), np.array([50.0]))
    np.testing.assert_array_equal(found, [[0.1, np.nan]])
    np.testing.assert_allclose(keypoint_l2(found, np.array([[0.8, 0.0]])), [0.8 * 0.01 / 2])


def test_fingertips_of_each_definition() -> None:
    rng = np.random.default_rng(0)
    joints, vertices = rng.normal(size=(2, 21, 3)), rng.normal(size=(2, 778, 3))
    for definition, tips in FINGERTIP_VERTICES.items():
        for places, order in (((4, 8, 12, 16, 20), range(21)), (HO3D_TIPS, HO3D_ORDER)):
            moved_tips = with_fingertips(joints[:, list(order)], vertices, definition, places=places)
            np.testing.assert_array_equal(moved_tips[:, list(places)], vertices[:, list(tips)])
            np.testing.assert_array_equal(moved_tips[:, 0], joints[:, 0])
    assert not np.isin(joints, vertices).any()
    with pytest.raises(ValueError, match="778 vertices, got 5"):
        with_fingertips(joints, vertices[:, :5], "smplx")
    with pytest.raises(ValueError, match="must be one of smplx, freihand, alternative, got 'mano'"):
        with_fingertips(joints, vertices, "mano")


def test_float32_and_gradients(hands) -> None:
    prediction, truth = (h.float().requires_grad_() for h in hands)
    aligned = pa_mpjpe(prediction, truth)
    assert aligned.dtype == torch.float32
    torch.testing.assert_close(aligned, pa_mpjpe(*hands).float(), atol=1e-6, rtol=0)  # float32, metres
    aligned.sum().backward()
    assert prediction.grad.isfinite().all()
    assert procrustes_reflecting(*hands).shape == hands[0].shape
