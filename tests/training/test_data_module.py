"""The data module: batches of both kinds, epochs, resuming, crops on the device, what Lightning does with it."""

from __future__ import annotations

import runpy
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from lightning.pytorch import LightningModule, Trainer
from omegaconf import OmegaConf

from hamer.configs import ConfigNode
from hamer.errors import AssetError
from hamer.training.data_module import HAMERDataModule

tars = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "datasets" / "tar_making.py")))

Made = tuple[ConfigNode, ConfigNode]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A configuration and a list of two sets of tars and a mocap file."""
    lists: dict[str, Any] = {}
    for number, name in enumerate("AB"):
        path = tars.numbered_tar(tmp_path / f"{name}.tar", range(100 * number, 100 * number + 6), hands=2)
        lists[name] = {"TYPE": "ImageDataset", "URLS": str(path), "epoch_size": 12}
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "m.npz", hand_pose=rng.normal(size=(20, 48)), betas=rng.normal(size=(20, 10)))
    lists["M"] = {"DATASET_FILE": str(tmp_path / "m.npz")}
    cfg = tars.config(
        TRAIN={"A": {"WEIGHT": 0.5}, "B": {"WEIGHT": 0.5}},
        VAL={"A": {"WEIGHT": 1.0}},
        MOCAP="M",
        EPOCH_SAMPLES=12,
        SHUFFLE_BUFFER=8,
        BETAS_REG=True,
    )
    cfg.TRAIN = {"BATCH_SIZE": 3, "NUM_TRAIN_SAMPLES": 2}
    cfg.GENERAL = {"NUM_WORKERS": 0, "PREFETCH_FACTOR": 2}
    cfg.seed = 4
    return cfg, ConfigNode(lists)


def images(batches: Any) -> list[torch.Tensor]:
    return [torch.cat([batch["img"]["img"].flatten(), batch["mocap"]["hand_pose"].flatten()]) for batch in batches]


def equal(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return len(one) == len(two) and all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_batches(made: Made) -> None:
    module = HAMERDataModule(*made)
    module.setup()
    loader = module.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    batch = batches[0]
    assert set(batch) == {"img", "mocap"}
    assert batch["img"]["img"].shape == (3, 3, 32, 32)
    assert batch["img"]["mano_params"]["hand_pose"].shape == (3, 45)
    assert {name: tuple(value.shape) for name, value in batch["mocap"].items()} == {
        "hand_pose": (6, 45),
        "betas": (6, 10),
    }
    assert not equal(images(batches), images(loader))  # the next epoch
    assert sum(len(batch["img"]) for batch in module.val_dataloader()) == 12
    assert module.skipped() == {}


def test_an_epoch_has_a_batch(made: Made) -> None:
    cfg, sets = made
    cfg.DATASETS.EPOCH_SAMPLES = 2
    with pytest.raises(ValueError, match=r"EPOCH_SAMPLES.*BATCH_SIZE \(3\), got 2"):
        HAMERDataModule(cfg, sets).setup()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seen", [1, 3, 4, 6])
def test_resumed(made: Made, workers: int, seen: int) -> None:
    """A module that takes another's state reads on where that one stood, over the end of an epoch too."""
    made[0].GENERAL.NUM_WORKERS = workers
    made[0].DATASETS.EPOCH_SAMPLES = 12 if workers == 0 else 6

    def stream(module: HAMERDataModule) -> Any:
        loader = module.train_dataloader()
        while True:
            yield from loader

    first = HAMERDataModule(*made)
    batches = stream(first)
    list(islice(batches, seen))
    state = first.state_dict()
    assert (state["epoch"], state["batches"]) == divmod(seen, 4) or (state["epoch"], state["batches"]) == (0, 4)
    second = HAMERDataModule(*made)
    second.seed = 99  # of another run; the state brings the first one's
    second.load_state_dict(state)
    assert equal(images(islice(stream(second), 5)), images(islice(batches, 5)))


class Recorder(LightningModule):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.batches: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.batches.append(batch)
        return self.layer(torch.ones(1)).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        assert batch["img"].shape[1:] == (3, 32, 32)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer(folder: Path, steps: int, **options: Any) -> Trainer:
    return Trainer(
        max_steps=steps,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        limit_val_batches=1,
        **options,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stop", [2, 4, 5])
def test_under_lightning(made: Made, stop: int, tmp_path: Path) -> None:
    """Stopped after some steps and continued from the checkpoint, training sees what one run sees."""
    whole, part, rest = Recorder(), Recorder(), Recorder()
    trainer(tmp_path, 7, enable_checkpointing=False).fit(whole, datamodule=HAMERDataModule(*made))
    assert len(whole.batches) == 7
    assert not equal(images(whole.batches[:3]), images(whole.batches[4:]))  # another epoch
    first = trainer(tmp_path, stop)
    first.fit(part, datamodule=HAMERDataModule(*made))
    first.save_checkpoint(tmp_path / "part.ckpt")
    second = trainer(tmp_path, 7, enable_checkpointing=False)
    second.fit(rest, datamodule=HAMERDataModule(*made), ckpt_path=tmp_path / "part.ckpt")
    assert equal(images([*part.batches, *rest.batches]), images(whole.batches))


@pytest.mark.filterwarnings("ignore")
def test_crops_on_the_device_are_the_same(made: Made, tmp_path: Path) -> None:
    exact, device = Recorder(), Recorder()
    trainer(tmp_path, 3, enable_checkpointing=False).fit(exact, datamodule=HAMERDataModule(*made))
    made[0].DATASETS.DEVICE_CROPS = True
    trainer(tmp_path, 3, enable_checkpointing=False).fit(device, datamodule=HAMERDataModule(*made))
    assert equal(images(exact.batches), images(device.batches))
    assert set(exact.batches[0]["img"]) == set(device.batches[0]["img"])


@pytest.mark.filterwarnings("ignore")
def test_skipped_samples_are_told(made: Made, tmp_path: Path, caplog: Any) -> None:
    bad = {f"{number}": tars.sample(tars.annotation(), jpg=None) for number in range(5)}
    tars.write_tar(tmp_path / "B.tar", {**bad, "9": tars.sample(tars.annotation())})
    module = HAMERDataModule(*made)
    trainer(tmp_path, 6, enable_checkpointing=False).fit(Recorder(), datamodule=module)
    assert module.skipped()["B"]["incomplete sample"] > 0
    told = [record.message for record in caplog.records if "so far" in record.message]
    assert len(told) == 2  # at the end of the first epoch, of 4 batches, and of the training
    assert told[0].startswith("data set B: ")


def test_other_configurations(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hydra configuration does as well; without a seed each run draws its own."""
    cfg, lists = (OmegaConf.create(node.to_dict()) for node in made)
    assert equal(
        images(HAMERDataModule(cfg, lists).train_dataloader()), images(HAMERDataModule(*made).train_dataloader())
    )
    cfg.seed = None
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)  # of a training in another test
    assert HAMERDataModule(cfg, lists).seed != HAMERDataModule(cfg, lists).seed


def test_missing_files_are_named(made: Made) -> None:
    cfg, lists = made
    lists.B.URLS = "nowhere/{00..03}.tar"
    with pytest.raises(AssetError, match="data set B: missing 4 of 4 tars, the first is nowhere"):
        HAMERDataModule(cfg, lists).setup()
