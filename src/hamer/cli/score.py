"""`hamer score`: anybody's predictions for FreiHAND or HO-3D, scored as the public evaluation programs do."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

_HELP = """\
Score a predictions file against the released annotations, with the names and figures of the public evaluation programs.

PRED is json, [joints, vertices], or a zip archive that holds it as pred.json: one entry a hand of the evaluation set, in
its order; joints 21 x [x, y, z] in metres, vertices likewise, or left out for scores of the joints alone. GT_DIR holds
evaluation_xyz.json and evaluation_verts.json. mean3d is in centimetres; auc3d covers 0 to 50 mm; "al" is aligned.

HO-3D counts joints in its own order, in OpenGL's camera frame (y up, z backward); --joints and --frame convert.

examples:
  hamer score freihand pred.json FreiHAND/
  hamer score ho3d pred.zip HO3D_v3_gt/ --out scores.json
  hamer score ho3d ours.json HO3D_v2_gt/ --joints openpose --frame flipped
"""


def add_parser(subparsers: Any) -> None:
    """Add `score` to the command line."""
    parser = subparsers.add_parser(
        "score",
        help="scores of a predictions file for FreiHAND or HO-3D",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", choices=["freihand", "ho3d"], help="whose program's figures and names")
    parser.add_argument("predictions", metavar="PRED", type=Path, help="pred.json, or a zip archive that holds it")
    parser.add_argument("truth", metavar="GT_DIR", type=Path, help="folder of the released evaluation_*.json")
    parser.add_argument("--json", action="store_true", help="print one json object")
    parser.add_argument("--out", type=Path, help="also write the scores there: .json, or .txt with a line each")
    parser.add_argument(
        "--fingertips",
        choices=["given", "smplx", "freihand", "alternative"],
        default="given",
        help="take predicted fingertips from MANO's vertices anew, as another program defines them (default: as given)",
    )
    parser.add_argument(
        "--joints",
        choices=["given", "openpose", "ho3d"],
        default="given",
        help="order of the predicted joints, where it is not the data set's (default: as given)",
    )
    parser.add_argument(
        "--frame",
        choices=["given", "flipped"],
        default="given",
        help="flipped: negate y and z of the predictions, OpenCV's camera frame to OpenGL's or back (default: as given)",
    )
    parser.add_argument("--threads", type=int, help="threads of the F-score (default: one a core)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, score, say; 0 on success, 2 on wrong usage. Bad files raise errors that name them."""
    from hamer.evaluation import freihand_scores, ho3d_scores
    from hamer.evaluation.score_checks import suspicions
    from hamer.evaluation.score_files import ScoreFileError, read_truth

    if args.out is not None and args.out.suffix not in (".json", ".txt"):
        return _wrong(f"--out must end in .json or .txt, got {args.out}")
    if args.out is not None and not args.out.parent.is_dir():
        return _wrong(f"there is no folder {args.out.parent} for --out; make it first")
    if args.threads is not None and args.threads < 1:
        return _wrong(f"--threads must be 1 or more, got {args.threads}")
    prediction = _predictions(args)
    with _bar("reading the truth") as bar:
        truth = read_truth(args.truth, with_vertices=prediction.vertices is not None, progress=bar.update)
    if len(prediction.joints) != len(truth.joints):
        raise ScoreFileError(
            f"{args.predictions}: expected {len(truth.joints)} hands as in {args.truth}, got {len(prediction.joints)}"
        )
    if prediction.vertices is not None and truth.vertices is not None:
        expected, got = truth.vertices.shape[1], prediction.vertices.shape[1]
        if expected != got:
            raise ScoreFileError(
                f"{args.predictions}: expected {expected} vertices a hand as in {args.truth}, got {got}"
            )
    else:
        print("hamer score: no vertices in the predictions; these are scores of the joints alone", file=sys.stderr)
    for sentence in suspicions(prediction.joints, truth.joints):
        print(f"hamer score: warning: {sentence}", file=sys.stderr)
    score = freihand_scores if args.dataset == "freihand" else ho3d_scores
    with _bar("scoring", len(truth.joints)) as bar:
        scores = score(
            prediction.joints,
            truth.joints,
            prediction.vertices,
            truth.vertices,
            progress=bar.update,
            threads=args.threads,
        )
    as_json = json.dumps(scores, indent=1) + "\n"
    as_text = "".join(f"{name}: {value:f}\n" for name, value in scores.items())
    if args.out is not None:
        from hamer.export.files import write_atomic

        write_atomic(args.out, (as_json if args.out.suffix == ".json" else as_text).encode())
    print(as_json if args.json else as_text, end="")
    return 0


def _predictions(args: argparse.Namespace) -> Any:
    """The file's points, converted as the flags say."""
    import numpy as np

    from hamer.evaluation.fingertips import HO3D_ORDER, HO3D_TIPS, OPENPOSE_TIPS, with_fingertips
    from hamer.evaluation.score_files import Points, ScoreFileError, read_predictions

    with _bar("reading predictions") as bar:
        points = read_predictions(args.predictions, progress=bar.update)
    joints, vertices = points.joints, points.vertices
    native = "openpose" if args.dataset == "freihand" else "ho3d"
    if args.joints not in ("given", native):
        joints = joints[:, list(HO3D_ORDER if native == "ho3d" else np.argsort(HO3D_ORDER))]
    if args.fingertips != "given":
        if vertices is None:
            raise ScoreFileError(f"{args.predictions}: --fingertips needs vertices, and there are none")
        tips = HO3D_TIPS if native == "ho3d" else OPENPOSE_TIPS
        joints = with_fingertips(joints, vertices, args.fingertips, places=tips)
    if args.frame == "flipped":
        turn = np.array([1.0, -1.0, -1.0])
        joints, vertices = joints * turn, None if vertices is None else vertices * turn
    return Points(joints, vertices)


def _bar(label: str, total: int | None = None) -> Any:
    """A progress bar of hands on stderr, shown only to people."""
    from tqdm import tqdm

    return tqdm(desc=label, total=total, unit="hand", disable=None, leave=False)


def _wrong(message: str) -> int:
    print(f"hamer score: {message}", file=sys.stderr)
    return 2
