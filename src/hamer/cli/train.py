"""`hamer train`: the training of the paper, and yours; the original's `train.py` with the same arguments."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

_DESCRIPTION = """\
Train HaMeR, or continue a training: the same exp_name again goes on from its last checkpoint.

GROUP=CHOICE picks one of the choices below, KEY=VALUE sets a value, +KEY=VALUE adds one, ~KEY removes one.
"""

_EXAMPLES = """\
examples:
  hamer train exp_name=try experiment=tiny trainer=cpu hand=open data=own DATASETS.FILE=packed/dataset.yaml DATASETS.MOCAP=OWN-MOCAP
      two small layers, the processor, no MANO, the tars of hamer data pack --mocap: does everything fit together?
  hamer train exp_name=hamer data=mix_all experiment=hamer_vit_transformer trainer=gpu
      the paper's training, in the original's words
  hamer train exp_name=mine data=own DATASETS.FILE=packed/dataset.yaml DATASETS.MOCAP=OWN-MOCAP start=hamer tuning=lora
      fine-tune the published network on your tars, on a small GPU; without captured poses for the adversary say
      DATASETS.MOCAP=null LOSS_WEIGHTS.ADVERSARIAL=0
  hamer train exp_name=big trainer=ddp trainer.devices=8 trainer.precision=bf16-mixed
      eight GPUs
  hamer train -m exp_name=sizes experiment=ablation_backbone_s,ablation_backbone_b,ablation_backbone_l
      one training after the other; launcher=slurm hands them to a cluster
  hamer train exp_name=hamer --cfg
      show the configuration and do nothing

results: logs/train/runs/EXP_NAME: model_config.yaml, checkpoints/last.ckpt (for hamer demo --checkpoint), tensorboard/
docs/training.md explains more.
"""

_SHOWN_GROUPS = ("data", "experiment", "trainer", "start", "tuning", "hand", "data_filtering", "launcher")
_DEFAULTS = {
    "data": "mix_all",
    "experiment": "hamer_vit_transformer",
    "trainer": "default",
    "start": "backbone",
    "tuning": "all",
    "hand": "mano",
    "data_filtering": "low1",
    "launcher": "local",
}


def add_parser(subparsers: Any) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser("train", help="train or fine-tune the network", add_help=False)
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `hamer train` and of `train.py`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.usage = f"{parser.prog} exp_name=NAME [GROUP=CHOICE ...] [KEY=VALUE ...] [-m] [--cfg]"
    parser.add_argument("-h", "--help", action=_HelpWithGroups, nargs=0, help="show this text")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="what differs from the defaults")
    parser.add_argument("-m", "--multirun", action="store_true", help="a run for each value of a,b,c lists")
    parser.add_argument(
        "--cfg", nargs="?", const="job", choices=("job", "hydra", "all"), help="show the configuration and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Compose, then train; the exit status says whether the run came to its end."""
    if args.multirun and not args.cfg:
        return _sweep(args.overrides)
    from omegaconf import OmegaConf

    from hamer.configs.compose import compose

    cfg = compose(args.overrides, with_hydra=True)
    if args.cfg:
        print(OmegaConf.to_yaml(_part(cfg, args.cfg)), end="")
        return 0
    if "submitit" in cfg.hydra.launcher._target_:
        raise ValueError("launcher=slurm works with -m: hamer train -m launcher=slurm ...")
    _require_extra()
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    if is_first and cfg.extras.print_config:
        print(OmegaConf.to_yaml(_part(cfg, "job")))
    return _train(cfg, args.overrides, told=is_first)


def _require_extra() -> None:
    """All that a training needs, asked for before anything is shown or begun."""
    from hamer.errors import require

    require("hydra", extra="train", purpose="training configurations")
    require("lightning.pytorch", extra="train", purpose="training")
    require("tensorboard", extra="train", purpose="the curves and previews of a training")


def _train(cfg: Any, overrides: Sequence[str], *, told: bool) -> int:
    from omegaconf import OmegaConf

    from hamer.training.run import train

    folder = None if OmegaConf.is_missing(cfg, "exp_name") else cfg.hydra.run.dir
    outcome = train(cfg, output_dir=folder, overrides=overrides)
    if outcome.stopped_by:
        if told:
            print(f"stopped by {outcome.stopped_by} at step {outcome.step}; the same command continues from there")
        return _status_of(outcome.stopped_by)
    if told:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in outcome.validation.items())
        print(f"step {outcome.step} reached{'; last validation: ' + losses if losses else ''}")
        print(f"look at it:  tensorboard --logdir {outcome.folder.path}/tensorboard")
        print(f"try it:      hamer demo --checkpoint {outcome.folder.last} --img_folder YOUR_PICTURES")
    return 0


def _status_of(stopped_by: str) -> int:
    """The exit status that shells know for a signal's name."""
    number = getattr(signal, stopped_by, None)
    return 128 + int(number) if number is not None else 1


def _sweep(overrides: Sequence[str]) -> int:
    """Several runs through hydra's own program, which reads the command line and hands runs to its launcher."""
    _require_extra()
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from hamer.configs.compose import HYDRA_FOLDER, ROOT, compose, explained

    compose([override for override in overrides if override.startswith("launcher=")])  # its plugin is here, or an error
    command, sys.argv = sys.argv, [sys.argv[0], "--multirun", *overrides]
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else hydra prints a run's error as a traceback and ends the process
    try:
        hydra.main(version_base="1.3", config_path=str(HYDRA_FOLDER), config_name=ROOT)(train_one_of_many)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explained(error)) from error
    finally:
        sys.argv = command
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
    return 0


def train_one_of_many(cfg: Any) -> float | None:
    """A run of a sweep, in the folder that hydra has made for it; gives the validation's loss to whoever compares."""
    from hydra.core.hydra_config import HydraConfig

    from hamer.configs.compose import completed
    from hamer.training.run import train

    running = HydraConfig.get()
    outcome = train(completed(cfg), output_dir=running.runtime.output_dir, overrides=list(running.overrides.task))
    if outcome.stopped_by:  # who stops a sweep means all of it, not only the run at hand
        print(f"stopped by {outcome.stopped_by} at step {outcome.step}; the same command continues from there")
        raise SystemExit(_status_of(outcome.stopped_by))
    return outcome.validation.get("val/loss")


def _part(cfg: Any, which: str) -> Any:
    from omegaconf import OmegaConf

    if which == "all":
        return cfg
    keys = [str(key) for key in cfg if (key == "hydra") == (which == "hydra")]
    return OmegaConf.masked_copy(cfg, keys)


class _HelpWithGroups(argparse.Action):
    """Prints the help and every group's choices, which are read from their files only now."""

    def __call__(self, parser: argparse.ArgumentParser, *_arguments: Any) -> None:
        from hamer.configs.compose import describe

        head, _, tail = parser.format_help().partition("examples:")
        print(head, end="")
        for group in _SHOWN_GROUPS:
            print(f"{group}=  (default {_DEFAULTS[group]})")
            for name, sentence in describe(group).items():
                if (group, name) != ("experiment", "default"):
                    print(f"  {name:22s} {sentence}")
        print(f"\nexamples:{tail}", end="")
        parser.exit()
