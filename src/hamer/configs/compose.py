"""`compose`: a training run's configuration from the yaml groups beside this module and the user's overrides.

The groups are those of the original's command, `python train.py exp_name=hamer data=mix_all experiment=hamer_vit_transformer
trainer=gpu launcher=local`, and give the values that its runs saved (`model_config.yaml`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hamer.configs.data_scale import leave_out, own_sets
from hamer.errors import require

HYDRA_FOLDER = Path(__file__).parent / "hydra"
ROOT = "train"
_NOT_FOR_USERS = (
    "Set the environment variable",
    "full_key:",
    "object_type=",
    "Config search path",
    "provider=",
    "See https",
)


def groups() -> list[str]:
    """The names of all groups, sorted."""
    return sorted(folder.name for folder in HYDRA_FOLDER.iterdir() if any(folder.glob("*.yaml")))


def names_of(group: str) -> list[str]:
    """The choices of a group, e.g. `names_of("experiment")`, sorted.

    Raises:
        ValueError: no such group.
    """
    if group not in groups():
        raise ValueError(f"group must be one of {', '.join(groups())}, got {group!r}")
    return sorted(file.stem for file in (HYDRA_FOLDER / group).glob("*.yaml"))


def describe(group: str) -> dict[str, str]:
    """Every choice of a group and the first sentence of its file."""
    return {name: _first_sentence(HYDRA_FOLDER / group / f"{name}.yaml") for name in names_of(group)}


def compose(overrides: Sequence[str] = (), *, with_hydra: bool = False) -> DictConfig:
    """The configuration that the command line `overrides` stands for, interpolations unresolved.

    Args:
        overrides: hydra's language: `data=mix_all` chooses from a group, `TRAIN.LR=1e-4` sets a value, `+KEY=VALUE`
            adds one, `~KEY` removes one.
        with_hydra: keep hydra's own settings under `hydra` (folders, launcher).

    Raises:
        ValueError: a choice or key that does not exist, or an override that cannot be read.
        MissingExtraError: hydra, or the plugin of a launcher, is not installed.
    """
    require("hydra", extra="train", purpose="training configurations")
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException

    if "launcher=slurm" in overrides:
        require("hydra_plugins.hydra_submitit_launcher", extra="train", purpose="launcher=slurm")
    try:
        with initialize_config_dir(str(HYDRA_FOLDER), version_base="1.3", job_name=ROOT):
            cfg = hydra_compose(ROOT, list(overrides), return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explained(error)) from error
    return completed(cfg)


def completed(cfg: DictConfig) -> DictConfig:
    """What yaml alone cannot say, in place: sets left out, sets of the user's own."""
    return leave_out(own_sets(cfg))


def explained(error: BaseException) -> str:
    """hydra's message and the cause that it wraps, with the override that it could not read, for a user."""
    texts = [str(error)] + ([str(error.__cause__)] if error.__cause__ is not None else [])
    lines = [line.strip() for text in texts for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(_NOT_FOR_USERS)]
    override = getattr(error, "override", None)
    lines = [f"In {override!r}:"] * (override is not None) + list(dict.fromkeys(kept))
    return "the configuration cannot be composed. " + "\n".join(lines)


def _first_sentence(file: Path) -> str:
    comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    text = " ".join(line[2:] for line in comments if not line.startswith("# @package"))
    return text.split(". ")[0].split(": python")[0].rstrip(".")
