"""The original's evaluation command: `python eval.py --dataset 'FREIHAND-VAL,HO3D-VAL,NEWDAYS-TEST-ALL'`.

`hamer eval` is the same with defaults that need no downloads.
"""

from __future__ import annotations

import argparse
import logging
import sys

from hamer.cli import guarded
from hamer.cli.eval import run
from hamer.cli.eval_flags import add_arguments

SETS = (
    "FREIHAND-VAL,HO3D-VAL,NEWDAYS-TEST-ALL,NEWDAYS-TEST-VIS,NEWDAYS-TEST-OCC,"
    "EPICK-TEST-ALL,EPICK-TEST-VIS,EPICK-TEST-OCC,EGO4D-TEST-ALL,EGO4D-TEST-VIS,EGO4D-TEST-OCC"
)


def main() -> int:
    """Parse the original's flags and evaluate."""
    parser = argparse.ArgumentParser(description="Evaluate trained models, as the original's eval.py")
    add_arguments(parser, checkpoint="_DATA/hamer_ckpts/checkpoints/hamer.ckpt", dataset=SETS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    return guarded(run, args, program="eval.py")


if __name__ == "__main__":
    sys.exit(main())
