"""`hamer convert`: what it writes loads again, what it refuses it explains."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.weights import read_weights, write_safetensors
from hamer.cli import convert
from hamer.hand_models.arrays import HandModelArrays
from hamer.models import HamerConfig, ViTConfig, build_hamer, load_hamer
from hamer.models.config import DecoderConfig
from hamer.models.landmark_stem import IN_NETWORK
from hamer.weights import require_built_in


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny network around a made-up hand, in the original's layout."""
    rng = torch.Generator().manual_seed(0)
    n = 800
    weights = torch.rand(n, 16, generator=rng)
    arrays = HandModelArrays(
        name="mano",
        v_template=torch.rand(n, 3, generator=rng).numpy(),
        shapedirs=torch.zeros(n, 3, 10).numpy(),
        posedirs=torch.zeros(n, 3, 135).numpy(),
        J_regressor=torch.full((16, n), 1 / n).numpy(),
        lbs_weights=(weights / weights.sum(1, keepdim=True)).numpy(),
        faces=torch.tensor([[0, 1, 2]]).numpy(),
    )
    config = HamerConfig(ViTConfig(32, 1, 2), DecoderConfig(depth=1, context_dim=32), with_discriminator=True)
    path = tmp_path / "run" / "checkpoints" / "tiny.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": build_hamer(config, arrays).state_dict()}, path)
    (path.parent.parent / "model_config.yaml").write_text(config.to_cfg().dump())
    return path


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    convert.add_parser(parser.add_subparsers())
    args = parser.parse_args(["convert", *arguments])
    return int(args.run(args))


def test_the_result_is_all_that_loading_needs(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "elsewhere.safetensors"
    assert command(str(checkpoint), str(output)) == 0
    assert "hamer demo --checkpoint" in capsys.readouterr().out
    before, after = load_hamer(checkpoint)[0].state_dict(), load_hamer(output)[0].state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert {name for name in before if name not in after} == {n for n in before if n.startswith("discriminator.")}
    config = read_weights(output).config
    assert config is not None
    assert config["MANO"]["MODEL_PATH"] == "data/mano"  # nothing of this machine
    assert str(tmp_path) not in str(config)


def test_half_precision_is_for_the_large_matrices(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "half.safetensors"
    assert command(str(checkpoint), str(output), "--dtype", "bfloat16", "--without-mano") == 0
    tensors = read_weights(output).tensors
    dtypes = {name: value.dtype for name, value in tensors.items()}
    assert dtypes["backbone.blocks.0.mlp.fc1.weight"] == torch.bfloat16
    assert dtypes["backbone.pos_embed"] == dtypes["mano_head.deccam.weight"] == torch.float32
    assert not any(name.startswith("mano.") for name in tensors)


def test_a_bfloat16_file_is_what_bfloat16_arithmetic_would_round_to(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "half.safetensors"
    assert command(str(checkpoint), str(output), "--dtype", "bfloat16") == 0
    crops = {"img": torch.randn(1, 3, 256, 256)}
    with torch.inference_mode():
        results = [load_hamer(path, precision="bfloat16")[0](crops)["pred_vertices"] for path in (checkpoint, output)]
    # the same numbers at other addresses: products of float32 layers sum in another order where rows are not aligned
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)


def test_the_mean_of_networks(checkpoint: Path, tmp_path: Path) -> None:
    first, second, mean = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "mean"))
    assert command(str(checkpoint), str(first), "--keep-discriminator") == 0
    weights = read_weights(first)
    other = {n: value if n.startswith("mano.") else value + 0.25 for n, value in weights.tensors.items()}
    write_safetensors(second, other, config=weights.config)
    assert command(str(checkpoint), str(mean), "--average-with", str(second), str(second), "--keep-discriminator") == 0
    for name, value in load_hamer(mean)[0].state_dict().items():
        is_learned = value.is_floating_point() and not name.startswith("mano.")
        expected = weights.tensors[name] + 0.5 / 3 if is_learned else weights.tensors[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)  # float32


