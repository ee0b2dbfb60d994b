"""`python eval.py` as the original's users call it: flags, figures, table, predictions."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hamer.configs import dataset_eval_config
from hamer.datasets import create_dataset
from hamer.models import load_hamer
from hamer.utils.pose_utils import Evaluator

from ..evaluation.made_up import CHECKPOINT, HANDS, write_world

ROOT = Path(__file__).resolve().parents[2]


def run_eval(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "eval.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=300)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder after one call of the original's command on three sets."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    run = run_eval(
        folder, "--checkpoint", CHECKPOINT, "--results_folder", "new/results", "--dataset", ",".join(HANDS),
        "--batch_size", 2, "--num_samples", 1, "--num_workers", 1, "--log_freq", 1, "--shuffle", "--exp_name", "named",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def originals(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Evaluator:
    """The original's loop over a set: its loader, its order, its Evaluator."""
    monkeypatch.chdir(folder)
    network, cfg = load_hamer(CHECKPOINT)
    entry = dataset_eval_config()[name]
    factor = -1 if arguments["metrics"] is None else 2
    dataset = create_dataset(cfg, entry, train=False, rescale_factor=factor)
    evaluator = Evaluator(int(1e4), name, entry.KEYPOINT_LIST, cfg.EXTRA.PELVIS_IND, **arguments)
    for batch in DataLoader(dataset, 2):
        with torch.no_grad():
            evaluator(network(batch), batch)
    return evaluator


def test_columns_are_the_originals(world: Path, golden: Path) -> None:
    example = (golden / "hamer" / "eval_regression_example.csv").read_text().splitlines()
    written = (world / "new" / "results" / "eval_regression.csv").read_text().splitlines()
    assert written[0] == example[0]
    of_set = [line.split(",")[4] for line in example if ",ckpts,NEWDAYS-TEST-ALL," in line]
    named = [line.split(",")[4] for line in written if ",named,NEWDAYS-TEST-ALL," in line]
    assert named == of_set  # the same metrics in the same order


def test_figures_are_the_originals(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = originals(
        "NEWDAYS-TEST-ALL", world, monkeypatch, metrics=["mode_kpl2"], preds=None, pck_thresholds=[0.05, 0.1, 0.15]
    )
    expected = evaluator.get_metrics_dict()
    rows = [r for r in rows_of(world / "new/results/eval_regression.csv") if r["dataset"] == "NEWDAYS-TEST-ALL"]
    assert {r["metric_name"] for r in rows} == set(expected)
    assert expected["kpAvg_pck_0.15"] > 0  # some keypoints are near, so that the test says something
    for row in rows:
        # batches of other sizes: float32 sums in another order
        assert float(row["metric_value"]) == pytest.approx(expected[row["metric_name"]], rel=1e-5), row
        assert (row["checkpoint_path"], row["error"], row["iters_done"]) == (str(CHECKPOINT), "", "3")


@pytest.mark.parametrize("name", ["FREIHAND-VAL", "HO3D-VAL"])
def test_predictions_are_the_originals(name: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = originals(name, world, monkeypatch, metrics=None, preds=["vertices", "keypoints_3d"])
    expected = evaluator.get_preds_dict()
    joints, vertices = json.loads((world / "new" / "results" / f"{name.lower()}.json").read_text())
    # shuffled, yet in the set's order; metres, float32 of other batch sizes
    np.testing.assert_allclose(np.array(joints), expected["keypoints_3d"], atol=1e-6)
    np.testing.assert_allclose(np.array(vertices), expected["vertices"], atol=1e-6)
    assert len(joints) == HANDS[name]


def test_all_eleven_sets_are_the_default_and_missing_ones_say_how_to_get_them(world: Path) -> None:
    run = run_eval(world, "--checkpoint", CHECKPOINT, "--results_folder", "all", "--num_workers", 0)
    assert run.returncode == 1
    assert "8 of 11 sets had errors" in run.stderr
    assert "hamer fetch hamer_evaluation_data" in run.stderr
    assert "hamer data convert" in run.stderr
    rows = rows_of(world / "all" / "eval_regression.csv")
    assert len({r["dataset"] for r in rows}) == 11
    assert all("AssetError" in r["error"] for r in rows if r["dataset"] == "EGO4D-TEST-OCC")
    assert not any(r["error"] for r in rows if r["dataset"] in HANDS)
    assert {r["exp_name"] for r in rows} == {"try"}  # by default the folder above the checkpoint's
    assert (world / "all" / "ho3d-val.json").is_file()


def test_without_the_checkpoint_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    run = run_eval(tmp_path)
    assert run.returncode == 1
    assert "hamer.ckpt" in run.stderr
    assert "Traceback" not in run.stderr
