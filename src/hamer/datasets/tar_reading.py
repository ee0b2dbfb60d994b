"""Tars of training samples: names with braces expanded, files found, members read and grouped by their key."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hamer.datasets.skipping import SkipCounts
from hamer.errors import AssetError, require

PICTURES = ("jpg", "jpeg", "png")
ANNOTATION = "data.pyd"
MASKS = "detection.npz"
MAX_MEMBER = 2**30
"""Bytes; no picture or annotation is larger, a forged header may say so."""

_REMOTE = re.compile(r"(https?|gs|hf)://[\w.:/%+,=&?~@#-]+")
_SEQUENCE = re.compile(r"(-?\d+)\.\.(-?\d+)")


@dataclass
class TarSample:
    """Members that share a key: `members` extension (lower case, "jpg", "data.pyd") -> content."""

    key: str
    url: str
    members: dict[str, bytes] = field(default_factory=dict)

    @property
    def picture(self) -> bytes | None:
        """The encoded picture, or None."""
        return next((self.members[kind] for kind in PICTURES if kind in self.members), None)


def expand_urls(urls: str | Sequence[str]) -> list[str]:
    """Names of tars with braces and the home folder expanded: "a/{000000..000002}.tar" -> three names; `{a,b}` too.

    Several names may stand in one text, separated by "::".
    """
    texts = [urls] if isinstance(urls, (str, os.PathLike)) else list(urls)
    names = [name for text in texts for name in os.fspath(text).split("::")]
    return [os.path.expanduser(name) for text in names for name in _expand_braces(text)]  # noqa: PTH111 - may be a URL


def _expand_braces(text: str) -> list[str]:
    found = re.search(r"\{([^{}]*)\}", text)
    if found is None:
        return [text]
    before, inside, after = text[: found.start()], found.group(1), text[found.end() :]
    sequence = _SEQUENCE.fullmatch(inside)
    if sequence is not None:
        first, last = sequence.groups()
        low, high = int(first), int(last)
        width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
        step = 1 if high >= low else -1
        choices = [f"{number:0{width}d}" for number in range(low, high + step, step)]
    elif "," in inside:
        choices = inside.split(",")
    else:
        raise ValueError(f"braces in a tar's name must hold a range (000..012) or a list (a,b), got {{{inside}}}")
    return [name for choice in choices for name in _expand_braces(before + choice + after)]


def is_remote(url: str) -> bool:
    """Whether `url` names another machine; ValueError for "pipe:" and other commands."""
    if "://" not in url and not url.startswith("pipe:"):
        return False
    if url.startswith("file://"):
        return False
    if _REMOTE.fullmatch(url) is None:
        raise ValueError(
            f"URLS must name files or http(s), gs, hf addresses without spaces, quotes or commands, got {url!r}: "
            "fetch the tars first and name the files"
        )
    return True


def local_path(url: str) -> Path:
    """The file of a name that is not remote."""
    return Path(url.removeprefix("file://"))


def check_tars(urls: Sequence[str], name: str) -> None:
    """An AssetError where files are missing that the data set `name` lists."""
    missing = [url for url in urls if not is_remote(url) and not local_path(url).is_file()]
    if not urls or missing:
        what = (
            f"{len(missing)} of {len(urls)} tars, the first is {missing[0]}" if missing else "its list of tars is empty"
        )
        raise AssetError(
            f"data set {name}: missing {what} (relative to {Path.cwd()}). Fetch the original's training data with "
            "`hamer fetch hamer_training_data` in the folder that you train in, or correct URLS of the data set"
        )


def read_tar(url: str, skipped: SkipCounts, cache_dir: str | Path | None = None) -> Iterator[TarSample]:
    """The samples of one tar in its order; a damaged file ends early, which is counted."""
    try:
        with closing(_open(url, cache_dir)) as stream:
            yield from _group(_members(stream, is_remote(url)), url)
    except (tarfile.TarError, EOFError, OSError) as error:
        skipped.add("damaged tar", url, error)


def _members(stream: BinaryIO, is_stream: bool) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r|*" if is_stream else "r:*") as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # else headers of the whole tar pile up
            if not member.isreg():
                continue
            if member.size > MAX_MEMBER:
                raise tarfile.ReadError(f"{member.name} claims {member.size} bytes")
            content = tar.extractfile(member)
            data = content.read() if content is not None else b""
            if len(data) != member.size:
                raise tarfile.ReadError(f"{member.name} ends after {len(data)} of {member.size} bytes")
            yield member.name, data


def _group(members: Iterator[tuple[str, bytes]], url: str) -> Iterator[TarSample]:
    """Neighbouring members whose names agree up to the first dot of the file name."""
    current: TarSample | None = None
    for name, data in members:
        folder, _, file = name.rpartition("/")
        stem, dot, extension = file.partition(".")
        if not dot or not stem:
            continue
        key = f"{folder}/{stem}" if folder else stem
        if current is None or current.key != key or extension.lower() in current.members:
            if current is not None:
                yield current
            current = TarSample(key, url)
        current.members[extension.lower()] = data
    if current is not None:
        yield current


def _open(url: str, cache_dir: str | Path | None) -> BinaryIO:
    if not is_remote(url):
        return local_path(url).open("rb")
    wds = require("webdataset", extra="train", purpose="reading tars from other machines")
    if cache_dir is not None:
        return Path(wds.cache.FileCache(cache_dir=str(cache_dir)).get_file(url)).open("rb")
    return wds.gopen(url)
