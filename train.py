"""The original's training command: `python train.py exp_name=hamer data=mix_all experiment=hamer_vit_transformer trainer=gpu`.

`hamer train` is the same; `python train.py --help` lists the groups and their choices.
"""

from __future__ import annotations

import argparse
import logging
import sys

from hamer.cli import guarded
from hamer.cli.train import add_arguments, run


def main() -> int:
    """Parse the overrides and train."""
    parser = argparse.ArgumentParser(prog="train.py", add_help=False)
    add_arguments(parser)
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    return guarded(run, args, program="train.py")


if __name__ == "__main__":
    sys.exit(main())
