"""The moving average of weights: its numbers, what is validated and saved, and a continued run that is the uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from hamer.checkpoints.weights import read_weights
from hamer.models import load_hamer
from hamer.training.averaging import WeightAverage
from hamer.training.checkpointing import OURS, read_checkpoint
from hamer.training.module import HamerModule

EMA = {"TRAIN": {"EMA": 0.9, "LR": 1e-3, "CHANNELS_LAST": True}}
Make = Callable[..., HamerModule]


def still(module: HamerModule) -> HamerModule:
    """Without drop path: what is compared must not depend on random numbers."""
    module.train()
    module.backbone.eval()
    return module


def tensors_of(module: HamerModule) -> dict[str, torch.Tensor]:
    assert module.average is not None
    return {name: value.clone() for name, value in module.average.tensors.items()}


def test_it_is_the_weighted_mean() -> None:
    network, average = nn.Linear(2, 1, bias=False), WeightAverage(0.5)
    values = [torch.tensor([[float(n), -2.0 * n]]) for n in range(5)]
    network.weight.data.copy_(values[0])
    average.begin(network)
    expected = values[0]
    for n, value in enumerate(values[1:]):
        network.weight.data.copy_(value)
        average.update(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.tensors["weight"], expected)
    assert average.updates == 4


def test_the_first_weights_are_soon_forgotten() -> None:
    """With a decay of 0.9999 alone, four fifths of the start would be left after 2000 updates."""
    network, average = nn.Linear(1, 1, bias=False), WeightAverage(0.9999)
    nn.init.constant_(network.weight, 1000.0)
    average.begin(network)
    nn.init.zeros_(network.weight)
    for _ in range(2000):
        average.update(network)
    assert average.tensors["weight"].abs().item() < 1e-6


def test_normalisations_are_averaged_and_the_frozen_is_not() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    network[0].weight.requires_grad_(False)
    average = WeightAverage(0.9)
    average.begin(network)
    assert set(average.tensors) == {"0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_what_a_continued_run_trains_anew_joins_the_average() -> None:
    """Its checkpoint has no average of what was frozen then."""
    network, before, after = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)), WeightAverage(0.9), WeightAverage(0.9)
    network[0].requires_grad_(False)
    before.begin(network)
    after.load(before.tensors, 1)
    network[0].requires_grad_(True)
    with after.shown(network):
        assert set(after.tensors) == set(network.state_dict())
    nn.init.ones_(network[0].weight)
    after.update(network)
    assert 0 < (after.tensors["0.weight"] - 1).abs().max() < 1


def test_show_and_hide_leave_no_trace() -> None:
    network, average = nn.Linear(3, 2), WeightAverage(0.9)
    average.begin(network)
    mean = {name: value.clone() for name, value in average.tensors.items()}
    nn.init.ones_(network.weight)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    with average.shown(network):
        assert all(network.state_dict()[name].equal(value) for name, value in mean.items())
        saved, raw = average.split(network.state_dict())
        assert all(saved[name].equal(mean[name]) and raw[name].equal(own[name]) for name in mean)
    assert all(network.state_dict()[name].equal(value) for name, value in own.items())
    saved, raw = average.split(network.state_dict())
    assert all(saved[name].equal(mean[name]) and raw[name].equal(own[name]) for name in mean)


class Watcher(Callback):
    """The network's weights while it is validated."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def test_the_average_is_validated_and_training_goes_on(
    golden_module: Make, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    watcher, plain = Watcher(), still(golden_module({"TRAIN": {"LR": 1e-3}}))
    averaged = still(golden_module({"TRAIN": {"LR": 1e-3, "EMA": 0.9}}))
    trainer(max_steps=6).fit(plain, repeated(golden_batch, 3))
    run = trainer(max_steps=6, callbacks=[watcher], val_check_interval=3, limit_val_batches=1)
    run.fit(averaged, repeated(golden_batch, 3), repeated(golden_batch, 1))
    for (name, a), b in zip(plain.named_parameters(), averaged.parameters(), strict=True):
        assert torch.equal(a, b), name
    (shown,) = watcher.seen
    mean = tensors_of(averaged)
    assert all(shown[name].equal(value) for name, value in mean.items())
    assert any(not averaged.state_dict()[name].equal(value) for name, value in mean.items())


def test_resumed_equals_uninterrupted(
    tmp_path: Path, golden_module: Make, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    whole = still(golden_module(EMA))
    trainer(max_steps=6).fit(whole, repeated(golden_batch, 3))
    first, before = trainer(max_steps=4), still(golden_module(EMA))
    first.fit(before, repeated(golden_batch, 3))
    first.save_checkpoint(tmp_path / "a.ckpt")
    after = still(golden_module(EMA))
    trainer(max_steps=6).fit(after, repeated(golden_batch, 3), ckpt_path=tmp_path / "a.ckpt")
    assert after.average is not None
    assert after.average.updates == 3
    for (name, a), b in zip(whole.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(a, b), name
    mean, expected = tensors_of(after), tensors_of(whole)
    assert mean.keys() == expected.keys()
    assert all(mean[name].equal(value) for name, value in expected.items())

    content = read_checkpoint(tmp_path / "a.ckpt")
    raw, mean = content[OURS]["raw_weights"], tensors_of(before)
    assert content[OURS]["average_updates"] == 2
    assert all(content["state_dict"][name].equal(value) for name, value in mean.items())
    assert all(raw[name].equal(before.state_dict()[name]) for name in mean)
    assert all(value.is_contiguous() for value in content["state_dict"].values())

    # Every reader takes the average: for inference, and to start another training from.
    network, _ = load_hamer(tmp_path / "a.ckpt")
    assert all(network.state_dict()[name].equal(value) for name, value in mean.items() if name in network.state_dict())
    again = HamerModule.load_from_checkpoint(tmp_path / "a.ckpt")
    assert all(again.state_dict()[name].equal(value) for name, value in mean.items())
    assert read_weights(tmp_path / "a.ckpt").tensors.keys() == content["state_dict"].keys()


def test_with_and_without_an_average_before(
    tmp_path: Path, golden_module: Make, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    """A run that gives the average up goes on from the weights; one that begins with it starts there."""
    first, before = trainer(max_steps=4), still(golden_module(EMA))
    first.fit(before, repeated(golden_batch, 3))
    first.save_checkpoint(tmp_path / "with.ckpt")
    given_up = still(golden_module({"TRAIN": {"LR": 1e-3}}))
    run = trainer(max_steps=4)
    run.fit(given_up, repeated(golden_batch, 3), ckpt_path=tmp_path / "with.ckpt")  # nothing left to do
    assert all(a.equal(b) for a, b in zip(given_up.parameters(), before.parameters(), strict=True))
    run.save_checkpoint(tmp_path / "without.ckpt")
    begun = still(golden_module(EMA))
    trainer(max_steps=6).fit(begun, repeated(golden_batch, 3), ckpt_path=tmp_path / "without.ckpt")
    assert begun.average is not None
    assert begun.average.updates == 1


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_decay_that_makes_no_sense(golden_module: Make, value: float) -> None:
    with pytest.raises(ValueError, match=r"TRAIN.EMA must be in \[0, 1\)"):
        golden_module({"TRAIN": {"EMA": value}})
