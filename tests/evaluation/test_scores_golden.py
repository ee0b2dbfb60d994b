"""Our scores are those of FreiHAND's and HO-3D's own programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.evaluation import freihand_scores, ho3d_scores
from hamer.evaluation.metrics import pa_mpjpe, pa_mpjpe_reflecting

ROUNDING = 5.001e-7  # the golden figures were written with six decimals


@pytest.fixture(scope="module")
def points(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "metrics" / "points.npz"))


@pytest.mark.parametrize(("program", "score"), [("freihand", freihand_scores), ("ho3d", ho3d_scores)])
def test_equal_to_the_public_program(golden, points, program, score) -> None:
    expected = json.loads((golden / "metrics" / "scores.json").read_text())[program]
    told: list[int] = []
    found = score(
        points["pred_joints"],
        points["gt_joints"],
        points["pred_vertices"],
        points["gt_vertices"],
        progress=told.append,
    )
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=ROUNDING), name
    assert sum(told) == len(points["gt_joints"])


def test_joints_alone(points) -> None:
    whole = freihand_scores(points["pred_joints"], points["gt_joints"], points["pred_vertices"], points["gt_vertices"])
    alone = freihand_scores(points["pred_joints"], points["gt_joints"])
    assert alone == {name: value for name, value in whole.items() if name.startswith("xyz")}


def test_reflecting_and_proper_alignment_differ_by_the_mirrored_hand(points) -> None:
    prediction, truth = (torch.from_numpy(points[k]) for k in ("pred_joints", "gt_joints"))
    proper, reflecting = pa_mpjpe(prediction, truth), pa_mpjpe_reflecting(prediction, truth)
    # both means stand in the golden data's description, with three decimals
    assert 100 * float(proper.mean()) == pytest.approx(1.682, abs=5e-4)
    assert 100 * float(reflecting.mean()) == pytest.approx(1.217, abs=5e-4)
    assert int((proper - reflecting > 1e-9).sum()) == 1


def test_scores_name_what_is_wrong() -> None:
    joints = np.random.default_rng(0).normal(size=(3, 21, 3))
    with pytest.raises(ValueError, match=r"joints must be .*\(3, 21, 3\).*\(2, 21, 3\)"):
        freihand_scores(joints, joints[:2])
    broken = joints.copy()
    broken[1, 4, 0] = np.nan
    with pytest.raises(ValueError, match="predicted joints of hand 1 hold NaN"):
        freihand_scores(broken, joints)
    with pytest.raises(ValueError, match="both vertices and true_vertices"):
        ho3d_scores(joints, joints, joints)
