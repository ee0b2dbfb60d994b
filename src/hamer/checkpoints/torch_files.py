"""Files that torch.save wrote, read without torch.load: an allow-list unpickler and memory-mapped tensors.

Two layouts exist: a zip archive (`data.pkl` and one stored entry per storage) since torch 1.6, and before that a row of
pickles followed by raw storages. What a pickle names is looked up in a table (`hamer.checkpoints.unpickling`);
configuration classes of training programs become inert containers. Nothing that a file names is imported or called.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from hamer.checkpoints.opcode_walk import check_stream
from hamer.checkpoints.unpickling import AllowListUnpickler
from hamer.errors import UnsafeFileError, WeightsError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_MEMO = 10_000_000  # for a number beyond it the unpickler would set aside more than 160 MB
_DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
# Packages whose objects a checkpoint may hold beside its tensors: settings, and marks of the program that saved it.
_SETTINGS_PACKAGES = frozenset(
    {"argparse", "lightning", "lightning_fabric", "omegaconf", "pathlib", "pytorch_lightning", "typing", "yacs"}
)


# Types that settings name and nobody needs: called for real, int or bytes would let a file ask for any amount of work.
_PLAIN_TYPES = frozenset({"int", "long", "float", "str", "unicode", "bool", "bytes", "bytearray", "type"})


class Inert(dict):
    """What stands for a settings object: its items if it was a mapping, its attributes in `state`, never its code."""

    class_name = ""
    state: Any = None

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()  # dict would take arguments as its items

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __hash__(self) -> int:  # type: ignore[override]  # some programs use such objects as keys
        return id(self)


class _Storage(NamedTuple):
    """Bytes of a file and the type of number in them."""

    data: torch.UntypedStorage
    dtype: torch.dtype
    numel: int


class _StorageType(NamedTuple):
    dtype: torch.dtype


def load_torch_file(path: Path) -> Any:
    """The object that torch.save stored in `path`, tensors on the CPU, memory-mapped where the file is a zip archive.

    Raises:
        UnsafeFileError: the pickle names something that is not data; nothing was executed.
        WeightsError: the file is cut short, damaged, or of another kind.
    """
    with path.open("rb") as file:
        start = file.read(4)
    load = _load_zip if start == b"PK\x03\x04" else _load_legacy
    try:
        return load(path)
    except (UnsafeFileError, WeightsError):
        raise
    except Exception as error:  # damaged bytes fail in as many ways as there are opcodes and header fields
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def damaged(path: Path, reason: str) -> WeightsError:
    """The error for a file that cannot be what it should be."""
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) must be a complete weights file, but reading it failed: {reason}. It is "
        "probably a download that broke off: fetch or copy it again"
    )


# ---------------------------------------------------------------------------------------------------------- zip
# archives


def _load_zip(path: Path) -> Any:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise damaged(path, f"the archive has no end ({error})") from error
    with archive, path.open("rb") as file:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise WeightsError(
                f"{path} must hold one data.pkl as torch.save writes it; it is another kind of zip archive"
            )
        root = pickles[0].removesuffix("/data.pkl")
        if f"{root}/constants.pkl" in archive.namelist():
            raise WeightsError(
                f"{path} must hold weights and is a TorchScript program; save model.state_dict() instead"
            )
        if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
            raise WeightsError(f"{path} was saved on a big-endian machine; convert it to safetensors there")
        storages = _ZipStorages(path, file, archive, root)
        _refuse_bomb(path, archive.getinfo(pickles[0]))
        check_stream(archive.read(pickles[0]), memo=_MOST_MEMO)
        with archive.open(pickles[0]) as stream:
            return TorchUnpickler(stream, str(path), storages).load()  # type: ignore[arg-type]


class _ZipStorages:
    """Storages of an archive, by key: slices of one private mapping of the file."""

    def __init__(self, path: Path, file: BinaryIO, archive: zipfile.ZipFile, root: str) -> None:
        self._path, self._file, self._archive, self._root = path, file, archive, root
        self._size = path.stat().st_size
        self._mapped = torch.UntypedStorage.from_file(str(path), False, self._size)
        self._known: dict[str, _Storage] = {}

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> _Storage:
        if key not in self._known:
            self._known[key] = _Storage(self._read(key, numel * dtype.itemsize), dtype, numel)
        storage = self._known[key]
        if (storage.dtype, storage.numel) != (dtype, numel):
            raise damaged(self._path, f"storage {key} is described in two ways")
        return storage

    def _read(self, key: str, n_bytes: int) -> torch.UntypedStorage:
        entry = self._archive.getinfo(f"{self._root}/data/{key}")
        if entry.file_size != n_bytes:
            raise damaged(self._path, f"storage {key} has {entry.file_size} bytes, its tensors need {n_bytes}")
        if entry.compress_type != zipfile.ZIP_STORED:
            _refuse_bomb(self._path, entry)
            return _storage_of(self._archive.read(entry))
        start = self._data_start(entry)
        if start + n_bytes > self._size:
            raise damaged(self._path, f"storage {key} ends beyond the file")
        piece = self._mapped[start : start + n_bytes]
        return piece if start % 8 == 0 else piece.clone()  # torch aligns its entries; another program may not

    def _data_start(self, entry: zipfile.ZipInfo) -> int:
        """The local header has a length of its own: its extra field holds the padding that aligns the data."""
        self._file.seek(entry.header_offset)
        header = self._file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise damaged(self._path, f"no entry where {entry.filename} should be")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return entry.header_offset + 30 + name_length + extra_length


def _refuse_bomb(path: Path, entry: zipfile.ZipInfo) -> None:
    """Weights hardly compress: an entry that does would fill the memory."""
    if entry.file_size > 2**20 + 100 * entry.compress_size:
        raise damaged(path, f"{entry.filename} unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}")


def _storage_of(data: bytes) -> torch.UntypedStorage:
    if not data:
        return torch.UntypedStorage(0)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).untyped_storage()


# --------------------------------------------------------------------------------------------------------- before 1.6


def _load_legacy(path: Path) -> Any:
    size = path.stat().st_size
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        _refuse_other_kinds(path, content[:512])
        storages = _LegacyStorages(path, size)

        def next_pickle() -> Any:
            check_stream(content, file.tell(), _MOST_MEMO)
            return TorchUnpickler(file, str(path), storages).load()

        first = next_pickle()
        if first != _LEGACY_MAGIC:
            return first  # a plain pickle: detectron2 keeps its weights as NumPy arrays in one
        for _ in ("protocol version", "sizes of C types"):
            next_pickle()
        weights = next_pickle()
        storages.fill(file, next_pickle())
    return weights


def _refuse_other_kinds(path: Path, start: bytes) -> None:
    if start.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} must be a weights file and is a web page: the download failed; fetch it again")
    if start[257:262] == b"ustar":
        raise WeightsError(
            f"{path} is a tar archive; weights from before torch 0.4 must be saved again with a newer torch"
        )


class _LegacyStorages:
    """Storages that the pickle announces and the end of the file fills."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._left = path, size
        self._known: dict[str, _Storage] = {}

    def __call__(self, key: str, dtype: torch.dtype, numel: int) -> _Storage:
        if key not in self._known:
            self._left -= numel * dtype.itemsize
            if numel < 0 or self._left < 0:
                raise damaged(self._path, "its tensors need more bytes than the file has")
            self._known[key] = _Storage(torch.UntypedStorage(numel * dtype.itemsize), dtype, numel)
        return self._known[key]

    def fill(self, file: BinaryIO, keys: list[str]) -> None:
        for key in keys:
            storage = self._known[key]
            (numel,) = struct.unpack("<q", file.read(8))
            if numel != storage.numel:
                raise damaged(self._path, f"storage {key} has {numel} numbers, its tensors need {storage.numel}")
            target = torch.empty(0, dtype=torch.uint8).set_(storage.data)
            if numel and file.readinto(target.numpy()) != target.numel():  # type: ignore[attr-defined]
                raise damaged(self._path, f"the file ends inside storage {key}")


