"""Checkpoints go both ways: ours have the original's form, and a training of the original's is continued."""

from __future__ import annotations

import errno
import gc
import json
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hamer.errors import UnsafeFileError, WeightsError
from hamer.models import load_hamer
from hamer.training.checkpointing import CheckpointWriteError, SafeCheckpointIO, read_checkpoint
from hamer.training.module import HamerModule


def still(module: HamerModule) -> HamerModule:
    """Without drop path: what is compared must not depend on random numbers."""
    module.train()
    module.backbone.eval()
    return module


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> Path:
    """The checkpoint that Lightning's callback writes after one batch, as the original's training does."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    callback = ModelCheckpoint(folder, every_n_train_steps=1, save_last=True, save_top_k=1)
    run = trainer(max_steps=2, callbacks=[callback], enable_checkpointing=True)
    run.fit(still(golden_module()), repeated(golden_batch, 2))
    return folder / "last.ckpt"


def test_ours_has_the_original_s_form(golden: Path, saved: Path) -> None:
    layout = json.loads((golden / "hamer" / "checkpoint_layout.json").read_text())
    top, content = layout["top_level"], read_checkpoint(saved)
    extra = {"hamer_training"}
    assert content.keys() - extra == top.keys()
    assert (content["epoch"], content["global_step"]) == (top["epoch"], top["global_step"])
    assert content["hparams_name"] == top["hparams_name"]
    assert content["loops"]["fit_loop"].keys() == top["loops"]["fit_loop"].keys()
    tensors = json.loads((golden / "hamer_small" / "state_dict_layout.json").read_text())["tensors"]
    dtypes = {name: str(value.dtype).removeprefix("torch.") for name, value in content["state_dict"].items()}
    assert {n: [list(v.shape), dtypes[n]] for n, v in content["state_dict"].items()} == tensors
    for state, expected in zip(content["optimizer_states"], top["optimizer_states"], strict=True):
        (group,), (wanted,) = state["param_groups"], expected["param_groups"]
        assert {k: list(v) if isinstance(v, tuple) else v for k, v in group.items() if k != "params"} == {
            k: v for k, v in wanted.items() if k != "params"
        }
        assert group["params"] == list(range(len(group["params"])))
        assert state["state"].keys() == set(group["params"])
        assert state["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}


def test_ours_names_no_class_that_the_original_s_do_not(golden: Path, saved: Path) -> None:
    layout = json.loads((golden / "hamer" / "checkpoint_layout.json").read_text())
    with zipfile.ZipFile(saved) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        data = archive.read(name)
    named = {
        str(argument).replace(" ", ".") for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"
    }
    assert "omegaconf.dictconfig.DictConfig" in named
    assert named <= set(layout["classes named in the pickle"])


def test_load_hamer_reads_ours(saved: Path, golden_batch: Any, golden_module: Any, trainer: Any, repeated: Any) -> None:
    network, cfg = load_hamer(saved)  # the configuration comes from the file itself
    module = still(golden_module())
    trainer(max_steps=2).fit(module, repeated(golden_batch, 1))
    with torch.inference_mode():
        mine, theirs = module.eval()(golden_batch["img"]), network(golden_batch["img"])
    torch.testing.assert_close(mine["pred_vertices"], theirs["pred_vertices"], rtol=0, atol=0)
    assert cfg.LOSS_WEIGHTS.KEYPOINTS_3D == 0.05


def test_resumed_equals_uninterrupted(
    tmp_path: Path, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    whole = still(golden_module())
    trainer(max_steps=6).fit(whole, repeated(golden_batch, 3))
    first = trainer(max_steps=4)
    first.fit(still(golden_module()), repeated(golden_batch, 3))
    first.save_checkpoint(tmp_path / "a.ckpt")
    second, run = still(golden_module()), trainer(max_steps=6)
    run.fit(second, repeated(golden_batch, 3), ckpt_path=tmp_path / "a.ckpt")
    assert run.global_step == 6
    for (name, a), b in zip(whole.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux' list of mapped files")
def test_a_resumed_run_lets_go_of_its_checkpoint(
    saved: Path, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    """Moments that stay a mapping of last.ckpt keep Windows from replacing it, and its space on any disk."""
    run = trainer(max_steps=4)
    run.fit(still(golden_module()), repeated(golden_batch, 4), ckpt_path=saved)
    assert run.global_step == 4
    gc.collect()
    assert str(saved.parent) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def as_the_original_saves(path: Path, module: HamerModule, loops: Any, cfg: Any) -> list[dict[int, dict[str, Tensor]]]:
    """Write a checkpoint in the layout of golden/hamer/checkpoint_layout.json with made-up moments; returns them."""
    from omegaconf import OmegaConf

    generator = torch.Generator().manual_seed(3)
    parts = [[*module.mano_head.parameters(), *module.backbone.parameters()], list(module.discriminator.parameters())]
    options = {
        "lr": 3e-5, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-4, "amsgrad": False, "maximize": False,
        "foreach": None, "capturable": False, "differentiable": False, "fused": None, "decoupled_weight_decay": True,
    }  # fmt: skip
    moments: list[dict[int, dict[str, Tensor]]] = [
        {
            i: {
                "step": torch.tensor(7.0),
                "exp_avg": torch.randn(p.shape, generator=generator) * 1e-3,
                "exp_avg_sq": torch.rand(p.shape, generator=generator) * 1e-5,
            }
            for i, p in enumerate(part)
        }
        for part in parts
    ]
    torch.save(
        {
            "epoch": 3,
            "global_step": 14,
            "pytorch-lightning_version": "2.6.6",
            "state_dict": OrderedDict(module.state_dict()),
            "loops": loops,
            "callbacks": {},
            "optimizer_states": [
                {"state": state, "param_groups": [{**options, "params": list(range(len(state)))}]} for state in moments
            ],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": {"cfg": OmegaConf.create(cfg)},
        },
        path,
    )
    return moments


@pytest.fixture(scope="module")
def original(
    tmp_path_factory: pytest.TempPathFactory, golden_module: Any, golden_cfg: Any, trainer: Any
) -> tuple[Path, HamerModule, Any]:
    """A checkpoint of the original's layout after 7 batches, the module it is of, and its moments."""
    run = trainer()
    loops = {"fit_loop": run.fit_loop.state_dict(), "validate_loop": run.validate_loop.state_dict()}
    loops |= {"test_loop": run.test_loop.state_dict(), "predict_loop": run.predict_loop.state_dict()}
    fit = loops["fit_loop"]
    fit["epoch_loop.manual_optimization.optim_step_progress"]["total"] = {"ready": 14, "completed": 14}
    fit["epoch_progress"]["current"] = {"ready": 3, "started": 3, "processed": 3, "completed": 3}
    fit["epoch_progress"]["total"] = dict(fit["epoch_progress"]["current"])
    module = golden_module()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.01)  # weights that no other module here has
    cfg = golden_cfg().to_dict()
    cfg["MANO"] |= {"DATA_DIR": "_DATA/data/", "MODEL_PATH": "${MANO.DATA_DIR}/mano"}  # saved unresolved
    path = tmp_path_factory.mktemp("original") / "original.ckpt"
    return path, module, as_the_original_saves(path, module, loops, cfg)


