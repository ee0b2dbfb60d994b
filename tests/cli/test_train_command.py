"""`hamer train` and `train.py`: help that teaches, the configuration shown, errors in a line."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from hamer.cli import main

REPOSITORY = Path(__file__).parents[2]


def test_help_names_every_choice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for words in (
        "exp_name=NAME",
        "mix_all",
        "hamer_vit_transformer",
        "ablation_backbone_s",
        "slurm",
        "lora",
        "examples:",
    ):
        assert words in text
    assert text.index("data=") < text.index("examples:")


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys\nfrom hamer.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'lightning', 'hydra', 'tensorboard'} & set(sys.modules), sorted(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(), check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize("arguments", [["train"], ["train", "-m"], ["distill"]], ids=" ".join)
@pytest.mark.parametrize("package", ["hydra", "lightning.pytorch", "tensorboard"])
def test_a_missing_extra_is_named(
    package: str,
    arguments: list[str],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a line, and before the configuration is printed or a folder made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert main([*arguments, "exp_name=a", "trainer=cpu"]) == 1
    shown = capfd.readouterr()
    assert re.fullmatch(r"hamer: .*pip install 'hamer\[train\]'\n", shown.err)
    assert shown.out == ""
    assert not list(tmp_path.iterdir())


@pytest.fixture
def hydra() -> None:
    pytest.importorskip("hydra", reason="training needs the extra: pip install 'hamer[train]'")
    pytest.importorskip("lightning", reason="training needs the extra: pip install 'hamer[train]'")


@pytest.mark.usefixtures("hydra")
def test_the_configuration_is_shown_and_nothing_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "exp_name=shown", "experiment=tiny", "--cfg"]) == 0
    assert OmegaConf.create(capsys.readouterr().out).MODEL.BACKBONE.EMBED_DIM == 192  # type: ignore[union-attr]
    assert main(["train", "exp_name=shown", "--cfg", "hydra"]) == 0
    assert "dir: ${paths.log_dir}/${task_name}/runs/${exp_name}" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=mix_al", "exp_name=a"], "mix_all"),
        (["extras.print_config=false"], "exp_name=NAME"),
        (["exp_name=a", "extras.print_config=false", "trainer=cpu"], "vitpose_backbone.pth"),
        (["exp_name=a", "launcher=slurm"], "-m"),
        (["exp_name=a", "data=own"], "DATASETS.FILE=dataset.yaml"),
    ],
)
def test_errors_are_a_line(
    overrides: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *overrides]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("hamer: ")


@pytest.mark.usefixtures("hydra")
def test_a_sweep_runs_each_value(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through hydra's own program, each value in a folder of its own."""
    import hamer.training.run as room

    monkeypatch.chdir(tmp_path)
    seen: list[tuple[float, Path]] = []

    def noted(cfg: Any, *, output_dir: str, overrides: list[str]) -> Any:
        seen.append((cfg.TRAIN.LR, Path(output_dir)))
        return SimpleNamespace(validation={"val/loss": 0.5}, stopped_by=None)

    monkeypatch.setattr(room, "train", noted)
    arguments = list(sys.argv)
    assert main(["train", "-m", "exp_name=sweep", "TRAIN.LR=1e-4,1e-5"]) == 0
    sweep = tmp_path / "logs" / "train" / "multiruns" / "sweep"
    assert seen == [(1e-4, sweep / "0"), (1e-5, sweep / "1")]
    assert (sweep / "1" / ".hydra" / "overrides.yaml").is_file()
    assert sys.argv == arguments


@pytest.mark.usefixtures("hydra")
def test_who_stops_a_sweep_means_all_of_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hamer.training.run as room

    monkeypatch.chdir(tmp_path)
    seen: list[float] = []

    def stopped(cfg: Any, **_: Any) -> Any:
        seen.append(cfg.TRAIN.LR)
        return SimpleNamespace(validation={}, stopped_by="SIGINT", step=8)

    monkeypatch.setattr(room, "train", stopped)
    with pytest.raises(SystemExit) as ended:
        main(["train", "-m", "exp_name=sweep", "TRAIN.LR=1e-4,1e-5"])
    assert ended.value.code == 130
    assert seen == [1e-4]
    assert "stopped by SIGINT at step 8" in capsys.readouterr().out


@pytest.mark.usefixtures("hydra")
@pytest.mark.parametrize(
    ("override", "words"), [("trainer=cpu", "vitpose_backbone.pth"), ("data=mix_al", "mix_all"), ("TRAIN.LRR=1", "LRR")]
)
def test_errors_of_a_sweep_are_told_as_those_of_a_run(
    override: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "exp_name=sweep", override]) == 1
    error = capsys.readouterr().err
    assert "\nhamer: " in f"\n{error}"
    assert words in error
    assert "Traceback" not in error


def _environment() -> dict[str, str]:
    paths = [str(REPOSITORY / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@pytest.mark.usefixtures("hydra")
def test_documented_commands_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `hamer train` of the page and of --help names choices and keys that exist."""
    from hamer.configs.compose import compose

    monkeypatch.chdir(tmp_path)
    for name in ("packed", "made/train", "made/val", "."):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        key = "MADE-VAL" if name == "made/val" else "OWN"
        text = f"{key}: {{TYPE: ImageDataset, URLS: own.tar, epoch_size: 3}}\n"
        (tmp_path / name / "dataset.yaml").write_text(text, encoding="utf-8")
    texts = [(REPOSITORY / name).read_text(encoding="utf-8") for name in ("docs/training.md", "src/hamer/cli/train.py")]
    commands = [
        shlex.split(line)[2:] for text in texts for line in re.findall(r"^ *hamer train .*$", text, re.MULTILINE)
    ]
    assert len(commands) > 12
    for words in commands:
        overrides = [word for word in words if "=" in word]
        for one in itertools.product(
            *([f"{key}={value}" for value in _values(text)] for key, text in map(_parts, overrides))
        ):
            assert compose(one).exp_name


def _parts(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _values(text: str) -> list[str]:
    """The values of a sweep: those between commas, where they are not those of a list."""
    return [text] if text.startswith("[") else text.split(",")