# -------------------------------------------------------------------------------------------------------- the unpickler


class TorchUnpickler(AllowListUnpickler):
    """The allow-list unpickler with torch's tensors and the settings objects of training programs."""

    def __init__(self, file: BinaryIO, name: str, storages: Callable[[str, torch.dtype, int], _Storage]) -> None:
        # latin1 keeps the bytes of arrays that Python 2 wrote as texts; names are ASCII either way
        super().__init__(file, name=name, allow=_TABLE, encoding="latin1")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """As the base class, and inert containers for the classes of settings packages."""
        is_plain_type = module in ("builtins", "__builtin__") and name in _PLAIN_TYPES
        is_setting = module.split(".")[0] in _SETTINGS_PACKAGES and f"{module}.{name}" not in self._table
        if is_plain_type or is_setting:
            return type(name.rsplit(".", 1)[-1], (Inert,), {"class_name": f"{module}.{name}"})
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage: ("storage", type, key, device, numel[, view])."""
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _StorageType)):
            return super().persistent_load(pid)
        _, kind, key, _, numel, *view = pid
        if not isinstance(key, str) or not isinstance(numel, int) or any(view):
            return super().persistent_load(pid)
        return self._storages(key, kind.dtype, numel)


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_autograd: Any) -> Tensor:
    """A tensor over part of a storage, after checking that it is a part."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError("a tensor must be described by a storage and whole numbers")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.numel:
        raise ValueError(f"a tensor of shape {tuple(size)} reaches beyond its storage of {storage.numel} numbers")
    return torch.empty(0, dtype=storage.dtype).set_(storage.data, offset, tuple(size), tuple(stride))


def _rebuild_parameter(data: Any, *_autograd: Any) -> Any:
    return data


def _dictionary(*_factory: Any) -> dict[Any, Any]:
    """A defaultdict without its factory."""
    return {}


def _as_text(*parts: Any) -> str:
    return "/".join(str(part) for part in parts)


def _table() -> dict[str, Any]:
    table: dict[str, Any] = {
        "collections.defaultdict": _dictionary,
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch.nn.parameter.Parameter": _rebuild_parameter,
        "torch.Size": tuple,
        "torch.device": _as_text,
    }
    table |= {f"pathlib.{kind}Path": _as_text for kind in ("", "Posix", "Windows", "Pure", "PurePosix", "PureWindows")}
    table |= {f"torch.{name}Storage": _StorageType(dtype) for name, dtype in _DTYPES.items()}
    table |= {str(dtype): str(dtype) for dtype in _DTYPES.values()}
    return table


_TABLE = _table()
