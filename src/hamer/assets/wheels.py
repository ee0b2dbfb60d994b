"""Download a Python package's wheel, as a file, with pip, which knows the index, proxy and certificates in use."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hamer.assets.manifest import Wheel
from hamer.errors import AssetError

_log = logging.getLogger(__name__)


def pip_command() -> list[str] | None:
    """The command line that starts a pip, or None.

    In this order: pip of this environment; the pip that Python carries for `ensurepip` (environments made by uv have no
    pip of their own); uv, which can run one.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    bundled = _bundled_pip()
    if bundled is not None:
        return [sys.executable, str(bundled / "pip")]  # a wheel is a zip, from which Python runs the package
    uv = shutil.which("uv")
    return [uv, "tool", "run", "pip"] if uv else None


def _bundled_pip() -> Path | None:
    folders = []
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip is not None and ensurepip.origin:
        folders.append(Path(ensurepip.origin).parent / "_bundled")
    distribution = sysconfig.get_config_var("WHEEL_PKG_DIR")  # Linux distributions keep the wheels here
    if distribution:
        folders.append(Path(distribution))
    wheels = [wheel for folder in folders if folder.is_dir() for wheel in sorted(folder.glob("pip-*.whl"))]
    return wheels[-1] if wheels else None


@contextmanager
def downloaded_wheel(source: Wheel, folder: Path, *, timeout: float = 900.0) -> Iterator[Path]:
    """The path of the wheel, which exists inside the `with` block only (in a temporary folder below `folder`)."""
    pip = pip_command()
    if pip is None:
        raise AssetError(
            f"{source.requirement}: no pip here: not in this environment, not in this Python, no uv. Install pip, or "
            f"get the wheel on another machine with `{' '.join(_arguments(source, Path()))}` and give it with --from."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=folder) as temporary:
        _run([*pip, *_arguments(source, Path(temporary))[1:]], source, timeout)
        wheels = list(Path(temporary).glob("*.whl"))
        if len(wheels) != 1:
            raise AssetError(
                f"{source.requirement}: expected one wheel from pip, got {[wheel.name for wheel in wheels]}."
            )
        yield wheels[0]


def _arguments(source: Wheel, folder: Path) -> list[str]:
    # Platform and Python version are named, so that any interpreter on any system gets the same file, one of those that
    # exist: only data is taken from it.
    return [
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        f"--platform={source.platform}",
        f"--python-version={source.python_version}",
        "--implementation=cp",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--timeout=20",
        f"--dest={folder}",
        source.requirement,
    ]


def _run(command: list[str], source: Wheel, timeout: float) -> None:
    _log.info("running %s", " ".join(command))
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise AssetError(f"{source.requirement}: pip did not finish within {timeout:.0f} s.") from None
    except OSError as error:
        raise AssetError(f"{source.requirement}: pip could not be started ({error}).") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise AssetError(f"{source.requirement}: pip ended with status {done.returncode}: {' | '.join(lines[-3:])}")
