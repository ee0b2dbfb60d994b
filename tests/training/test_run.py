"""Whole runs on golden/hamer/tiny.tar with a network of one small layer: as a user types them, killed, continued, broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")
pytest.importorskip("hydra", reason="training needs the extra: pip install 'hamer[train]'")
pytest.importorskip("tensorboard", reason="training needs the extra: pip install 'hamer[train]'")

from hamer.checkpoints.weights import read_weights
from hamer.configs.compose import compose
from hamer.models import load_hamer
from hamer.training.checkpointing import CheckpointWriteError, read_checkpoint
from hamer.training.folder import TrainingFolder, changes
from hamer.training.run import TrainingOutcome, TrainingStoppedError, train

REPOSITORY = Path(__file__).parents[2]
Overrides = Callable[..., list[str]]
BATCH = 2  # steps a batch: the network's update and the discriminator's


@pytest.fixture
def overrides(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Overrides]:
    """Makes the command line of a tiny run; the working directory is an empty one with its list of data sets."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    # As the processes that these runs are compared with: sums in one order are equal to the bit.
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    np.savez("mocap.npz", hand_pose=rng.normal(0, 0.3, (64, 48)), betas=rng.normal(0, 1, (64, 10)))
    sets = {
        "OWN-TRAIN": {"TYPE": "ImageDataset", "URLS": str(golden / "hamer" / "tiny.tar"), "epoch_size": 8},
        "FREIHAND-MOCAP": {"DATASET_FILE": "mocap.npz"},
    }
    OmegaConf.save(OmegaConf.create(sets), "sets.yaml")

    def make(name: str, *more: str, steps: int = 12) -> list[str]:
        return [
            *(f"exp_name={name}", "experiment=tiny", "trainer=cpu", "data=own", "DATASETS.FILE=sets.yaml", "seed=3"),
            *(f"MANO.DATA_DIR={golden / 'hamer'}", "MODEL.BACKBONE.EMBED_DIM=48", "MODEL.BACKBONE.DEPTH=1"),
            *(
                f"MODEL.MANO_HEAD.TRANSFORMER_DECODER.{size}"
                for size in ("context_dim=48", "depth=1", "mlp_dim=64", "heads=2")
            ),
            "+MODEL.MANO_HEAD.TRANSFORMER_DECODER.dim=64",
            *("MODEL.BACKBONE.DROP_PATH_RATE=0.5", "MODEL.MANO_HEAD.TRANSFORMER_DECODER.dropout=0.1"),
            *("TRAIN.BATCH_SIZE=2", "+DATASETS.EPOCH_SAMPLES=10", "extras.print_config=false"),
            *("GENERAL.LOG_STEPS=2", "GENERAL.VAL_STEPS=4", "GENERAL.CHECKPOINT_STEPS=4", "EXTRA.NUM_LOG_IMAGES=0"),
            *(f"GENERAL.TOTAL_STEPS={steps}", *more),
        ]

    yield make
    torch.set_num_threads(threads)


def run(command: list[str]) -> TrainingOutcome:
    return train(compose(command), overrides=command)


