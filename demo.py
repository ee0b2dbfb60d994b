"""The original's demo command, with its flags and its defaults: `python demo.py --img_folder example_data --out_folder demo_out`.

`hamer demo` is the same with defaults that need no downloads.
"""

from __future__ import annotations

import argparse
import sys

from hamer.cli import guarded
from hamer.cli.demo import run
from hamer.cli.demo_flags import add_arguments


def main() -> int:
    """Parse the original's flags and run the demo."""
    parser = argparse.ArgumentParser(description="HaMeR demo, as the original's")
    add_arguments(
        parser,
        checkpoint="_DATA/hamer_ckpts/checkpoints/hamer.ckpt",
        body_detector="vitdet",
        file_type=["*.jpg", "*.png"],
        suppression=False,
    )
    args = parser.parse_args()
    status = guarded(run, args, program="demo.py")
    if status == 1 and (args.checkpoint != "none" or args.body_detector in ("vitdet", "regnety")):
        print(
            "Without the original's weights: python demo.py --checkpoint none --body_detector mediapipe "
            "(or: hamer demo)", file=sys.stderr,
        )  # fmt: skip
    return status


if __name__ == "__main__":
    sys.exit(main())
