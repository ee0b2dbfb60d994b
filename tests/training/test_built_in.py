"""Whole runs of experiment=built_in, shrunk, on a few made-up hands: every loss, the average, the schedule, continued exactly."""

from __future__ import annotations

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")
pytest.importorskip("hydra", reason="training needs the extra: pip install 'hamer[train]'")
pytest.importorskip("tensorboard", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.configs.compose import compose
from hamer.models import load_hamer
from hamer.models.landmark_stem import LandmarkStem, Trunk
from hamer.training.checkpointing import OURS, read_checkpoint
from hamer.training.curves import read_curves
from hamer.training.run import TrainingOutcome, train
from hamer.weights import require_built_in

tars = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "datasets" / "tar_making.py")))
Command = Callable[..., list[str]]


def tar(path: Path, count: int) -> None:
    """Samples of noise with all the labels of made pictures; every other hand is a left one."""
    samples = {}
    for n in range(count):
        rng = np.random.default_rng(n)
        hand = tars.annotation(right=np.float32(n % 2), hand_pose=rng.normal(0, 0.3, 48).astype(np.float32))
        hand["keypoints_3d"] = np.c_[rng.normal(0, 0.05, (21, 3)), np.ones(21)].astype(np.float32)
        hand["landmarks_2d"] = hand["keypoints_2d"] + rng.normal(0, 0.1, (21, 3)).astype(np.float32).clip(-0.2, 0)
        hand["landmarks_3d"] = hand["keypoints_3d"][:, :3]
        parts = rng.integers(0, 19, (40, 48)).astype(np.uint8)
        data = pickle.dumps([hand], protocol=2)
        samples[f"{n:03d}"] = {
            "jpg": tars.jpg(n),
            "data.pyd": data,
            "parts.png": cv2.imencode(".png", parts)[1].tobytes(),
        }
    tars.write_tar(path, samples)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Makes the words of a small run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("TRAIN", 8), ("VAL", 3)):
        tar(tmp_path / f"{name}.tar", count)
        Path(f"{name}.yaml").write_text(f"MADE-{name}: {{URLS: {name}.tar}}\n", encoding="utf-8")

    def make(name: str, *more: str, steps: int = 8) -> list[str]:
        decoder = "MODEL.MANO_HEAD.TRANSFORMER_DECODER"
        return [
            *(f"exp_name={name}", "experiment=built_in", "data=synthetic", "trainer=cpu", "seed=2"),
            *("DATASETS.FILE=TRAIN.yaml", "DATASETS.VAL_FILE=VAL.yaml", "DATASETS.SHUFFLE_BUFFER=4"),
            *(
                "MODEL.BACKBONE.TRUNK=null",
                "MODEL.BACKBONE.STEM=[4,4,8,8]",
                "+MODEL.BACKBONE.STEM_BLOCKS=[0,1,0,1]",
                "MODEL.BACKBONE.EMBED_DIM=16",
                "MODEL.BACKBONE.DEPTH=1",
            ),
            *(f"{decoder}.{size}" for size in ("dim=16", "depth=1", "heads=2", "mlp_dim=16", "context_dim=16")),
            *("MODEL.LANDMARK_TOKENS.DEPTH=1", "MODEL.DENSE_HEAD.WIDTH=8", "TRAIN.BATCH_SIZE=2"),
            *("GENERAL.NUM_WORKERS=0", "GENERAL.LOG_STEPS=1", "GENERAL.VAL_STEPS=3", "GENERAL.CHECKPOINT_STEPS=100"),
            *(
                "TRAIN.SCHEDULE.WARMUP=2",
                "+TRAIN.SCHEDULE.UPDATES=8",
                "EXTRA.NUM_LOG_IMAGES=0",
                "extras.print_config=false",
            ),
            *("+DATASETS.EPOCH_SAMPLES=8", f"GENERAL.TOTAL_STEPS={steps}", *more),
        ]

    return make


def run(words: list[str]) -> TrainingOutcome:
    return train(compose(words), overrides=words)


