"""What a checkpoint holds, found out without making any of it: plain data, and tensors that lie in the file."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from snnlab.training.plain import Unfit, hold

LARGEST = 1 << 25
"""Bytes of a checkpoint's description: all that is not numbers of tensors."""
REPEATED = 1 << 20
"""Numbers of a tensor of which the file holds fewer."""

_WORDS = (
    "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
    "EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS "
    "BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL REDUCE BINPERSID"
)
_CODES = [getattr(pickle, word)[0] for word in _WORDS.split()]


class Other(Exception):
    """More than plain data and tensors."""


class _Storage(NamedTuple):
    numbers: int
    size: int  # of a number, in bytes


class _Tensor(NamedTuple):
    shape: tuple[int, ...]


def check(path: Path) -> None:
    """Hold a checkpoint against what `torch.save` makes of plain data and tensors.

    `weights_only` alone runs no code, and still makes whatever size a file claims, and calls what has no business in a
    checkpoint. Here every number of every tensor must lie in the file, uncompressed.

    Args:
        path: a regular file.
    Raises: Other, when it holds anything else; Unfit, when it claims more than there is; RuntimeError, when it is
        no archive of torch.
    """
    reader = torch._C.PyTorchFileReader(str(path))
    sizes = _sizes(reader, path)
    if sum(sizes.values()) > path.stat().st_size:
        raise Unfit(f"it has {path.stat().st_size:,} bytes and says that it holds {sum(sizes.values()):,}")
    if "constants.pkl" in sizes:
        raise Other("a program of TorchScript")
    if sizes["data.pkl"] > LARGEST:
        raise Unfit(f"it describes its data in {sizes['data.pkl']:,} bytes, more than the {LARGEST:,} that are read")
    words = reader.get_record("data.pkl")
    hold(_Reading(io.BytesIO(words), sizes).load(), 1_000_000 + 16 * len(words), leaves=(_Tensor,))


def _sizes(reader: torch._C.PyTorchFileReader, path: Path) -> dict[str, int]:
    """The bytes of each record, uncompressed, as torch sees them."""
    if hasattr(reader, "get_record_size"):
        return {name: reader.get_record_size(name) for name in reader.get_all_records()}
    with zipfile.ZipFile(path) as archive:  # older versions of torch do not tell
        return {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}


class _Reading(pickle._Unpickler):
    """Goes through a pickle with stand-ins for tensors; codes that torch does not write are unknown to it."""

    dispatch = {code: pickle._Unpickler.dispatch[code] for code in _CODES}
    stack: list[Any]

    def __init__(self, file: io.BytesIO, sizes: Mapping[str, int]) -> None:
        super().__init__(file)
        self._sizes = sizes

    def load(self) -> Any:
        """The data, with stand-ins.

        Raises: Other, Unfit.
        """
        try:
            return super().load()
        except (Other, Unfit):
            raise
        except Exception as error:
            raise Other(f"it cannot be followed ({type(error).__name__})") from error

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of what torch writes; nothing is imported."""
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        raise Other(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage: as many numbers as its record has."""
        kind, dtype, key, _, numbers = pid
        size = dtype.itemsize
        if kind != "storage" or type(numbers) is not int or self._sizes.get(f"data/{key}") != numbers * size:
            raise Unfit(f"a tensor claims {numbers} numbers that are not there")
        return _Storage(numbers, size)

    def load_build(self) -> None:
        """The version numbers that torch notes beside the names of weights."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, OrderedDict) or not isinstance(state, dict) or {*state} - {"_metadata"}:
            raise Other("attributes of an object")
        for versions in state.values():
            if not isinstance(versions, dict) or not all(isinstance(each, dict) for each in versions.values()):
                raise Other("attributes of an object")
            hold(versions, 16 * LARGEST, leaves=())

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any = None,
    more: Any = None,
) -> _Tensor:
    """A tensor whose every number is in its storage."""
    whole = all(type(number) is int and number >= 0 for number in (offset, *shape, *strides))
    if not isinstance(storage, _Storage) or not whole or len(shape) != len(strides):
        raise Other("a tensor of no shape")
    if type(requires_grad) is not bool or hooks or more or not isinstance(dtype, torch.dtype | None):
        raise Other("a tensor with more to it")
    there = storage.numbers * storage.size // (dtype.itemsize if dtype else storage.size)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    numbers = math.prod(shape)
    # Of a tensor that was expanded, many numbers are one in the file.
    if numbers > 0 and (last >= there or numbers > max(there, REPEATED)):
        raise Unfit(f"a tensor of shape {tuple(shape)} claims numbers that are not there")
    return _Tensor(tuple(shape))


def _parameter(tensor: Any, requires_grad: Any, hooks: Any) -> _Tensor:
    if not isinstance(tensor, _Tensor) or type(requires_grad) is not bool or hooks:
        raise Other("a parameter with hooks")
    return tensor


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "UntypedStorage"): torch.uint8,
    ("torch", "Size"): tuple,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("__builtin__", "set"): list,
    ("builtins", "set"): list,
}

_STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
