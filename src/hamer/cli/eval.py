"""`hamer eval`: the benchmarks of the paper, and annotated photos of your own, scored offline with a report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.cli.checkpoint_flag import weights_of
from hamer.cli.eval_flags import add_arguments, wrong_usage

if TYPE_CHECKING:
    from hamer.evaluation.outcomes import SetOutcome
    from hamer.evaluation.suite import EvaluationSuite, SuiteOptions

_HELP = """\
Evaluate a checkpoint, or the network that comes with hamer, on the paper's sets or on annotated photos of your own.

In the results folder there are:
  eval_regression.csv   the original's table; every run appends
  report.html           tables, curves, worst hands: open it in a browser, offline
  evaluation.json       the same figures for programs
  SET.json              predictions for the public programs of FreiHAND and HO-3D (hamer score)
Run the same command again to continue an interrupted run.

examples:
  hamer eval --dataset FREIHAND-VAL,NEWDAYS-TEST-ALL
  hamer eval --dataset NEWDAYS-TEST-ALL --mode detector --body_detector vitdet
  hamer eval --dataset FREIHAND-VAL,HO3D-V3-VAL --datasets_file converted/datasets_eval.yaml
  hamer eval --photos photos/photos.json --checkpoint built-in --mode detector
  hamer eval --dataset NEWDAYS-TEST-ALL --compare old.ckpt new.ckpt
"""


def add_parser(subparsers: Any) -> None:
    """Add `eval` to the command line."""
    parser = subparsers.add_parser(
        "eval",
        help="score a checkpoint on the paper's sets or your own photos",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, say; 0 if every set went well, 1 if one failed, 2 on wrong usage."""
    problem = wrong_usage(args)
    if problem:
        return _wrong(problem)
    if args.num_samples != 1:
        print("hamer eval: note: --num_samples has no effect, the network gives one hand a crop", file=sys.stderr)
    if args.compare and Path(args.compare[0]).suffix == ".npz":
        return _compare_saved(args)
    from hamer.evaluation.suite import EvaluationSuite

    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    options = _options(args)
    with _Bars() as bars:
        suite = EvaluationSuite(options, progress=bars)
        names = _names(args, suite)
        if not names and not args.photos:
            return _wrong(
                "no set named, and no annotations here: name sets with --dataset or photos with --photos; "
                "`hamer fetch hamer_evaluation_data` gets the original's annotations, "
                "and hamer data convert makes them from a release"
            )
        unknown = [name for name in names if name not in suite.sets]
        if unknown:
            return _wrong(f"--dataset must name sets of {', '.join(suite.sets)}, got {', '.join(unknown)}")
        if args.compare:
            return _compare_models(args, options, names, bars)
        suite.load()
        outcomes = _run_all(suite, names, args.photos or [], bars)
        report = suite.finish(outcomes)
    return _closing(outcomes, report)


def _options(args: argparse.Namespace) -> SuiteOptions:
    from hamer.evaluation.suite import SuiteOptions

    return SuiteOptions(
        checkpoint=weights_of(args.checkpoint), results_folder=args.results_folder, mode=args.mode, detector=args.body_detector,
        detector_options=_detector_options(args), hand_model=args.hand_model,
        device=args.device, precision=args.precision, batch_size=args.batch_size, num_workers=args.num_workers,
        shuffle=args.shuffle, log_freq=args.log_freq, exp_name=args.exp_name, max_hands=args.max_hands,
        overwrite=args.overwrite, datasets_file=args.datasets_file, min_iou=args.min_iou, threads=args.threads,
    )  # fmt: skip


def _detector_options(args: argparse.Namespace) -> dict[str, Any]:
    options = {} if args.threads is None else {"threads": args.threads}
    return options | ({"effort": args.effort} if args.body_detector == "mediapipe" else {})


def _names(args: argparse.Namespace, suite: EvaluationSuite) -> list[str]:
    if args.dataset is not None:
        return [name.strip() for name in args.dataset.split(",") if name.strip()]
    return [] if args.photos else suite.present_sets()


def _run_all(suite: EvaluationSuite, names: list[str], photos: list[Path], bars: _Bars) -> list[SetOutcome]:
    outcomes = []
    work: list[str | Path] = [*names, *photos]
    for what in work:
        outcome = suite.run_photos(what) if isinstance(what, Path) else suite.run_named(what)
        bars.close()
        outcomes.append(outcome)
        _say(outcome)
    return outcomes


