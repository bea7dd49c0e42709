"""Every file that snnlab writes: under a temporary name beside the target, flushed to disk, then renamed.

A reader sees the old file or the new one, never a part of it, whenever the process is killed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}\.part")


@contextmanager
def replacing(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file open for writing that takes the place of `path` when the block ends well, and leaves no trace otherwise.

    Args:
        path: the file to write; missing folders above it are made.
        mode: "wb" for bytes, "w" for text in UTF-8.
    Raises: OSError, when the disk is full or the folder cannot be written to; `path` is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if "b" in mode else "utf-8"
    # The temporary name ends in .part, so that nobody who lists a folder of checkpoints takes it for one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, mode.replace("w", "x"), encoding=encoding) as file:  # x: never somebody else's file
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_new(path: str | Path, text: str) -> None:
    """Write `text` to a file that nobody else made first, whole or not at all.

    Raises: FileExistsError, when there is one already; of several processes at once one succeeds.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(*folders: Path) -> None:
    """Remove what killed processes left in folders that nobody else writes to now."""
    for folder in folders:
        for path in folder.glob(".*.part"):
            if _UNFINISHED.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, it never takes the place of a file
    except FileExistsError:
        if not os.path.samefile(temporary, path):  # a network's file system may repeat what has succeeded
            raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        with open(path, "x", encoding="utf-8") as file:  # a file system without links; only a crash leaves half of it
            file.write(temporary.read_text(encoding="utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replacing(path, "wb") as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with replacing(path, "w") as file:
        file.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` as JSON, whole or not at all. NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
