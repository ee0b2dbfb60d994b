"""`hamer convert`: what it writes loads again, what it refuses it explains."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from hamer.checkpoints.weights import read_weights
from hamer.cli import convert
from hamer.hand_models.arrays import HandModelArrays
from hamer.models import HamerConfig, ViTConfig, build_hamer, load_hamer
from hamer.models.config import DecoderConfig


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


def test_half_precision_halves_the_file(checkpoint: Path, tmp_path: Path) -> None:
    for dtype in ("float32", "bfloat16"):
        assert command(str(checkpoint), str(tmp_path / f"{dtype}.safetensors"), "--dtype", dtype, "--without-mano") == 0
    sizes = [(tmp_path / f"{dtype}.safetensors").stat().st_size for dtype in ("float32", "bfloat16")]
    assert sizes[1] < 0.51 * sizes[0]
    tensors = read_weights(tmp_path / "bfloat16.safetensors").tensors
    assert tensors["backbone.pos_embed"].dtype == torch.bfloat16
    assert tensors["mano_head.init_cam"].dtype == torch.float32
    assert not any(name.startswith("mano.") for name in tensors)


def test_the_adversary_is_kept_on_request(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "training.safetensors"
    assert command(str(checkpoint), str(output), "--keep-discriminator") == 0
    assert hasattr(load_hamer(output)[0], "discriminator")


def test_mistakes_are_explained(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert command(str(tmp_path / "nothing.ckpt")) == 1
    assert "no weights at" in capsys.readouterr().err
    assert command(str(checkpoint), str(tmp_path / "out.ckpt")) == 1
    assert "must end in .safetensors" in capsys.readouterr().err
    assert command(str(checkpoint)) == 0  # beside the checkpoint
    assert command(str(checkpoint)) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert command(str(checkpoint), "--overwrite") == 0


def test_the_help_teaches(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("--help")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "licence" in text