def test_networks_that_differ_have_no_mean(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = tmp_path / "first.safetensors", tmp_path / "other.safetensors"
    assert command(str(checkpoint), str(first)) == 0
    weights = read_weights(first)
    changed = {**weights.tensors, "mano.v_template": weights.tensors["mano.v_template"] + 0.01}
    write_safetensors(other, changed, config=weights.config)
    assert command(str(first), str(tmp_path / "mean.safetensors"), "--average-with", str(other)) == 1
    assert "the same hand, but" in capsys.readouterr().err
    assert not (tmp_path / "mean.safetensors").exists()


def test_the_adversary_is_kept_on_request(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "training.safetensors"
    assert command(str(checkpoint), str(output), "--keep-discriminator") == 0
    assert hasattr(load_hamer(output)[0], "discriminator")


def test_mistakes_are_explained(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert command(str(tmp_path / "nothing.ckpt")) == 1
    assert "no weights at" in capsys.readouterr().err
    assert command(str(checkpoint), str(tmp_path / "out.ckpt")) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
    assert command(str(checkpoint), str(tmp_path / "absent" / "out.safetensors")) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert command(str(checkpoint)) == 0  # beside the checkpoint
    converted = str(checkpoint.with_suffix(".safetensors"))
    assert command(converted, "--overwrite") == 2
    assert "another file than the checkpoint" in capsys.readouterr().err
    assert command(str(checkpoint)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert command(str(checkpoint), "--overwrite") == 0


def test_the_help_teaches(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("--help")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "licence" in text


def test_the_open_hand_is_not_stored_again(tmp_path: Path) -> None:
    """It comes with the package; what is stored of a small network is half, its head too."""
    config = HamerConfig(ViTConfig(32, 1, 2), DecoderConfig(depth=1, context_dim=32))
    network = build_hamer(config, load_open_hand())
    cfg = config.to_cfg().to_dict()
    cfg["DATASETS"] |= {
        "FILE": "/somewhere/dataset.yaml",
        "TRAIN": {"OWN": {"URLS": "/somewhere/{0..9}.tar", "WEIGHT": 1.0}},
    }
    source, output = tmp_path / "source.safetensors", tmp_path / "small.safetensors"
    write_safetensors(source, network.state_dict(), config=cfg)
    assert command(str(source), str(output), "--dtype", "float16", "--head-too") == 0
    weights = read_weights(output)
    assert not any(name.startswith("mano.") for name in weights.tensors)
    assert weights.config is not None
    assert weights.config["MANO"]["MODEL_PATH"] == "open"
    assert weights.config["DATASETS"]["TRAIN"] == {"OWN": {"WEIGHT": 1.0}}  # nothing of this machine
    assert "FILE" not in weights.config["DATASETS"]
    wide = {n for n, v in weights.tensors.items() if v.dtype == torch.float32}
    assert all(v.ndim < 2 or v.numel() < 4096 for n, v in weights.tensors.items() if n in wide)
    assert output.stat().st_size < 0.6 * sum(v.numel() * 4 for v in weights.tensors.values())
    loaded, _ = load_hamer(output)
    assert loaded.mano.arrays.name == "open"
    np.testing.assert_array_equal(loaded.mano.arrays.v_template, load_open_hand().v_template)
    before, after = network.state_dict(), loaded.state_dict()
    for name, value in after.items():  # half precision keeps 11 bits
        torch.testing.assert_close(value, before[name], rtol=2**-11, atol=1e-7)


def test_bfloat16_leaves_a_trunk_as_it_was_published(tmp_path: Path) -> None:
    source, output = require_built_in(), tmp_path / "half.safetensors"
    assert command(str(source), str(output), "--dtype", "bfloat16", "--head-too") == 0
    before, after = read_weights(source).tensors, read_weights(output).tensors
    frozen = [name for name in before if name.startswith(IN_NETWORK)]
    assert frozen
    assert all(torch.equal(before[name].float(), after[name].float()) for name in frozen)
    assert any(value.dtype == torch.bfloat16 for value in after.values())


def test_a_changed_open_hand_stays_with_its_network(tmp_path: Path) -> None:
    arrays = load_open_hand()
    arrays.v_template = arrays.v_template * np.float32(1.01)
    config = HamerConfig(ViTConfig(32, 1, 2), DecoderConfig(depth=1, context_dim=32))
    source, output = tmp_path / "source.safetensors", tmp_path / "out.safetensors"
    write_safetensors(source, build_hamer(config, arrays).state_dict(), config=config.to_cfg().to_dict())
    assert command(str(source), str(output)) == 0
    np.testing.assert_array_equal(load_hamer(output)[0].mano.arrays.v_template, arrays.v_template)
