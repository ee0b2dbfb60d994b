"""What a check found: problems grouped by kind, statistics, and both as text or json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hamer.datasets.checking.sample_checks import Problem
from hamer.datasets.checking.statistics import EFFECTS, Statistics

EXAMPLES = 5  # of each kind of problem that are kept


@dataclass
class ProblemGroup:
    """All problems of one kind: how many, and the first few with where they are."""

    code: str
    is_error: bool
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Findings:
    """What was found in some files. `samples` counts pictures of tars and rows of npz files."""

    statistics: Statistics = field(default_factory=Statistics)
    files: list[str] = field(default_factory=list)
    samples: int = 0
    groups: dict[tuple[str, bool], ProblemGroup] = field(default_factory=dict)
    digests: set[bytes] = field(default_factory=set, repr=False)

    def add_picture(self, where: str, digest: bytes | None) -> None:
        """Note a picture file by its digest; one that was there before is worth a look."""
        if digest is not None and digest in self.digests:
            text = "this very picture occurs before: are its hands counted twice, or validated on what was trained?"
            self.add_problems(where, [Problem("repeated", text, False)])
        elif digest is not None:
            self.digests.add(digest)

    def add_problems(self, where: str, problems: Iterable[Problem]) -> None:
        """Count `problems` of the sample or file `where`."""
        for problem in problems:
            group = self.groups.setdefault(
                (problem.code, problem.is_error), ProblemGroup(problem.code, problem.is_error)
            )
            group.count += 1
            if len(group.examples) < EXAMPLES:
                group.examples.append((where, problem.message))

    @property
    def errors(self) -> int:
        """Problems that training would fail on or learn nonsense from."""
        return sum(group.count for group in self.groups.values() if group.is_error)

    @property
    def warnings(self) -> int:
        """Problems that are worth a look."""
        return sum(group.count for group in self.groups.values() if not group.is_error)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for json."""
        problems = [
            {
                "code": g.code, "is_error": g.is_error, "count": g.count,
                "examples": [{"where": where, "message": message} for where, message in g.examples],
            }
            for g in self._sorted()
        ]  # fmt: skip
        return {
            "files": self.files,
            "samples": self.samples,
            "errors": self.errors,
            "warnings": self.warnings,
            "problems": problems,
            "statistics": self.statistics.summary(),
        }

    def lines(self) -> list[str]:
        """Everything as lines of text: statistics, then problems, errors last, where a terminal shows them."""
        result = _statistics_lines(self.statistics) if self.statistics.hands else []
        for group in self._sorted():
            kind = "error" if group.is_error else "warning"
            result.append(f"{kind} {group.code}: {group.count}")
            result += [f"    {where}: {message}" for where, message in group.examples]
            if group.count > len(group.examples):
                result.append(f"    and {group.count - len(group.examples)} more")
        counts = f"{len(self.files)} files, {self.samples} samples"
        result.append(f"{counts}: {self.errors} errors, {self.warnings} warnings")
        return result

    def _sorted(self) -> list[ProblemGroup]:
        return sorted(self.groups.values(), key=lambda g: (g.is_error, g.count))


def _statistics_lines(statistics: Statistics) -> list[str]:
    numbers = statistics.summary()
    shares = ", ".join(f"{name} {share:.0%}" for name, share in numbers["share_with"].items())
    lines = [
        f"{numbers['hands']} hands ({numbers['left']} left, {numbers['right']} right) in {numbers['pictures']} pictures",
        f"with {shares}; {numbers['labelled_joints_per_hand']:g} labelled joints a hand",
        *(f"{label} (px): {_row(numbers[name])}" for name, label in _DISTRIBUTIONS.items() if numbers[name]),
        "what the training's filters do:",
    ]
    for name, count in numbers["filters"].items():
        setting = f"{name}={statistics.options.get(name)}" if name in statistics.options else ""
        lines.append(f"  {count:8d}  {EFFECTS[name]}{f' [{setting}]' if setting else ''}")
    lines.append(f"  {numbers['left_for_training']:8d}  hands left for training")
    return lines


_DISTRIBUTIONS = {"box_px": "longer side of the box", "picture_px": "longer side of the picture"}


def _row(percentiles: dict[str, float]) -> str:
    names = {"p0": "smallest", "p50": "median", "p100": "largest"}
    return ", ".join(f"{names.get(name, name[1:] + ' %')} {value:g}" for name, value in percentiles.items())
