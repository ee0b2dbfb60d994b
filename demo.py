"""The original's demo command, with its flags and its defaults: `python demo.py --img_folder example_data --out_folder demo_out`.

`hamer demo` is the same with defaults that need no downloads.
"""

from __future__ import annotations

import argparse
import sys

from hamer.cli import guarded, show_log
from hamer.cli.demo import run, ways_without_files
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
    show_log()
    status = guarded(run, args, program="demo.py")
    if status == 1:
        for way in ways_without_files(args):
            print(way, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
