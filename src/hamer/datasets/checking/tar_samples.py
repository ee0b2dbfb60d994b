"""The samples of a training tar as bytes, in the file's order, with what is wrong with the file itself."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hamer.datasets.checking.sample_checks import Problem

_END_MARK = 1024  # bytes of zeros that close a tar


@dataclass
class TarSample:
    """Members that share a key: extension in lower case -> content."""

    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def tar_samples(path: Path, problems: list[Problem]) -> Iterator[TarSample]:
    """The samples of a tar; `problems` of the file are added as they are met, and end the file where they must.

    A member's key is its name up to the first dot after the last slash, and members belong together while their keys
    follow each other, as webdataset reads them.
    """
    current: TarSample | None = None
    seen: set[str] = set()
    try:
        for name, content in _members(path, problems):
            folder, _, base = name.rpartition("/")
            stem, _, extension = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if current is None or key != current.key:
                if current is not None:
                    yield current
                current = TarSample(key)
                if key in seen:
                    current.problems.append(Problem("duplicate", f"key {key} occurs more than once in the tar"))
                seen.add(key)
            if extension.lower() in current.members:
                current.problems.append(Problem("duplicate", f"{name} occurs more than once in the tar"))
            current.members[extension.lower()] = content
    except (tarfile.TarError, OSError, EOFError) as error:
        problems.append(Problem("tar", f"the tar is damaged or cut short after {len(seen)} samples ({error})"))
        current = None  # its last member is not whole
    if current is not None:
        yield current


def _members(path: Path, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if not member.isfile():
                    problems.append(Problem("tar", f"{member.name} is no plain file and is passed over", False))
                    continue
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError(f"{member.name} claims {member.size} bytes, more than there are")
                content = tar.extractfile(member)
                assert content is not None
                yield member.name, content.read()
        file.seek(-min(_END_MARK, size), 2)
        if file.read().strip(b"\0"):
            problems.append(Problem("tar", "the tar lacks its end mark: it was probably cut short"))
