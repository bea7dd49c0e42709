"""Options given as Python values, in the words of the command line: one way from there on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Quote, QuotedString

from snnlab.errors import WrongOption
from snnlab.training.config import SEVERAL

_KEY = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_UNQUOTED = re.compile(r"(?!(true|false|null|nan|inf)$)[a-z_][a-z0-9_./-]*", re.IGNORECASE)


def in_words(options: Mapping[str, Any]) -> list[str]:
    """Options as words.

    {"neuron": "cuba", "optimizer": {"lr": 0.01}}     neuron=cuba optimizer.lr=0.01
    {"neuron": {"name": "cuba", "tau_mem": 5}}        neuron.name=cuba neuron.tau_mem=5
    {"regularizer": {"rate_upper": {"bound": 0.2}}}   regularizer=[rate_upper] regularizer.rate_upper.bound=0.2

    A text is that text whatever stands in it: `"1e-3"` is no number, `"a,b"` no sweep, `"${seed}"` no reference.

    Args:
        options: names, with dots or as nested dicts, and their values.
    Raises: WrongOption, for what is no name or no plain value, and for an option that is given twice.
    """
    found: dict[str, str] = {}
    for key, value in flat(_with_choices(options)):
        if key in found:
            raise WrongOption(f"{key}: it is given twice. Leave one of them out.")
        found[key] = f"{key}={_written(key, value)}"
    return list(found.values())


def flat(options: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Options one by one, those in dicts by their names with dots.

    Raises: WrongOption, for what is no name.
    """
    for name, value in options:
        if not _KEY.fullmatch(str(name)):
            raise WrongOption(f"{name}: it is no option. It takes names with dots, as in {{'neuron.tau': 3}}.")
        if isinstance(value, Mapping):
            yield from flat((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield str(name), _plain(value)


def _with_choices(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A dict of several parts chooses them as well."""
    for name, value in options.items():
        if name in SEVERAL and isinstance(value, Mapping):
            yield name, list(value)
            yield name, {part: {} if own is None else own for part, own in value.items()}
        else:
            yield name, value


def _plain(value: Any) -> Any:
    """Numbers of numpy, paths, tuples and ranges as what a configuration holds."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PathLike):
        return str(fspath(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)
    return [_plain(item) for item in value] if several else value


def _written(key: str, value: Any) -> str:
    """A plain value as Hydra reads it back."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_written(key, item) for item in value)}]"
    if isinstance(value, dict) and all(map(_KEY.fullmatch, value)):
        return f"{{{', '.join(f'{name}: {_written(key, item)}' for name, item in value.items())}}}"
    raise WrongOption(
        f"{key}: {value!r:.80}. It takes plain values: numbers, texts, True, False, None, and lists and dicts of these."
    )


def _text(text: str) -> str:
    if _UNQUOTED.fullmatch(text):
        return text
    # `${…}` would be replaced by what it refers to; backslashes before it are doubled, as OmegaConf halves them.
    literal = re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", text)
    return QuotedString(literal, Quote.single).with_quotes()
