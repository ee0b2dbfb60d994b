"""The built-in network's ablation: with and without landmark tokens and refinement, against fitting and landmarks alone.

    python benchmarks/built_in_model.py [--weights FILE] [--made FOLDER] [--photos photos.json] [--unannotated FOLDER]

First table: made pictures that no training saw, of a folder that `hamer data synthesize` wrote, or (without --made) some made
now from a seed of their own; each with the points that the landmark model found, as the detector would hand them on. Second
table: the same hands with landmarks that err less, as those of photos do; then, with --small, hands of few pixels. Then
annotated photos, whole, found by the detector; it looks once at each, and the ways share what it found. PCK there is
over the larger side of the box around the visible joints, missed hands count as misses, and the mean is over the sources. Nothing
is tuned on these photos. Last, with --unannotated: any photos, where the landmark model's word is the truth; the ways that have the
picture alone, and then all ways on small copies of the hands that are seen clearly.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

import torch
from ablation import made_hands, photo_hands, shrunk_hands, small_made_hands
from ablation.ways import BY_PICTURE, OWN_POINTS, all_ways

from hamer.weights import built_in, sha256_of

HELD_BACK_SEED = 990_001
"""Of pictures made now: no recipe of this project trains with it."""


def main() -> None:
    shared = Path(os.environ.get("HAMER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a network's file (default: the built-in one, where it is)")
    parser.add_argument("--made", type=Path, help="folder of tars with made pictures (default: made now)")
    parser.add_argument(
        "--mend",
        type=float,
        default=0.7,
        help="most by which landmarks of made pictures are mended (default: %(default)s)",
    )
    parser.add_argument(
        "--small",
        type=int,
        default=0,
        help="made hands brought down in size, for a table of their own (default: %(default)s)",
    )
    parser.add_argument("--count", type=int, default=200, help="made pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=HELD_BACK_SEED, help="of pictures made now (default: %(default)s)")
    parser.add_argument("--photos", type=Path, default=shared / "photos" / "photos.json", help="annotated photos")
    parser.add_argument("--effort", default="normal", choices=["fast", "normal", "thorough"], help="of the search")
    parser.add_argument("--cache", type=Path, help="folder that keeps what the detector found in the photos")
    parser.add_argument("--unannotated", type=Path, help="folder of photos with hands, for the table of small copies")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    weights = args.weights or built_in()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end="; "
    )
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(
        f"weights: {weights} (sha256 {sha256_of(weights)[:16]})" if weights else "no weights: the ways without network"
    )
    ways = all_ways(weights)
    if args.count:
        hands = (
            made_hands.hands_of_folder(args.made, args.count)
            if args.made
            else made_hands.hands_made_now(args.count, args.seed)
        )
        print("\n## Made pictures\n")
        for line in made_hands.table(hands, ways):
            print(line, flush=True)
        if args.mend:
            print(f"\n## The same, landmarks moved by 0 to {args.mend:.0%} of their errors towards the truth\n")
            for line in made_hands.table(made_hands.mended(hands, args.mend), ways):
                print(line, flush=True)
        by_picture = [way for way in ways if way.title == OWN_POINTS]
        if args.small and by_picture:
            print("\n## Small made hands\n")
            for line in small_made_hands.table(hands[: args.small], by_picture[0]):
                print(line, flush=True)
    if args.photos.is_file():
        print("\n## Photos\n")
        for line in photo_hands.table(photo_hands.photos_of(args.photos, effort=args.effort, cache=args.cache), ways):
            print(line, flush=True)
    if args.unannotated:
        found = shrunk_hands.hands_of(args.unannotated)
        print("\n## Hands without annotation, by the picture alone\n")
        by_picture = [way for way in ways if way.title in BY_PICTURE]
        for line in shrunk_hands.table(shrunk_hands.as_they_are(found), by_picture):
            print(line, flush=True)
        print("\n## Small copies of them\n")
        for line in shrunk_hands.table(shrunk_hands.small_copies(found), ways):
            print(line, flush=True)


if __name__ == "__main__":
    main()
