"""Options as a table shows them: their names with dots, their values as the command line would take them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from snnlab.errors import WrongOption
from snnlab.options import nearest

ABSENT = "-"
"""Shown where a run has no such option, as a neuron that has no tau."""
UNKNOWN = "?"
"""Shown where an option of a job cannot be known before it has begun."""

_SEVERAL = ("regularizer", "metric", "logger", "callback")


def flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Options one by one, as users name them: `neuron` is its name, `neuron.tau` one of its options.

    Args:
        config: a complete configuration.
        above: the name of what it lies in, with a dot behind it.
    """
    for key, value in config.items():
        name = f"{above}{key}"
        if not isinstance(value, Mapping):
            yield name, value
            continue
        if name in _SEVERAL:
            yield name, [*map(str, value)]
        elif isinstance(value.get("name"), str):
            yield name, value["name"]
            value = {own: item for own, item in value.items() if own != "name"}
        yield from flat(value, f"{name}.")


def plain_name(name: str) -> str:
    """An option's name in one way: `neuron` for `neuron.name`, `neuron/name` and `++neuron`."""
    return name.strip().lstrip("+~").replace("/", ".").removesuffix(".name")


def of_words(words: tuple[str, ...]) -> dict[str, Any]:
    """Options from the words of a command line; only what stands there."""
    pairs = (word.partition("=") for word in words if "=" in word and not word.startswith("hydra"))
    return {plain_name(name): parsed(value) for name, _, value in pairs}


def parsed(text: str) -> Any:
    """A value as a user writes it: a number, true, null, a text with or without quotes, or a list of these."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]") and "[" not in text[1:]:
        return [parsed(item) for item in text[1:-1].split(",") if item.strip()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false", "null"):
        return json.loads(text)
    for kind in (int, float) if len(text) < 40 else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def shown(value: Any) -> str:
    """A value in one line: [32,64], null, 0.001; 10 for 10.0, so that equal numbers are equal texts."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{printable(str(key))}:{shown(item)}' for key, item in value.items())}}}"
    return printable(str(value))


def printable(text: str) -> str:
    """A text in one line and without what a terminal obeys: it may be a stranger's."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else ascii(c)[1:-1] for c in text)


def as_number(value: Any) -> float | None:
    """A value as a finite number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def number(value: float | None) -> str:
    """A number of a table: four digits behind the point, or as a power of ten where that says nothing."""
    if value is None or math.isnan(value):
        return "-" if value is None else "nan"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.3e}" if math.isfinite(value) else str(value)


def known_name(name: str, known: Mapping[str, Any], where: str) -> str:
    """A name that a user gave, as the runs have it.

    Raises: WrongOption, where none of them has it, with the nearest.
    """
    found = plain_name(name)
    if found in known:
        return found
    within = [key for key in known if key.endswith(f".{found}")]
    advice = f" Did you mean {within[0]}?" if within else nearest(found, known)
    raise WrongOption(f"{where} {name}: none of the runs has such an option.{advice}")
