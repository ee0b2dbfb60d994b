"""What is trained, in which order, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hamer.training.optimisers import build_optimisers, choose_fused, optimised_names
from hamer.training.options import LoRAOptions, TrainingOptions

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_order_and_settings_are_the_original_s(golden: Path, golden_module: Any) -> None:
    """The layout's checkpoint is of a network with one block and six decoder layers."""
    layout = json.loads((golden / "hamer" / "checkpoint_layout.json").read_text())["top_level"]["optimizer_states"]
    sizes = {"MODEL": {"BACKBONE": {"DEPTH": 1}, "MANO_HEAD": {"TRANSFORMER_DECODER": {"depth": 6}}}}
    module = golden_module(sizes)
    optimisers = module.configure_optimizers()
    for optimiser, expected in zip(optimisers, layout, strict=True):
        (group,), (wanted,) = optimiser.param_groups, expected["param_groups"]
        assert len(group["params"]) == int(wanted["params"].split()[-1])
        for key, value in wanted.items():
            if key != "params":
                assert group[key] == (tuple(value) if isinstance(value, list) else value), key
        first = expected["state"].split("exp_avg': 'tensor [")[1].split("]")[0]
        assert list(group["params"][0].shape) == [int(n) for n in first.split(",")]
    names = optimised_names(module)
    parts = [name.split(".")[0] for name in names[0]]
    assert parts == sorted(parts, reverse=True)  # mano_head first, then backbone
    assert len(names[0]) + len(names[1]) == len(list(module.parameters()))


def test_parts_left_alone(golden_module: Any) -> None:
    everything = set(optimised_names(golden_module())[0])
    frozen = set(optimised_names(golden_module({"TRAIN": {"BACKBONE": "frozen"}}))[0])
    assert frozen == {name for name in everything if name.startswith("mano_head.")}
    partly = golden_module({"TRAIN": {"FROZEN_BLOCKS": 1}})
    left_out = everything - set(optimised_names(partly)[0])
    starts = ("backbone.pos_embed", "backbone.patch_embed.", "backbone.blocks.0.")
    assert left_out == {name for name in everything if name.startswith(starts)}
    adapted = optimised_names(golden_module({"TRAIN": {"BACKBONE": "lora", "LORA": {"LAYERS": ["fc1"]}}}))[0]
    blocks = {f"backbone.blocks.{i}.mlp.fc1.{part}" for i in range(2) for part in ("lora_a", "lora_b")}
    assert {name for name in adapted if name.startswith("backbone.")} == blocks


def test_frozen_parts_rest_and_do_not_change(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    # Without drop path, which now and then leaves a block out for the whole batch
    module = golden_module({"TRAIN": {"FROZEN_BLOCKS": 1}, "MODEL": {"BACKBONE": {"DROP_PATH_RATE": 0.0}}}).train()
    assert [block.training for block in module.backbone.blocks] == [False, True]
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    trainer(max_steps=2).fit(module, repeated(golden_batch, 1))
    changed = {name for name, p in module.named_parameters() if not torch.equal(before[name], p)}
    assert not {name for name in changed if name.startswith(("backbone.blocks.0.", "backbone.patch", "backbone.pos"))}
    assert {"backbone.blocks.1.attn.qkv.weight", "mano_head.deccam.weight"} <= changed


@pytest.mark.parametrize("train", [{"BACKBONE": "frozen"}, {"BACKBONE": "lora"}, {"FROZEN_BLOCKS": 1}])
def test_a_frozen_stem_keeps_its_statistics(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any, train: dict[str, Any]
) -> None:
    """Normalisations of a convolutional stem would else follow the pictures although nothing of it is trained."""
    module = golden_module({"TRAIN": train, "MODEL": {"BACKBONE": {"STEM": [4, 4, 8, 8], "DROP_PATH_RATE": 0.0}}})
    stem = module.backbone.patch_embed
    for norm in (part for part in stem.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.reset_running_stats()  # made-up variances may be negative
    before = {name: value.clone() for name, value in stem.state_dict().items()}
    trainer(max_steps=2).fit(module.train(), repeated(golden_batch, 1))
    assert all(before[name].equal(value) for name, value in stem.state_dict().items())


def test_nothing_to_train_is_refused(golden_module: Any) -> None:
    module = golden_module()
    module.backbone.requires_grad_(False)
    module.mano_head.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing would be trained"):
        build_optimisers(module, module.options)


def test_fused_where_it_is_safe() -> None:
    plain, clipped = TrainingOptions(), TrainingOptions(grad_clip_val=1.0)
    assert choose_fused(plain, CPU, scaled=False) is None  # the original's
    assert choose_fused(plain, CUDA, scaled=True) is True
    assert choose_fused(clipped, CUDA, scaled=True) is None
    assert choose_fused(clipped, CUDA, scaled=False) is True
    with pytest.raises(ValueError, match=r"TRAIN\.FUSED"):
        choose_fused(TrainingOptions(grad_clip_val=1.0, fused=True), CUDA, scaled=True)


def test_a_fused_step_is_the_same_step(golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any) -> None:
    results = {}
    for name, train in {"plain": {}, "fused": {"FUSED": True}}.items():
        module = golden_module({"TRAIN": train}).train()
        module.backbone.eval()
        trainer(max_steps=4).fit(module, repeated(golden_batch, 2))
        results[name] = module.state_dict()
    for name, value in results["plain"].items():
        # two steps of at most lr = 1e-5 each; where a gradient is rounding noise, its sign may differ
        torch.testing.assert_close(results["fused"][name], value, rtol=0, atol=4e-5, msg=name)
    head = "mano_head.decpose.bias"  # and where it is not, the fused step is the same but for rounding
    torch.testing.assert_close(results["fused"][head], results["plain"][head], rtol=0, atol=1e-8)


def test_options_of_a_configuration(golden_cfg: Any) -> None:
    options = TrainingOptions.from_cfg(golden_cfg())
    assert (options.lr, options.weight_decay, options.grad_clip_val) == (1e-5, 1e-4, 0.0)
    assert (options.adversarial, options.log_steps, options.root) == (0.0005, 1000, 0)
    lora = {"TRAIN": {"BACKBONE": "lora", "LORA": {"RANK": 4, "ALPHA": 2, "LAYERS": ["qkv", "fc2"]}}}
    assert TrainingOptions.from_cfg(golden_cfg(changes=lora)).lora == LoRAOptions(4, 2, ("qkv", "fc2"))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"BACKBONE": "half"}, "all, frozen, lora"),
        ({"BACKBONE": "frozen", "FROZEN_BLOCKS": 2}, "FROZEN_BLOCKS"),
        ({"LR": -1.0}, r"TRAIN\.LR"),
        ({"LORA": {"RANK": 0}}, "RANK"),
        ({"LORA": {"LAYERS": ["queries"]}}, "LAYERS"),
    ],
)
def test_options_that_make_no_sense_are_refused(golden_cfg: Any, train: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingOptions.from_cfg(golden_cfg(changes={"TRAIN": train}))


def test_too_many_frozen_blocks_are_refused(golden_module: Any) -> None:
    with pytest.raises(ValueError, match="at most the backbone's 2"):
        golden_module({"TRAIN": {"FROZEN_BLOCKS": 3}})
