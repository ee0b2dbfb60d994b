"""Files of points for scoring: the `[joints, vertices]` predictions that the public programs take, and released truths.

Read one hand at a time: what is wrong is said with the hand's number, and no list of a million floats is ever held.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hamer.errors import HamerError

Progress = Callable[[int], None]

_SPACE = re.compile(r"[ \t\r\n]*")


class ScoreFileError(HamerError, ValueError):
    """A file of predictions or truths that cannot be read or does not hold what it should."""


@dataclass(frozen=True)
class Points:
    """Joints (N, J, 3) and vertices (N, V, 3), metres; None for vertices that are not there."""

    joints: np.ndarray
    vertices: np.ndarray | None


def read_predictions(path: str | Path, progress: Progress | None = None) -> Points:
    """The hands of a predictions file: json `[joints, vertices]`, or a zip archive that holds it as `pred.json`.

    `vertices` may be left out or empty. `progress` is told each hand's share: 1 for a hand of either list.

    Raises:
        ScoreFileError: with the file's name, what was expected and what was found.
    """
    text = _text_of(Path(path))
    lists = _lists(text, str(path), progress)
    if not 1 <= len(lists) <= 2:
        raise ScoreFileError(f"{path}: expected [joints, vertices], got a list of {len(lists)} entries")
    joints = _stacked(lists[0], f"{path}: joints", n_points=21)
    vertices = _stacked(lists[1], f"{path}: vertices") if len(lists) == 2 and lists[1] else None
    if vertices is not None and len(vertices) != len(joints):
        raise ScoreFileError(
            f"{path}: expected as many hands in both lists, got {len(joints)} with joints, {len(vertices)} with vertices"
        )
    return Points(joints, vertices)


def read_truth(folder: str | Path, *, with_vertices: bool = True, progress: Progress | None = None) -> Points:
    """The truth that FreiHAND and HO-3D released: `evaluation_xyz.json`, `evaluation_verts.json`.

    Args:
        folder: holds both files; the second is asked for only `with_vertices`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ScoreFileError(f"{folder}: there is no such folder; give the one that holds evaluation_xyz.json")
    joints = _truth_file(folder / "evaluation_xyz.json", 21, progress)
    if not with_vertices:
        return Points(joints, None)
    vertices = _truth_file(folder / "evaluation_verts.json", None, progress)
    if len(vertices) != len(joints):
        raise ScoreFileError(
            f"{folder}: evaluation_xyz.json has {len(joints)} hands and evaluation_verts.json {len(vertices)}; expected as many"
        )
    return Points(joints, vertices)


def _truth_file(path: Path, n_points: int | None, progress: Progress | None) -> np.ndarray:
    if not path.is_file():
        raise ScoreFileError(f"{path} is missing; it is part of the data set's released evaluation annotations")
    return _stacked(_flat_list(_text_of(path), str(path), progress), str(path), n_points=n_points)


def _text_of(path: Path) -> str:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _member(archive, path).decode("utf-8")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScoreFileError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ScoreFileError(
            f"{path}: expected json or a zip archive with pred.json, got other data ({error.reason})"
        ) from error
    except IsADirectoryError:
        raise ScoreFileError(f"{path}: expected a file, json or a zip archive with pred.json, got a folder") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ScoreFileError(f"{path}: the archive is damaged ({error}); make it again") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, a method of compression that is not known
        raise ScoreFileError(
            f"{path}: the archive cannot be opened ({error}); zip pred.json without a password"
        ) from error


def _member(archive: zipfile.ZipFile, path: Path) -> bytes:
    names = [n for n in archive.namelist() if n.rsplit("/", 1)[-1] == "pred.json" and "__MACOSX" not in n]
    if len(names) != 1:
        raise ScoreFileError(
            f"{path}: expected one pred.json in the archive, found {len(names)} among {len(archive.namelist())} files"
        )
    return archive.read(names[0])


class _Scanner:
    """Steps through json text: lists are opened here, their entries decoded whole."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source, self.at = text, source, 0
        self._decoder = json.JSONDecoder()
        self._space()

    def entries(self) -> Iterator[None]:
        """Open a list and stop at the start of each entry; the caller reads it before going on."""
        self._take("[", "a list")
        if self._peek() == "]":
            self._take("]", "the list's end")
            return
        while True:
            yield
            if self._peek() == "]":
                self._take("]", "the list's end")
                return
            self._take(",", "a comma or the list's end")

    def value(self) -> object:
        """Decode the entry that starts here."""
        try:
            value, self.at = self._decoder.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise self._error(f"{error.msg.lower()} at character {error.pos}") from None
        except RecursionError:
            raise self._error(f"lists too deep at character {self.at}") from None
        self._space()
        return value

    def end(self) -> None:
        if self.at != len(self.text):
            raise self._error(
                f"expected the file's end, got {self.text[self.at : self.at + 20]!r} at character {self.at}"
            )

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, character: str, what: str) -> None:
        if self._peek() != character:
            found = f"got {self._peek()!r}" if self._peek() else "the file ends there"
            raise self._error(f"expected {what} at character {self.at}, {found}")
        self.at += 1
        self._space()

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _error(self, what: str) -> ScoreFileError:
        cut = self.text.rstrip()[-1:] != "]"
        return ScoreFileError(
            f"{self.source}: {what}" + ("; the file seems to be cut off, fetch or write it again" if cut else "")
        )


def _lists(text: str, source: str, progress: Progress | None) -> list[list[np.ndarray]]:
    scanner = _Scanner(text, source)
    lists = [_hands(scanner, f"{source}: list {i}", progress) for i, _ in enumerate(scanner.entries())]
    scanner.end()
    return lists


def _flat_list(text: str, source: str, progress: Progress | None) -> list[np.ndarray]:
    scanner = _Scanner(text, source)
    hands = _hands(scanner, source, progress)
    scanner.end()
    return hands


def _hands(scanner: _Scanner, source: str, progress: Progress | None) -> list[np.ndarray]:
    hands = []
    for i, _ in enumerate(scanner.entries()):
        hands.append(_array(scanner.value(), f"{source}, hand {i}"))
        if progress is not None:
            progress(1)
    return hands


def _array(value: object, source: str) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except OverflowError:
        raise ScoreFileError(
            f"{source}: expected finite numbers, got one that is too large for any coordinate"
        ) from None
    except (TypeError, ValueError):
        raise ScoreFileError(
            f"{source}: expected points [[x, y, z], ...], got entries that are no numbers or of unequal length"
        ) from None
    if array.shape == (3,):
        raise ScoreFileError(f"{source}: expected [joints, vertices], got a list of hands, or points, by itself")
    if array.ndim != 2 or array.shape[1] != 3:
        raise ScoreFileError(f"{source}: expected points of shape (n, 3), got {array.shape}")
    if not np.isfinite(array).all():
        raise ScoreFileError(
            f"{source}: expected finite numbers, got {int((~np.isfinite(array)).sum())} that are NaN or infinite"
        )
    return array


def _stacked(hands: list[np.ndarray], source: str, n_points: int | None = None) -> np.ndarray:
    if not hands:
        raise ScoreFileError(f"{source}: expected at least one hand, got an empty list")
    n_points = n_points or len(hands[0])
    for i, hand in enumerate(hands):
        if len(hand) != n_points:
            raise ScoreFileError(f"{source}: expected {n_points} points for every hand, got {len(hand)} for hand {i}")
    return np.stack(hands)
