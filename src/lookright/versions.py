"""The software versions that a run was made with."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("lookright", "torch", "torchvision", "timm", "lightning", "numpy")


def versions() -> dict[str, Any]:
    """Versions of Python and the packages, the system, and the source's git revision.

    `revision` is None and `modified` is absent if lookright does not run from a git checkout.
    """
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    found["platform"] = f"{platform.system()} {platform.machine()}"
    found["revision"] = _git("rev-parse", "HEAD") if _git("ls-files", Path(__file__).name) else None
    if found["revision"]:
        found["modified"] = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return found


def _git(*arguments: str) -> str | None:
    # A repository may name a program to watch its files, which git would start.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(Path(__file__).parent), *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip()
