"""Text files of a run's folder, which may be a stranger's: read as plain data, within limits, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snnlab.errors import BadData

LARGEST = 1 << 20
"""Bytes of a text file; a config.yaml has some thousands."""
DEEPEST = 40
LONGEST = 256
"""Bits of a whole number."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, and what turns the direction of text. Tabs and ends of lines may be in notes."""


class Unfit(Exception):
    """Why data are not taken: they are not plain, or claim more than there is."""


def read_text(path: Path, most: int = LARGEST) -> str:
    """What a text file holds.

    Raises: OSError, when there is none; BadData, when it is something else than a file, too large, or no text.
    """
    try:
        # A named pipe would be waited for, and a device may never end: what it is, is asked of the open file.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            content = file.read(most + 1) if stat.S_ISREG(kind) else None
        if content is None:
            raise BadData(f"{path}: it is no regular file.")
        if len(content) > most:
            raise BadData(f"{path}: it has more than {most:,} bytes, the most that are read.")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in _NOT_THERE:
            raise
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BadData(f"{path}: it cannot be read ({why}).") from error


def read_json(path: Path) -> Any:
    """The plain data of a JSON file.

    Raises: OSError, when there is none; BadData, when it is damaged.
    """
    return _plain(path, json.loads)


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file. Tags that would make objects are refused, and so are aliases, which multiply.

    Raises: OSError, when there is none; BadData, when it is damaged.
    """
    return _plain(path, lambda text: yaml.load(text, _Tree))


def hold(value: Any, most: int, leaves: tuple[type, ...] = ()) -> None:
    """Hold data against what a run writes: text, numbers, flags and nothing, in lists and dicts.

    Args:
        value: the data.
        most: how many values and characters there may be, each counted as often as it is used.
        leaves: other types that are taken.
    Raises: Unfit.
    """
    rest: list[tuple[Any, int]] = [(value, 0)]
    while rest:
        item, depth = rest.pop()
        most -= 1 + (len(item) if isinstance(item, str) else 0)
        if most < 0 or depth > DEEPEST:
            raise Unfit("its data are nested too deeply, or are too many")
        if isinstance(item, Mapping):
            if not all(isinstance(key, str | int) for key in item):
                raise Unfit("a key is no text")
            if any("\n" in key for key in item if isinstance(key, str)):
                raise Unfit("a key has several lines")
            rest += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list | tuple) and not isinstance(item, leaves):
            rest += [(part, depth + 1) for part in item]
        else:
            _hold_leaf(item, leaves)


def _hold_leaf(item: Any, leaves: tuple[type, ...]) -> None:
    if isinstance(item, str):
        if _CONTROL.search(item):
            raise Unfit("a text has control characters")
    elif isinstance(item, int) and item.bit_length() > LONGEST:
        raise Unfit("a number is too long")
    elif not isinstance(item, (int, float, type(None), *leaves)):
        raise Unfit(f"it holds a {type(item).__name__}, which is no plain data")


class _Tree(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """A few lines of aliases can stand for terabytes; what we write has none."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def _plain(path: Path, parse: Any) -> Any:
    content = read_text(path)
    try:
        value = parse(content)
        hold(value, 1_000_000 + LARGEST)
    except Unfit as error:
        raise BadData(f"{path}: {error}.") from error
    except (ValueError, TypeError, OverflowError, RecursionError, yaml.YAMLError) as error:
        why = f"it is damaged, or holds more than plain data ({_place(error)})"
        raise BadData(f"{path}: it cannot be read: {why}.") from error
    return value


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or error
    line = getattr(mark, "lineno", None) or getattr(mark, "line", -1) + 1
    return f"line {line}" if line else type(error).__name__
