"""Low-rank adapters, activation checkpointing, compilation: what they change, and what they must not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hamer.models import load_hamer
from hamer.training.adapters import LoRALinear, lora_layers, merge_lora
from hamer.training.module import HamerModule
from hamer.training.options import LoRAOptions

LORA = {"TRAIN": {"BACKBONE": "lora", "LR": 1e-3, "LORA": {"RANK": 4, "LAYERS": ["qkv", "proj", "fc1", "fc2"]}}}


def still(module: HamerModule) -> HamerModule:
    """Without drop path: what is compared must not depend on random numbers."""
    module.train()
    module.backbone.eval()
    return module


def vertices(network: Any, batch: Any) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(network).eval()(batch["img"])["pred_vertices"]


def test_an_adapted_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5)
    adapted = LoRALinear(layer, LoRAOptions(rank=2, alpha=3.0))
    x = torch.randn(4, 7, 6)
    torch.testing.assert_close(adapted(x), layer(x), rtol=0, atol=0)  # B is zero at first
    nn.init.normal_(adapted.lora_b)
    weight = layer.weight + 1.5 * adapted.lora_b @ adapted.lora_a
    torch.testing.assert_close(adapted(x), nn.functional.linear(x, weight, layer.bias), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(adapted.plain()(x), adapted(x), rtol=1e-5, atol=1e-5)  # float32 rounding
    adapted(x).sum().backward()
    assert adapted.weight.grad is None
    assert adapted.lora_a.grad is not None


def test_adapters_change_nothing_at_first(golden_module: Any, golden_batch: Any) -> None:
    plain, adapted = (vertices(golden_module(changes), golden_batch) for changes in (None, LORA))
    torch.testing.assert_close(adapted, plain, rtol=0, atol=0)


def fresh(golden_module: Any) -> HamerModule:
    """A module whose adapters always begin with the same numbers."""
    torch.manual_seed(0)
    return still(golden_module(LORA))


@pytest.fixture(scope="module")
def trained(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HamerModule, Path]:
    """A module with adapters after three batches, and its checkpoint."""
    module, run = fresh(golden_module), trainer(max_steps=6)
    run.fit(module, repeated(golden_batch, 4))
    path = tmp_path_factory.mktemp("lora") / "lora.ckpt"
    run.save_checkpoint(path)
    return module, path


def test_merging_keeps_the_function(trained: Any, golden_module: Any, golden_batch: Any) -> None:
    module, _ = trained
    adapted = vertices(module, golden_batch)
    assert (adapted - vertices(golden_module(), golden_batch)).abs().max() > 1e-5  # it did learn
    merged = merge_lora(copy.deepcopy(module))
    assert merged.state_dict().keys() == golden_module().state_dict().keys()
    # metres: features of float32 networks differ by 1e-6 of their size between ways to add
    torch.testing.assert_close(vertices(merged, golden_batch), adapted, rtol=0, atol=2e-6)


def test_a_checkpoint_with_adapters_is_a_plain_one_too(trained: Any, golden_batch: Any) -> None:
    module, path = trained
    network, _ = load_hamer(path)
    assert not lora_layers(network)
    torch.testing.assert_close(vertices(network, golden_batch), vertices(module, golden_batch), rtol=0, atol=2e-6)


def test_adapters_resume_exactly(
    trained: Any, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    _, path = trained
    resumed, straight = fresh(golden_module), fresh(golden_module)
    for layer in lora_layers(resumed).values():
        nn.init.normal_(layer.lora_a)  # other starts than the file's: all must come from there
    trainer(max_steps=8).fit(resumed, repeated(golden_batch, 4), ckpt_path=path)
    trainer(max_steps=8).fit(straight, repeated(golden_batch, 4))
    for (name, a), b in zip(resumed.named_parameters(), straight.parameters(), strict=True):
        assert torch.equal(a, b), name
    first, untouched = (next(iter(lora_layers(each).values())) for each in (resumed, golden_module(LORA)))
    assert torch.equal(first.weight, untouched.weight)  # the base, not the merged


def test_adapters_start_on_a_plain_checkpoint(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any, tmp_path: Path
) -> None:
    """Adapt a network that was trained as a whole: its head's moments are kept, adapters start afresh."""
    module, run = still(golden_module()), trainer(max_steps=2)
    run.fit(module, repeated(golden_batch, 2))
    run.save_checkpoint(tmp_path / "plain.ckpt")
    adapted, run = still(golden_module(LORA)), trainer(max_steps=4)
    run.fit(adapted, repeated(golden_batch, 2), ckpt_path=tmp_path / "plain.ckpt")
    assert run.global_step == 4
    layer = lora_layers(adapted)["backbone.blocks.1.mlp.fc2"]
    assert torch.equal(layer.weight, module.backbone.blocks[1].mlp.fc2.weight)
    assert layer.lora_b.abs().max() > 0
    network = run.optimizers[0]
    steps = {name: network.state[p]["step"].item() for name, p in adapted.named_parameters() if p in network.state}
    assert steps["mano_head.deccam.bias"] == 2
    assert steps["backbone.blocks.1.mlp.fc2.lora_b"] == 1


def test_activation_checkpointing_gives_the_same_gradients(golden_module: Any, golden_batch: Any) -> None:
    gradients = []
    for flag in (False, True):
        module = golden_module({"MODEL": {"BACKBONE": {"GRADIENT_CHECKPOINTING": flag, "DROP_PATH_RATE": 0.5}}}).train()
        torch.manual_seed(5)  # the same hands skip the same branches, and again when a block is computed anew
        module.compute_loss(golden_batch["img"], module(golden_batch["img"]))[0].backward()
        gradients.append({name: p.grad for name, p in module.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=0, atol=0, msg=name)


def test_compilation_changes_no_name_and_no_result(golden_module: Any, golden_batch: Any) -> None:
    """With dynamo's eager backend: the graph is captured, no compiler is needed."""
    module = golden_module()
    names, before = list(module.state_dict()), vertices(module, golden_batch)
    module.backbone.compile(backend="eager")
    assert list(module.state_dict()) == names
    with torch.no_grad():
        after = module.eval()(golden_batch["img"])["pred_vertices"]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-7)


def test_the_option_compiles_the_backbone(golden_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: asked.append((type(self).__name__, options)))
    golden_module({"TRAIN": {"COMPILE": "max-autotune"}}).configure_model()
    golden_module().configure_model()
    assert asked == [("ViT", {"mode": "max-autotune"})]
