"""The drop-in Evaluator gives the original's figures, keeps its predictions, and changes its arguments as it did."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.utils import Evaluator
from hamer.utils.pose_utils import EvaluatorPCK, compute_similarity_transform, eval_pose, reconstruction_error

RELATIVE = 1e-5  # float32 sums in another order; the golden data's own tolerance
MILLIMETRES = 1e-3  # the same for lengths, which are 10 to 230 mm
EVALUATOR_RUNS = ("all_metrics", "subset", "freihand", "ho3d", "hint_pck", "hint_pck_joint9_never_visible")


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "hamer" / "evaluator.npz"))


@pytest.fixture(scope="module")
def runs(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "hamer" / "evaluator.json").read_text())["runs"]


def inputs(arrays: dict[str, np.ndarray], run: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(output, batch) of all seven samples, fresh tensors."""
    tensors = {k.removeprefix("in."): torch.from_numpy(v.copy()) for k, v in arrays.items() if k.startswith("in.")}
    if run == "hint_pck_joint9_never_visible":
        tensors["orig_keypoints_2d"][:, 9, 2] = 0
    output = {k: v for k, v in tensors.items() if k.startswith("pred_")}
    return output, {k: v for k, v in tensors.items() if not k.startswith("pred_") and k != "batches"}


def fed(evaluator: Any, arrays: dict[str, np.ndarray], run: str) -> dict[str, torch.Tensor]:
    """Feed the batches; the predictions as the evaluator left them."""
    output, batch = inputs(arrays, run)
    for start, end in arrays["in.batches"]:
        evaluator({k: v[start:end] for k, v in output.items()}, {k: v[start:end] for k, v in batch.items()})
    return output


def made(run: dict[str, Any]) -> Evaluator:
    return Evaluator(
        run["dataset_length"],
        run["dataset"],
        run["keypoint_list"],
        0,
        metrics=run["metrics"],
        preds=run["preds"],
        pck_thresholds=run["pck_thresholds"],
    )


def assert_same_figures(found: dict[str, float], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        if value == "nan":
            assert math.isnan(found[name]), name
        else:
            assert found[name] == pytest.approx(value, rel=RELATIVE), name


@pytest.mark.parametrize("name", EVALUATOR_RUNS)
def test_run(arrays, runs, name: str) -> None:
    run, evaluator = runs[name], made(runs[name])
    after = fed(evaluator, arrays, name)
    if run.get("get_metrics_dict_raises"):
        with pytest.raises(TypeError, match="metrics=None"):
            evaluator.get_metrics_dict()
    else:
        assert_same_figures(evaluator.get_metrics_dict(), run["get_metrics_dict"])
    for key in (k for k in arrays if k.startswith(f"{name}.per_sample.")):
        found = getattr(evaluator, key.rpartition(".")[2])
        assert found.shape == arrays[key].shape
        assert found.dtype == arrays[key].dtype
        np.testing.assert_allclose(found, arrays[key], rtol=RELATIVE, atol=0, err_msg=key)
        assert np.abs(found - arrays[key]).max() < MILLIMETRES
    kept = evaluator.get_preds_dict()
    assert sorted(kept) == sorted(run["preds"] or [])
    if "vertices" in kept:
        np.testing.assert_array_equal(kept["vertices"], arrays["in.pred_vertices"])
    if f"{name}.preds.keypoints_3d" in arrays:
        np.testing.assert_array_equal(kept["keypoints_3d"], arrays[f"{name}.preds.keypoints_3d"])
        assert kept["keypoints_3d"].dtype == np.float32
    for key in (k for k in arrays if k.startswith(f"{name}.after.")):
        np.testing.assert_array_equal(after[key.rpartition(".")[2]].numpy(), arrays[key], err_msg=key)


def test_pck_alone(arrays, runs) -> None:
    evaluator = EvaluatorPCK()
    fed(evaluator, arrays, "pck_alone")
    assert evaluator.counter == 7
    assert_same_figures(evaluator.get_metrics_dict(), runs["pck_alone"]["get_metrics_dict"])


def test_procrustes(arrays) -> None:
    source, target = (torch.from_numpy(arrays[f"procrustes.{k}"]) for k in ("in", "target"))
    moved = compute_similarity_transform(source, target)
    np.testing.assert_allclose(
        moved.numpy(), arrays["procrustes.out"], rtol=RELATIVE, atol=RELATIVE
    )  # points of 1 to 8 m
    assert reconstruction_error(source, target).shape == (len(source),)


def test_one_joint_alone_has_no_aligned_error(arrays) -> None:
    joints = torch.from_numpy(arrays["in.pred_keypoints_3d"])[:, [0]]
    mpjpe, aligned = eval_pose(joints - joints, joints - joints)
    assert (mpjpe == 0).all()
    assert np.isnan(aligned).all()


def test_returns_the_batch_and_logs(arrays, capsys) -> None:
    output, batch = inputs(arrays, "all_metrics")
    evaluator = Evaluator(7, "ANY", list(range(21)), 0, pck_thresholds=[0.1])
    evaluator.log()
    found = evaluator(output, batch, {"model_joints": output["pred_keypoints_3d"].clone()})
    np.testing.assert_array_equal(found["mode_mpjpe"], evaluator.mode_mpjpe.astype(np.float32))
    evaluator.log()
    said = capsys.readouterr().out
    assert said.startswith("Evaluation has not started\n7 / 7 samples\n7 samples\nkp0_pck_0.1: ")
    assert "mode_re: 14.04" in said