def curve(folder: TrainingFolder, name: str = "train/loss") -> dict[int, float]:
    """Step to value, as TensorBoard has it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def environment() -> dict[str, str]:
    paths = [str(REPOSITORY / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def test_the_command_as_a_user_types_it(overrides: Overrides, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *overrides("typed", "EXTRA.NUM_LOG_IMAGES=1", steps=8)],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "step 8 reached" in result.stdout
    assert "Warning" not in result.stderr, result.stderr
    folder = TrainingFolder(tmp_path / "logs" / "train" / "runs" / "typed")
    model, cfg = load_hamer(folder.last)
    assert model.config.backbone.width == 48
    assert cfg.MODEL.BBOX_SHAPE == [192, 256]
    saved = OmegaConf.to_container(OmegaConf.load(folder.model_config), resolve=False)
    assert saved["paths"]["output_dir"] == "${hydra:runtime.output_dir}"  # type: ignore[index,call-overload]
    assert saved == OmegaConf.to_container(
        compose(overrides("typed", "EXTRA.NUM_LOG_IMAGES=1", steps=8)), resolve=False
    )
    assert OmegaConf.load(folder.dataset_config)["OWN-TRAIN"].epoch_size == 8
    assert sorted(curve(folder)) == [2, 4, 6, 8]
    assert curve(folder, "val/loss")
    assert "step 8 of 8" in (folder.path / "train.log").read_text(encoding="utf-8")
    assert {file.name for file in folder.checkpoints.iterdir()} == {"last.ckpt", "epoch=0-step=8.ckpt"}
    assert folder.last.samefile(folder.checkpoints / "epoch=0-step=8.ckpt")  # one file, two names


def test_killed_and_continued_is_the_run_that_was_not(overrides: Overrides, tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "train.py"), *overrides("killed", steps=100_000)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        folder = TrainingFolder(tmp_path / "logs" / "train" / "runs" / "killed")
        deadline = time.monotonic() + 300
        while not any("step=4" not in file.name for file in folder.checkpoints.glob("epoch=*.ckpt")):
            assert process.poll() is None, "the run ended by itself"
            assert time.monotonic() < deadline, "no checkpoint after five minutes"
            time.sleep(0.05)
        process.kill()  # SIGKILL: no chance to save anything
    at = int(read_checkpoint(folder.last)["global_step"])
    assert at % 4 == 0
    assert at > 0
    until = at + 5 * BATCH
    continued = run(overrides("killed", steps=until))
    straight = run(overrides("straight", steps=until))
    assert (continued.step, straight.step) == (until, until)
    _same_from(at, continued, straight)


def test_continued_after_its_end(overrides: Overrides) -> None:
    """Two parts are one whole, cut between checkpoints (6), before a validation (8) and at the end of an epoch (10)."""
    straight = run(overrides("whole", steps=14))
    for end in (6, 8, 10):
        run(overrides(f"cut_at_{end}", steps=end))
        _same_from(end, run(overrides(f"cut_at_{end}", steps=14)), straight)


def _same_from(step: int, continued: TrainingOutcome, straight: TrainingOutcome) -> None:
    """Losses and weights are equal to the bit: the same operations on the same numbers in one thread."""
    theirs, ours = curve(straight.folder), curve(continued.folder)
    later = [s for s in theirs if s > step]
    assert later
    assert {s: ours[s] for s in later} == {s: theirs[s] for s in later}
    weights, expected = (read_weights(each.folder.last).tensors for each in (continued, straight))
    assert [name for name, value in expected.items() if not weights[name].equal(value)] == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_the_same_command_continues(
    overrides: Overrides, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from hamer.training.module import HamerModule

    step, handler = HamerModule.training_step, signal.getsignal(getattr(signal, name))

    def told(self: HamerModule, joint_batch: Any, batch_idx: int = 0) -> Any:
        if self.global_step == 6:
            signal.raise_signal(getattr(signal, name))
        return step(self, joint_batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(HamerModule, "training_step", told)
        stopped = run(overrides("told", steps=100))
    assert (stopped.stopped_by, stopped.step) == (name, 8)  # the batch at hand was finished
    assert signal.getsignal(getattr(signal, name)) is handler
    assert read_checkpoint(stopped.folder.last)["global_step"] == 8
    assert run(overrides("told", steps=10)).step == 10


def test_few_samples_are_learned_by_heart(overrides: Overrides) -> None:
    still = [f"DATASETS.CONFIG.{name}=0" for name in ("ROT_AUG_RATE", "SCALE_FACTOR", "TRANS_FACTOR", "COLOR_SCALE")]
    calm = ["MODEL.BACKBONE.DROP_PATH_RATE=0", "MODEL.MANO_HEAD.TRANSFORMER_DECODER.dropout=0"]
    alone = ["DATASETS.MOCAP=null", "LOSS_WEIGHTS.ADVERSARIAL=0", "hand=open"]
    rare = ["GENERAL.CHECKPOINT_STEPS=1000", "GENERAL.VAL_STEPS=1000", "EXTRA.NUM_LOG_IMAGES=0", "GENERAL.LOG_STEPS=1"]
    size = ["+MODEL.MANO_HEAD.TRANSFORMER_DECODER.dim=256", "TRAIN.BATCH_SIZE=4", "DATASETS.EPOCH_SAMPLES=400"]
    command = overrides("heart", "TRAIN.LR=1e-3", "+DATASETS.SHUFFLE_BUFFER=1", *still, *calm, *alone, *rare, steps=100)
    command = [word for word in command if not word.startswith("+MODEL")] + size
    losses = list(curve(run(command).folder).values())
    assert len(losses) == 100
    # Five hands, seen eighty times each: three eighths of the loss are left when this is written, a half leaves room.
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_not_a_number_stops_and_keeps_the_batch(overrides: Overrides, monkeypatch: pytest.MonkeyPatch) -> None:
    from hamer.training.module import HamerModule

    compute = HamerModule.compute_loss

    def broken(self: HamerModule, batch: Any, output: Any) -> Any:
        total, losses = compute(self, batch, output)
        return (total * float("nan") if self.global_step == 6 else total), losses

    monkeypatch.setattr(HamerModule, "compute_loss", broken)
    with pytest.raises(TrainingStoppedError, match=r"global_step 6.*failed_batch_step=6_rank=0\.npz.*last\.ckpt"):
        run(overrides("broken"))
    with np.load("logs/train/runs/broken/failed_batch_step=6_rank=0.npz") as batch:
        assert batch["img.img"].shape == (2, 3, 256, 256)
        assert batch["mocap.hand_pose"].shape == (4, 45)
        assert "img.mano_params.betas" in batch
    assert read_checkpoint("logs/train/runs/broken/checkpoints/last.ckpt")["global_step"] == 4


def test_a_full_disk_is_told(overrides: Overrides, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointWriteError, match="No space left"):
        run(overrides("full"))


def test_other_settings_are_told_when_continuing(overrides: Overrides, caplog: pytest.LogCaptureFixture) -> None:
    run(overrides("changed", steps=4))
    run(overrides("changed", "TRAIN.LR=3e-4", steps=6))
    assert "TRAIN.LR: 0.0001 -> 0.0003" in caplog.text
    assert "continuing from" in caplog.text


def test_changes_name_the_settings() -> None:
    before, after = {"A": {"B": 1, "C": [1]}, "D": 2}, {"A": {"B": 1, "C": [2]}, "E": 3}
    assert list(changes(before, after)) == ["A.C: [1] -> [2]", "D: 2 -> None", "E: None -> 3"]


@pytest.mark.parametrize("monitor", [None, "val/loss"])
def test_several_checkpoints_are_kept(overrides: Overrides, monitor: str | None) -> None:
    more = ["GENERAL.CHECKPOINT_SAVE_TOP_K=2", *([f"+GENERAL.CHECKPOINT_MONITOR={monitor}"] if monitor else [])]
    outcome = run(overrides("kept", *more, "GENERAL.VAL_STEPS=2", steps=12))
    kept = {int(file.stem.split("step=")[1].split("-")[0]) for file in outcome.folder.checkpoints.glob("epoch=*.ckpt")}
    assert len(kept) == 2
    assert read_checkpoint(outcome.folder.last)["global_step"] == 12
    if monitor is None:
        assert kept == {8, 12}
    assert run(overrides("kept", *more, "GENERAL.VAL_STEPS=2", steps=14)).step == 14


def test_another_checkpoint_to_start_from(overrides: Overrides) -> None:
    first = run(overrides("first", steps=4))
    second = run(overrides("second", f"ckpt_path={first.folder.last}", steps=6))
    assert sorted(curve(second.folder)) == [6]
    with pytest.raises(FileNotFoundError, match="ckpt_path"):
        run(overrides("third", "ckpt_path=nowhere.ckpt"))


def test_fine_tuning_starts_from_weights_alone(overrides: Overrides) -> None:
    first = run(overrides("taught", steps=4))
    second = run(overrides("tuned", "start=hamer", f"TRAIN.START_FROM={first.folder.last}", "tuning=frozen", steps=2))
    assert second.step == 2  # its own count, its own optimisers
    before, after = (read_weights(each.folder.last).tensors for each in (first, second))
    changed = {name.split(".")[0] for name, value in before.items() if not value.equal(after[name])}
    assert "mano_head" in changed
    assert "backbone" not in changed
    with pytest.raises(FileNotFoundError, match=r"TRAIN\.START_FROM.*nowhere\.ckpt"):
        run(overrides("lost", "start=hamer", "TRAIN.START_FROM=nowhere.ckpt"))


def test_only_validation(overrides: Overrides) -> None:
    first = run(overrides("looked_at", steps=4))
    outcome = run(overrides("looked_at", "train=false", "test=true", f"ckpt_path={first.folder.last}", steps=4))
    assert outcome.validation["val/loss"] > 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["trainer=gpu"], "trainer=cpu"),
        (["trainer=ddp"], "trainer=cpu"),
        (["trainer=fsdp"], "ShardedStrategy.*trainer=cpu"),
        (["trainer=mps"], "trainer=cpu"),
        (["trainer.devices=4096"], "at most .* got 4096"),
        (["trainer.precision=17"], "precision 17"),
        (["exp_name=''"], "exp_name"),
        (["tags=[]"], "tags"),
        (["MODEL.BACKBONE.PRETRAINED_WEIGHTS=nowhere.pth"], "nowhere.pth"),
        (["DATASETS.FILE=nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_told(overrides: Overrides, more: list[str], words: str) -> None:
    import torch

    if more[0] in ("trainer=gpu", "trainer=ddp", "trainer=fsdp") and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    if more == ["trainer=mps"] and torch.backends.mps.is_available():
        pytest.skip("this machine has Apple's GPU")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run(overrides("wrong", *more))


def test_without_captured_poses(overrides: Overrides) -> None:
    with pytest.raises(ValueError, match=r"LOSS_WEIGHTS\.ADVERSARIAL=0"):
        run(overrides("alone", "DATASETS.MOCAP=null"))
    outcome = run(
        overrides("alone", "DATASETS.MOCAP=null", "LOSS_WEIGHTS.ADVERSARIAL=0", "GENERAL.LOG_STEPS=1", steps=2)
    )
    assert sorted(curve(outcome.folder)) == [1, 2]  # one optimiser: a step a batch
    assert "discriminator" not in " ".join(read_weights(outcome.folder.last).tensors)


def test_the_open_hand(overrides: Overrides) -> None:
    outcome = run(overrides("open_hand", "hand=open", steps=2))
    model, _ = load_hamer(outcome.folder.last)
    assert len(model.mano.faces) != 1538  # MANO's number


@pytest.mark.slow
def test_two_processes(overrides: Overrides, tmp_path: Path) -> None:
    """DDP over gloo: both see other data, end with one network, and continue together."""
    more = ["+trainer.strategy=ddp", "trainer.devices=2"]
    for steps in (6, 10):
        result = subprocess.run(
            [sys.executable, str(REPOSITORY / "train.py"), *overrides("two", *more, steps=steps)],
            capture_output=True, text=True, env=environment(), check=False, timeout=600,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
    folder = TrainingFolder(tmp_path / "logs" / "train" / "runs" / "two")
    assert sorted(curve(folder)) == [2, 4, 6, 8, 10]
    result = subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *overrides("two_straight", *more, steps=10)],
        capture_output=True, text=True, env=environment(), check=False, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    straight = TrainingFolder(tmp_path / "logs" / "train" / "runs" / "two_straight")
    weights, expected = (read_weights(each.last).tensors for each in (folder, straight))
    # Two processes add their gradients in one order: equal to the bit
    assert [name for name, value in expected.items() if not weights[name].equal(value)] == []