def start(module: HamerModule, trainer: Any, loader: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """Resume from `path` and look, before the first batch, at what has been restored."""
    from lightning.pytorch import Callback

    seen: dict[str, Any] = {}

    class Look(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            seen["weights"] = {n: p.detach().clone() for n, p in pl_module.named_parameters()}
            seen["states"] = [
                [{k: v.clone() for k, v in o.state[p].items()} for p in o.param_groups[0]["params"]]
                for o in trainer.optimizers
            ]
            seen["groups"] = [{k: v for k, v in o.param_groups[0].items() if k != "params"} for o in trainer.optimizers]
            seen["step"], seen["epoch"] = trainer.global_step, trainer.current_epoch

    run = trainer(max_steps=16, max_epochs=100, callbacks=[Look()])
    run.fit(module, loader, ckpt_path=path)
    return run, seen


def test_the_original_s_training_is_continued(
    original: Any, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    path, source, moments = original
    module = still(golden_module())
    run, seen = start(module, trainer, repeated(golden_batch, 2), path)
    assert (seen["step"], seen["epoch"]) == (14, 3)
    for name, value in source.named_parameters():
        assert torch.equal(seen["weights"][name], value), name
    for restored, expected in zip(seen["states"], moments, strict=True):
        for i, state in enumerate(restored):
            assert all(torch.equal(state[key], expected[i][key]) for key in expected[i])
    assert [group["lr"] for group in seen["groups"]] == [3e-5, 3e-5]  # a schedule's place is kept, as Lightning does
    assert run.global_step == 16
    assert any(not torch.equal(seen["weights"][n], p) for n, p in module.named_parameters())  # and it went on


def test_parts_find_their_states_by_name(
    original: Any, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    """A whole network's checkpoint continued with a frozen first block and without an adversary."""
    path, source, moments = original
    module = still(golden_module({"TRAIN": {"FROZEN_BLOCKS": 1}, "LOSS_WEIGHTS": {"ADVERSARIAL": 0.0}}))
    _, seen = start(module, trainer, repeated({"img": golden_batch["img"]}, 2), path)
    assert len(seen["states"]) == 1
    all_names = [
        n for part in ("mano_head", "backbone") for n, _ in getattr(source, part).named_parameters(prefix=part)
    ]
    kept = [
        i for i, n in enumerate(all_names) if not n.startswith(("backbone.blocks.0.", "backbone.patch", "backbone.pos"))
    ]
    assert len(seen["states"][0]) == len(kept) < len(all_names)
    for state, i in zip(seen["states"][0], kept, strict=True):
        assert torch.equal(state["exp_avg"], moments[0][i]["exp_avg"]), all_names[i]


def test_weights_alone_make_a_module(original: Any) -> None:
    path, source, _ = original
    module = HamerModule.load_from_checkpoint(path, map_location="cpu")
    for (name, a), b in zip(source.named_parameters(), module.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_another_architecture_is_refused(
    original: Any, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    path, _, _ = original
    other = golden_module({"MODEL": {"BACKBONE": {"DEPTH": 3}}})
    with pytest.raises(WeightsError, match=r"blocks\.2"):
        trainer(max_steps=2).fit(other, repeated(golden_batch, 1), ckpt_path=path)


class Evil:
    """Pickles as a call of a function."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("/tmp/never-made-by-a-checkpoint"),)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "loops": {}, "optimizer_states": [], "x": Evil()}, path)
    with pytest.raises(UnsafeFileError):
        SafeCheckpointIO().load_checkpoint(path)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, io = tmp_path / "last.ckpt", SafeCheckpointIO()
    io.save_checkpoint({"state_dict": {"a": torch.ones(2)}}, path)

    def full(content: Any, file: Any) -> None:
        file.write(b"half a check")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointWriteError, match="previous checkpoint is untouched") as caught:
        io.save_checkpoint({"state_dict": {"a": torch.zeros(2)}}, path)
    assert caught.value.errno == errno.ENOSPC
    assert torch.equal(io.load_checkpoint(path)["state_dict"]["a"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