def _say(outcome: SetOutcome) -> None:
    """One set's figures on stdout, its error on stderr."""
    if outcome.error:
        print(f"hamer eval: {outcome.name}: {outcome.error}", file=sys.stderr)
    if not len(outcome.result):
        return
    shown = {k: v for k, v in outcome.figures.items() if not k.startswith("kp") or k.startswith("kpAvg") or k == "kpl2"}
    figures = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    print(f"{outcome.name}: {len(outcome.result)} hands  {figures or 'no figures: the set has no labels to score'}")
    for note in outcome.notes:
        print(f"  {note}")


def _compare_models(args: argparse.Namespace, options: SuiteOptions, names: list[str], bars: _Bars) -> int:
    """Both checkpoints on the same sets, then the differences, in one report."""
    from hamer.evaluation import compare
    from hamer.evaluation.suite import EvaluationSuite

    both: list[list[SetOutcome]] = []
    for given in args.compare:
        suite = EvaluationSuite(replace(options, checkpoint=weights_of(given), writes_json=False), progress=bars)
        suite.load()
        both.append(_run_all(suite, names, args.photos or [], bars))
        suite.release()  # two networks need not fit into memory together
    comparisons = {}
    for first, second in zip(*both, strict=True):
        if len(first.result) and len(second.result):
            titles = [first.exp_name, second.exp_name]
            if titles[0] == titles[1]:
                titles = [first.checkpoint, second.checkpoint]
            title = f"{first.name}: {titles[0]} (first) and {titles[1]} (second)"
            comparisons[title] = compare(first.result, second.result)
            print(title)
            _print_differences(comparisons[title])
    _write_comparison(args.results_folder, comparisons)
    report = suite.finish([*both[0], *both[1]], comparisons)
    return _closing([*both[0], *both[1]], report)


def _compare_saved(args: argparse.Namespace) -> int:
    """Two saved results, without any model."""
    from hamer.evaluation import EvaluationResult, compare
    from hamer.evaluation.report import write_report

    first, second = (EvaluationResult.load(path) for path in args.compare)
    title = f"{Path(args.compare[0]).name} (first) and {Path(args.compare[1]).name} (second)"
    comparisons = {title: compare(first, second)}
    args.results_folder.mkdir(parents=True, exist_ok=True)
    _write_comparison(args.results_folder, comparisons)
    _print_differences(comparisons[title])
    report = write_report(args.results_folder, [], [], comparisons)
    print(f"report: {report}")
    return 0


def _write_comparison(folder: Path, comparisons: dict[str, Any]) -> None:
    import json

    from hamer.export.files import write_atomic

    content = {title: [asdict(d) for d in differences] for title, differences in comparisons.items()}
    write_atomic(folder / "comparison.json", (json.dumps(content, indent=1) + "\n").encode())


def _print_differences(differences: list[Any]) -> None:
    for d in differences:
        verdict = "no difference shown" if d.better is None else f"{d.better} is better"
        print(
            f"  {d.metric:20s} {d.first:9.4g} {d.second:9.4g}  difference {d.difference:+.4g} "
            f"({d.low:+.4g} to {d.high:+.4g})  {verdict}, {d.hands} hands"
        )


def _closing(outcomes: list[SetOutcome], report: Path) -> int:
    failed = [o for o in outcomes if o.error]
    print(f"report: {report}")
    if failed:
        names = ", ".join(dict.fromkeys(o.name for o in failed))
        print(f"{len(failed)} of {len(outcomes)} sets had errors: {names}", file=sys.stderr)
    return 1 if failed else 0


class _Bars:
    """A progress bar for the set in work, with rate and figures."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""

    def __call__(self, name: str, done: int, total: int, figures: str) -> None:
        from tqdm import tqdm

        if self._bar is None or name != self._name:
            self.close()
            # what an earlier run did counts as done, but not for the rate
            self._bar = tqdm(desc=name, total=total, initial=done, unit="", disable=None, dynamic_ncols=True)
            self._name = name
        self._bar.update(done - self._bar.n)
        if figures:
            self._bar.set_postfix_str(figures)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _wrong(message: str) -> int:
    print(f"hamer eval: {message}", file=sys.stderr)
    return 2
