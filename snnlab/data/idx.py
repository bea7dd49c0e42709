"""The idx format of MNIST and its like: a header of sizes, then one byte per value."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from snnlab.errors import BadData

UNSIGNED_BYTES = 0x08
LARGEST = 1 << 30
"""Bytes of values that one file may hold: twenty times the largest known."""
MOST_SIZES = 32  # of an array in NumPy 1
CHUNK = 1 << 20


def read_idx(path: str | Path, *, sha256: str | None = None, advice: str = "") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The values of an idx file of unsigned bytes, plain or, where only `path`.gz exists, compressed.

    File: 0 0 8 d, then d sizes of 4 bytes, big-endian, then the values, the last index fastest.

    Shape: as the header says.
    Args:
        path: the file, without .gz.
        sha256: what the uncompressed bytes must hash to; not compared by default.
        advice: what the reader of an error can do, a sentence.
    Raises: BadData, when the file is missing, is not idx, is not as long as its header says, or is another one.
    """
    path = _existing(Path(path), advice)
    try:
        with _open(path) as file:
            header, shape = _header(file)
            content = _values(file, header, math.prod(shape), path)
    except (OSError, EOFError, zlib.error, _Wrong) as error:
        reason = getattr(error, "strerror", None) or error  # what the system says of a file names it once more
        raise BadData(f"{path}: {reason}. {advice}".rstrip()) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise BadData(f"{path}: its content is not that of the published file (another sha256). {advice}".rstrip())
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


class _Wrong(Exception):
    """What is wrong with a file, said without its name."""


def _existing(path: Path, advice: str) -> Path:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise BadData(f"{path}: there is no such file, nor {path.name}.gz. {advice}".rstrip())


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")


def _header(file: BufferedIOBase) -> tuple[bytes, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        raise _Wrong(f"it begins with {magic.hex(' ') or 'nothing'}, an idx file of unsigned bytes with 00 00 08")
    if magic[3] > MOST_SIZES:
        raise _Wrong(f"its header announces {magic[3]} sizes, more than the {MOST_SIZES} that an array may have")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _Wrong(f"it ends within its header, which announces {magic[3]} sizes")
    return magic + sizes, struct.unpack(f">{magic[3]}I", sizes)


def _values(file: BufferedIOBase, header: bytes, claimed: int, path: Path) -> bytearray:
    """Header and values, never more than claimed; memory grows with what is there, not with what is claimed."""
    whole = len(header) + claimed
    if path.suffix != ".gz" and path.stat().st_size != whole:
        raise _Wrong(f"its header announces {whole:,} bytes, but it has {path.stat().st_size:,}")
    if claimed > LARGEST:
        raise _Wrong(f"its header announces {claimed:,} values, more than the {LARGEST:,} that are read")
    content = bytearray(header)
    while chunk := file.read(min(CHUNK, whole + 1 - len(content))):
        content += chunk
    if len(content) != whole:
        came = "more" if len(content) > whole else f"{len(content):,}"
        raise _Wrong(f"its header announces {whole:,} bytes, but it has {came}")
    return content