def test_a_run_and_what_it_leaves(command: Command) -> None:
    outcome = run(command("whole", steps=6))
    curves = read_curves(outcome.folder.curves)
    losses = (
        "keypoints_2d",
        "keypoints_3d",
        "global_orient",
        "hand_pose",
        "betas",
        "vertices",
        "heatmaps",
        "parts",
        "points",
    )
    for name in losses:
        assert sorted(curves[f"train/loss_{name}"]) == [1, 2, 3, 4, 5, 6]
        assert sorted(curves[f"val/loss_{name}"]) == [3, 6]
    assert all(curves[f"val/{name}"][6] > 0 for name in ("mpjpe", "pa_mpjpe", "pa_mpvpe"))
    assert outcome.validation["val/pa_mpvpe"] == pytest.approx(curves["val/pa_mpvpe"][6], rel=1e-5)  # seven digits
    rates = curves["train/lr"]
    assert rates[1] == pytest.approx(1.5e-3 / 3)
    assert rates[3] == pytest.approx(1.5e-3)
    assert rates[6] < rates[4]
    network, cfg = load_hamer(outcome.folder.last)
    assert cfg.MODEL.BBOX_SHAPE == [128, 128]
    with torch.inference_mode():
        output = network({"img": torch.zeros(1, 3, 128, 128)})
    assert output["pred_keypoints_3d"].shape == (1, 21, 3)
    assert output["pred_points"].shape == (1, 21, 4)  # the network reads them: its maps are not for training only


def test_a_run_from_nothing_begins_with_the_published_trunk(command: Command) -> None:
    """And leaves it as it is, average and all."""
    stem = ("MODEL.BACKBONE.TRUNK=hand_landmark", "MODEL.BACKBONE.STEM=[4,4,8]", "++MODEL.BACKBONE.STEM_BLOCKS=null")
    network, _ = load_hamer(run(command("trunk", *stem, steps=2)).folder.last)
    found = network.backbone.patch_embed
    assert isinstance(found, LandmarkStem)
    published = Trunk()
    published.load(require_built_in())
    for name, value in published.state_dict().items():
        assert torch.equal(found.trunk.state_dict()[name], value), name


def test_continued_is_the_run_that_was_not_cut(command: Command) -> None:
    """At 3, where a validation shows the average; and at 5, within the second epoch."""
    straight = run(command("straight"))
    expected = read_checkpoint(straight.folder.last)
    for end in (3, 5):
        run(command(f"cut_at_{end}", steps=end))
        outcome = run(command(f"cut_at_{end}"))
        content = read_checkpoint(outcome.folder.last)
        for part in (lambda c: c["state_dict"], lambda c: c[OURS]["raw_weights"]):
            assert part(content).keys() == part(expected).keys()
            assert all(part(content)[name].equal(value) for name, value in part(expected).items())
        assert content[OURS]["average_updates"] == 8
        curves = [read_curves(each.folder.curves)["train/loss"] for each in (outcome, straight)]
        assert curves[0] == curves[1]


def test_trained_further_from_its_weights(command: Command) -> None:
    """A head that weights without it lack starts afresh."""
    first = run(command("first", steps=2))
    weights = Path("weights.ckpt")
    content = read_checkpoint(first.folder.last)
    kept = {name: value for name, value in content["state_dict"].items() if not name.startswith("dense_head.")}
    assert len(kept) < len(content["state_dict"])
    torch.save({**content, "state_dict": kept, OURS: {}}, weights)
    outcome = run(command("further", f"+TRAIN.START_FROM={weights}", steps=2))
    assert outcome.step == 2


def test_half_precision_and_a_limit_of_time(command: Command) -> None:
    more = ("trainer.precision=bf16-mixed", "+trainer.max_time=00:00:00:02")
    outcome = run(command("quick", *more, "++TRAIN.SCHEDULE.UPDATES=100000", steps=100_000))
    assert 0 < outcome.step < 100_000
    assert outcome.folder.last.is_file()
    assert all(value.isfinite().all() for value in read_checkpoint(outcome.folder.last)["state_dict"].values())
