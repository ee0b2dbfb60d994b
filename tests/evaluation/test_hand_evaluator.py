"""Our own evaluator: the original's figures where those are right, and right where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.evaluation import EvaluationBatch, EvaluationResult, HandEvaluator, evaluate, freihand_scores
from hamer.evaluation.results import EvaluationFileError

RELATIVE = 1e-5  # the original computed in float32


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "hamer" / "evaluator.npz"))


def network_batch(arrays: dict[str, np.ndarray]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    tensors = {k.removeprefix("in."): torch.from_numpy(v.copy()) for k, v in arrays.items() if k.startswith("in.")}
    return {k: v for k, v in tensors.items() if k.startswith("pred_")}, tensors


@pytest.fixture
def points(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "metrics" / "points.npz"))


def made_up(n: int = 6, seed: int = 0) -> EvaluationBatch:
    rng = np.random.default_rng(seed)
    joints, vertices, keypoints = (
        0.1 * rng.normal(size=(n, 21, 3)),
        0.1 * rng.normal(size=(n, 90, 3)),
        200 * rng.random((n, 21, 2)),
    )
    return EvaluationBatch(
        joints=joints + 0.01 * rng.normal(size=joints.shape),
        true_joints=joints,
        vertices=vertices + 0.01 * rng.normal(size=vertices.shape),
        true_vertices=vertices,
        keypoints_2d=keypoints + 5 * rng.normal(size=keypoints.shape),
        true_keypoints_2d=keypoints,
        box_size=np.full(n, 200.0),
        is_right=rng.random(n) > 0.5,
        scores=rng.random(n),
    )


def changed(batch: EvaluationBatch, **fields: object) -> EvaluationBatch:
    return EvaluationBatch(**(vars(batch) | fields))


def test_errors_and_pck_of_the_original(golden, arrays) -> None:
    expected = json.loads((golden / "hamer" / "evaluator.json").read_text())["runs"]
    output, batch = network_batch(arrays)
    before = {k: v.clone() for k, v in (output | batch).items()}
    evaluator = HandEvaluator()
    for start, end in arrays["in.batches"]:
        evaluator.add(
            EvaluationBatch.from_network(
                {k: v[start:end] for k, v in output.items()}, {k: v[start:end] for k, v in batch.items()}
            )
        )
    for name, value in (output | batch).items():  # nothing is changed in place
        assert torch.equal(value, before[name]), name
    result = evaluator.result()
    per_sample = {k.rpartition(".")[2]: v for k, v in arrays.items() if k.startswith("all_metrics.per_sample")}
    np.testing.assert_allclose(result.joint_error_root.mean(1), per_sample["mode_mpjpe"][:7], rtol=RELATIVE)
    np.testing.assert_allclose(result.joint_error_proper.mean(1), per_sample["mode_re"][:7], rtol=RELATIVE)
    figures = expected["hint_pck"]["get_metrics_dict"]
    summary = result.summary(expected["hint_pck"]["pck_thresholds"])
    for threshold, mean in summary.pck.items():
        assert mean == pytest.approx(figures[f"kpAvg_pck_{threshold}"], abs=1e-12)
        for j, share in enumerate(summary.pck_per_joint[threshold].values()):
            assert share == pytest.approx(figures[f"kp{j}_pck_{threshold}"], abs=1e-12)


def test_kpl2_is_right_for_left_hands(arrays) -> None:
    """The golden run without PCK negates nothing, so it is right for both sides, but for the factor on the confidence."""
    factor = arrays["in.bbox_expand_factor"]
    truth = arrays["in.keypoints_2d"]
    in_crop = EvaluationBatch(
        keypoints_2d=arrays["in.pred_keypoints_2d"],
        true_keypoints_2d=truth[..., :2],
        keypoint_confidence=truth[..., 2],
        box_size=1 / factor,
    )
    expected = arrays["all_metrics.per_sample.mode_kpl2"][:7] / factor
    assert (arrays["in.right"] == 0).any()
    for i, value in enumerate(expected):
        assert evaluate(in_crop)[[i]].summary().kpl2 == pytest.approx(value, rel=RELATIVE)
    # the same from the whole picture, where left hands are mirrored back
    right = arrays["in.right"] > 0.5
    output, batch = network_batch(arrays)
    in_picture = evaluate(EvaluationBatch.from_network(output, batch))
    np.testing.assert_allclose(in_picture.keypoint_error[right].shape, (right.sum(), 21))
    assert in_picture.summary().kpl2 < 0.1 * float(arrays["hint_pck.per_sample.mode_kpl2"][:7].mean())


def test_a_joint_never_visible_is_left_out_and_named(golden, arrays) -> None:
    runs = json.loads((golden / "hamer" / "evaluator.json").read_text())["runs"]
    figures = runs["hint_pck_joint9_never_visible"]["get_metrics_dict"]
    assert figures["kpAvg_pck_0.1"] == "nan"
    output, batch = network_batch(arrays)
    batch["orig_keypoints_2d"][:, 9, 2] = 0
    summary = evaluate(EvaluationBatch.from_network(output, batch)).summary((0.1,))
    others = [figures[f"kp{j}_pck_0.1"] for j in range(21) if j != 9]
    assert summary.pck[0.1] == pytest.approx(np.mean(others))
    assert summary.joints_never_visible == ("middle1",)
    assert "middle1" not in summary.pck_per_joint[0.1]


def test_agrees_with_the_public_programs(points) -> None:
    batch = EvaluationBatch(
        joints=points["pred_joints"],
        true_joints=points["gt_joints"],
        vertices=points["pred_vertices"],
        true_vertices=points["gt_vertices"],
    )
    result, scores = (
        evaluate(batch),
        freihand_scores(*(points[k] for k in ("pred_joints", "gt_joints", "pred_vertices", "gt_vertices"))),
    )
    summary = result.summary()
    pairs = {
        "xyz_al_mean3d": summary.pa_mpjpe_reflecting / 10,
        "xyz_al_auc3d": summary.auc_pa_reflecting,
        "mesh_al_mean3d": summary.pa_mpvpe_reflecting / 10,
        "mesh_al_auc3d": summary.auc_mesh_pa_reflecting,
        "f_al_score_5": summary.f_5_reflecting,
        "f_al_score_15": summary.f_15_reflecting,
        "xyz_mean3d": result.joint_error.mean() / 10,
        "mesh_mean3d": result.vertex_error.mean() / 10,
        "mesh_auc3d": result.vertex_auc.mean(),
        "f_score_15": result.f_score[:, 1].mean(),
    }
    for name, value in pairs.items():
        assert value == pytest.approx(scores[name], abs=1e-9), name
    assert summary.pa_mpjpe > summary.pa_mpjpe_reflecting
    assert (summary.hands, summary.hands_3d, summary.hands_mesh, summary.hands_2d) == (10, 10, 10, 0)
    assert summary.pck == {}
    assert summary.kpl2 is None


def test_a_mirrored_mesh_is_mended_by_the_reflecting_alignment_only() -> None:
    batch = made_up()
    vertices = batch.vertices.copy()
    vertices[2, :, 0] *= -1
    result, whole = evaluate(changed(batch, vertices=vertices)), evaluate(batch)
    for name in ("vertex_error", "vertex_auc", "f_score"):
        proper, reflecting, before = (
            getattr(r, f"{name}_{way}") for r, way in ((result, "proper"), (result, "reflecting"), (whole, "proper"))
        )
        np.testing.assert_allclose(reflecting, before, rtol=1e-9, err_msg=name)
        others = [0, 1, 3, 4, 5]
        np.testing.assert_array_equal(proper[others], reflecting[others], err_msg=name)
        assert (np.abs(proper[2] - reflecting[2]) > 0.01 * reflecting[2]).all(), name


def test_batches_merge_save_and_go_on(tmp_path) -> None:
    batches = [made_up(4, 0), made_up(1, 1), made_up(3, 2)]
    whole = HandEvaluator()
    for batch in batches:
        whole.add(batch)
    started = HandEvaluator()
    started.add(batches[0])
    path = started.save(tmp_path / "run.npz")
    resumed = HandEvaluator(EvaluationResult.load(path))
    for batch in batches[1:]:
        resumed.add(batch)
    assert len(resumed) == 8
    for name, column in vars(whole.result()).items():
        np.testing.assert_array_equal(getattr(resumed.result(), name), column, err_msg=name)
    assert list(resumed.result().ids) == [str(i) for i in range(8)]
    one_by_one = EvaluationResult.joined([whole.result()[[i]] for i in range(8)])
    assert one_by_one.summary() == whole.result().summary()
    assert json.loads(json.dumps(whole.result().summary().as_dict()))["pck"]["0.1"] == whole.result().summary().pck[0.1]


def test_nothing_at_all() -> None:
    summary = HandEvaluator().result().summary()
    assert summary.hands == 0
    assert summary.mpjpe is None
    assert summary.pck == {}


def test_labels_that_are_missing() -> None:
    batch = made_up()
    valid = np.ones((6, 21), bool)
    valid[0] = False  # no 3D at all
    valid[1, 2:] = False  # two joints: no rotation
    valid[2, 0] = False  # no wrist: nothing to be relative to
    valid[3, 7] = False
    truth = np.where(valid[..., None], batch.true_joints, np.nan)
    result = evaluate(changed(batch, joints_valid=valid, true_joints=truth))
    assert np.isnan(result.joint_error[0]).all()
    assert np.isnan(result.joint_error_proper[1]).all()
    assert np.isfinite(result.joint_error_root[1, :2]).all()
    assert np.isnan(result.joint_error_root[2]).all()
    assert np.isfinite(result.joint_error_proper[2, 1:]).all()
    np.testing.assert_array_equal(np.isnan(result.joint_error_proper[3]), ~valid[3])
    whole = evaluate(batch)
    np.testing.assert_allclose(result.joint_error_proper[4:], whole.joint_error_proper[4:], rtol=1e-12)
    assert np.isnan(result.vertex_error_root[[0, 2]]).all()
    summary = result.summary()
    assert summary.hands_3d == 5
    assert summary.mpjpe == pytest.approx(np.mean([np.nanmean(row) for row in result.joint_error_root[[1, 3, 4, 5]]]))


def test_predictions_that_are_no_numbers_count_as_wrong() -> None:
    batch = made_up()
    joints, vertices, keypoints = batch.joints.copy(), batch.vertices.copy(), batch.keypoints_2d.copy()
    joints[1, 3, 0], vertices[2, 0, 0], keypoints[3, 5, 1] = np.nan, np.inf, np.nan
    result = evaluate(changed(batch, joints=joints, vertices=vertices, keypoints_2d=keypoints))
    assert np.isinf(result.joint_error[1]).all()
    assert np.isinf(result.joint_error_proper[1]).all()
    assert np.isfinite(result.joint_error[2]).all()
    assert np.isinf(result.vertex_error_proper[2])
    assert result.vertex_auc_proper[2] == 0
    assert (result.f_score_proper[2] == 0).all()
    assert np.isinf(result.keypoint_error[3, 5])
    assert result.summary().pa_mpjpe == np.inf
    assert 0 < result.summary().auc_pa < 1


def test_missed_hands_count_in_pck_only() -> None:
    found = evaluate(made_up(3))
    visible = np.ones((1, 21), bool)
    visible[0, 4] = False
    both = EvaluationResult.joined([found, EvaluationResult.missed(["gone"], [False], visible)])
    summary, before = both.summary((0.1,)), found.summary((0.1,))
    assert (summary.hands, summary.missed, summary.hands_2d) == (4, 1, 4)
    assert summary.pck_per_joint[0.1]["thumb4"] == before.pck_per_joint[0.1]["thumb4"]
    assert summary.pck_per_joint[0.1]["wrist"] == pytest.approx(0.75 * before.pck_per_joint[0.1]["wrist"])
    assert summary.mpjpe == before.mpjpe
    assert summary.kpl2 == before.kpl2


def test_batches_name_what_is_wrong() -> None:
    batch = made_up()
    with pytest.raises(ValueError, match=r"EvaluationBatch.true_joints must have shape \(6, 21, 3\), got \(5, 21, 3\)"):
        changed(batch, true_joints=batch.true_joints[:5])
    with pytest.raises(ValueError, match="go together"):
        changed(batch, box_size=None)
    with pytest.raises(ValueError, match="needs at least one of joints"):
        EvaluationBatch()


def test_files_that_are_no_evaluations(tmp_path) -> None:
    path = tmp_path / "run.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(EvaluationFileError, match="found no f_score"):
        EvaluationResult.load(path)
    evaluate(made_up()).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(EvaluationFileError, match="remove it to start anew"):
        EvaluationResult.load(path)
    with pytest.raises(FileNotFoundError):
        EvaluationResult.load(tmp_path / "nothing.npz")


def test_items_of_the_evaluation_data_set_are_in_one_frame(golden) -> None:
    """The truth, given as the network would give it, has no error: right and left hands, all items of both files."""
    items = dict(np.load(golden / "hamer" / "eval_items.npz"))
    starts = sorted(key.removesuffix("right") for key in items if key.endswith(".right"))
    names = (
        "right",
        "keypoints_2d",
        "keypoints_3d",
        "orig_keypoints_2d",
        "box_center",
        "box_size",
        "bbox_expand_factor",
    )
    batch = {name: np.stack([items[start + name] for start in starts]) for name in names}
    assert set(batch["right"]) == {0, 1}
    perfect = {"pred_keypoints_2d": batch["keypoints_2d"][..., :2], "pred_keypoints_3d": batch["keypoints_3d"][..., :3]}
    result = evaluate(EvaluationBatch.from_network(perfect, batch))
    visible = batch["orig_keypoints_2d"][..., 2] > 0.5
    np.testing.assert_array_equal(~np.isnan(result.keypoint_error), visible)
    assert np.nanmax(result.keypoint_error) < 1e-5  # float32 keypoints of up to a thousand pixels
    assert np.nanmax(result.joint_error) == 0
    assert result.summary().pck[0.05] == 1
