"""Options read from signatures: name, type, default, unit, range and help of every option of a part.

A part's options are the keyword-only parameters of its signature. Their annotations give types and ranges, which
pydantic checks; the `Args:` of its docstring give the help. Nothing is written twice.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, Unit
from pydantic import TypeAdapter, ValidationError

from snnlab.errors import WrongOption

REQUIRED = inspect.Parameter.empty

_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))

T = TypeVar("T")
FromRun = Annotated[T, "supplied by the run"]
"""Marks a parameter that the run supplies (`dt`, `units`, `steps`): open to Python, absent from configuration."""

Part = Annotated[Any, "a part"]
"""An option that is itself a part, named after its family: a name, a dict of a name and options, or a callable."""

PositiveInt = Annotated[int, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
Fraction = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Option:
    """One option of a part, as help texts, configuration and errors show it."""

    name: str
    annotation: Any
    default: Any
    help: str

    @property
    def marks(self) -> tuple[Any, ...]:
        """What the annotation says beside the type: bounds, a unit, FromRun, Part."""
        return tuple(_marks(self.annotation))

    @property
    def supplied(self) -> bool:
        """Whether the run gives it, not the user."""
        return _mentions(self.annotation, "supplied by the run")

    @property
    def is_part(self) -> bool:
        """Whether it is a part of its own."""
        return _mentions(self.annotation, "a part")

    @property
    def nullable(self) -> bool:
        """Whether null is a value of it."""
        return self.default is None or type(None) in get_args(self.annotation)

    @property
    def unit(self) -> str:
        """The unit, "" where it has none."""
        return next((mark.unit for mark in self.marks if isinstance(mark, Unit)), "")

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @property
    def type(self) -> str:
        """The type in words: `number > 0 in ms, or a list of them`."""
        return describe(self.annotation)

    def check(self, value: Any, where: str) -> None:
        """Refuse a value of another type or out of range.

        Raises: WrongOption, naming `where`, the value, the type and the range.
        """
        if self.is_part or (self.supplied and not isinstance(value, _PLAIN)):
            return  # a part is checked by its family, an object that the run hands over by whoever uses it
        if hasattr(
            value, "tolist"
        ):  # a tensor or an array; where tensors are named as such, their shape is the part's affair
            value = value.flatten().tolist() if value.ndim > 1 and not _all_plain(self.annotation) else value.tolist()
        if _adapter_accepts(self.annotation, value):
            return
        raise WrongOption(f"{where}: {value!r}. It takes {self.type}.{self._advice(value)}")

    def _advice(self, value: Any) -> str:
        choices = [choice for choice in _leaves(self.annotation) if isinstance(choice, str)]
        if choices and isinstance(value, str):
            return nearest(value, choices)
        default = "" if self.required or self.default is None else f" The default is {shown(self.default)}."
        return default


def options(part: Callable[..., Any]) -> dict[str, Option]:
    """The options of a part by name: those of its keyword-only parameters, in their order."""
    return dict(_options(part))


@cache
def _options(part: Callable[..., Any]) -> dict[str, Option]:
    helps = help_of_arguments(inspect.getdoc(part) or "")
    if isinstance(part, type):  # help of options that a base class brings, the nearest first
        for base in part.__mro__[1:-1]:
            helps = {**help_of_arguments(inspect.cleandoc(base.__doc__ or "")), **helps}
    return {
        p.name: Option(p.name, _evaluated(p.annotation, part), p.default, helps.get(p.name, ""))
        for p in inspect.signature(part).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _evaluated(annotation: Any, part: Callable[..., Any]) -> Any:
    """An annotation that `from __future__ import annotations` left as text.

    Those of other parameters are left alone: they may name what is imported for types only.
    """
    if not isinstance(annotation, str):
        return annotation
    function = part.__init__ if isinstance(part, type) else inspect.unwrap(part)  # type: ignore[misc]
    return eval(annotation, getattr(function, "__globals__", {}))


def settings(part: Callable[..., Any]) -> dict[str, Option]:
    """The options that a user sets: all but those that the run supplies."""
    return {name: option for name, option in options(part).items() if not option.supplied}


def help_of_arguments(docstring: str) -> dict[str, str]:
    """The text of each `name: text` line under `Args:`."""
    found = re.search(r"^Args:[ ]*\n((?:[ ]+.*\n|\n)*)", docstring + "\n", re.MULTILINE)
    entries: dict[str, str] = {}
    name = ""
    for line in (found[1] if found else "").splitlines():
        entry = re.match(r"[ ]{2,4}(\w+): (.*)$", line)
        if entry:
            name = entry[1]
            entries[name] = entry[2].strip()
        elif name and line.strip():
            entries[name] += " " + line.strip()
    return entries


def first_line(part: Callable[..., Any]) -> str:
    """The first line of a part's docstring."""
    return (inspect.getdoc(part) or "").partition("\n")[0]


def nearest(word: str, words: Iterable[str]) -> str:
    """` Did you mean …?`, or the list of what there is."""
    words = sorted(words)
    matches = difflib.get_close_matches(word, words, n=3)
    swapped = [match for match in matches if sorted(match) == sorted(word)]  # lfi: lif rather than li
    if matches:
        return f" Did you mean {(swapped or matches)[0]}?"
    return f" There is {', '.join(words)}." if words else ""


def shown(value: Any) -> str:
    """A default as the command line would take it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list | tuple) else str(value)


def describe(annotation: Any) -> str:
    """A type and its range in words."""
    annotation, marks = _split(annotation)
    if "a part" in marks:
        return "the name of a part"
    members = _members(annotation)
    lists = [get_args(kind)[0] for kind in members if get_origin(kind) in (list, Sequence)]
    plain = [kind for kind in members if get_origin(kind) not in (list, Sequence)]
    words = [_noun(kind) for kind in plain if kind is not type(None)]
    text = " or ".join(dict.fromkeys(words)) + _range(marks) if words else ""
    if lists:
        inner = describe(lists[0])
        text = (
            f"{text}, or a list of them"
            if text and inner.split()[0] in text
            else f"{text}{' or ' if text else ''}a list of {inner}"
        )
    return text + (" or null" if type(None) in members else "")


_NOUNS = {float: "a number", int: "a whole number", bool: "true or false", str: "text", Any: "any value"}


def _noun(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is Annotated:
        return describe(kind)
    if get_origin(kind) in (dict, Mapping):
        return "a dict"
    return _NOUNS.get(kind, getattr(kind, "__name__", str(kind)))


def _range(marks: Iterable[Any]) -> str:
    words, unit = [], ""
    for mark in marks:
        if isinstance(mark, Unit):
            unit = f" in {mark.unit}"
        for sign, field in ((">", "gt"), (">=", "ge"), ("<", "lt"), ("<=", "le")):
            if isinstance(mark, Gt | Ge | Lt | Le | Interval) and getattr(mark, field, None) is not None:
                words.append(f"{sign} {getattr(mark, field):g}")
    return unit + (", " if unit and words else " " if words else "") + " and ".join(words)


def _marks(annotation: Any) -> Iterable[Any]:
    _, marks = _split(annotation)
    return marks


def _mentions(annotation: Any, mark: str) -> bool:
    """Whether a mark is on a type, or on a member of a union: `Part | None` is a part."""
    inner, marks = _split(annotation)
    union = get_origin(inner) in (Union, types.UnionType)
    return mark in marks or (union and any(_mentions(kind, mark) for kind in get_args(inner)))


def _split(annotation: Any) -> tuple[Any, list[Any]]:
    if get_origin(annotation) is Annotated:
        inner, marks = _split(get_args(annotation)[0])
        return inner, [*marks, *annotation.__metadata__]
    return annotation, []


def _members(annotation: Any) -> list[Any]:
    """The members of a union, without those that plain data cannot be (tensors, callables)."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [kind for kind in members if _is_plain(kind)] or [Any]


def _all_plain(annotation: Any) -> bool:
    inner, _ = _split(annotation)
    members = get_args(inner) if get_origin(inner) in (Union, types.UnionType) else (inner,)
    return all(_is_plain(kind) for kind in members)


def _is_plain(kind: Any) -> bool:
    inner, _ = _split(kind)
    if inner is Any:
        return True
    return not (isinstance(inner, type) and inner.__module__ != "builtins") and get_origin(inner) is not Callable


def _leaves(annotation: Any) -> list[Any]:
    inner, _ = _split(annotation)
    return [choice for kind in _members(inner) if get_origin(kind) is Literal for choice in get_args(kind)]


def plain_type(annotation: Any) -> Any:
    """The annotation as pydantic can check plain data with: bounds moved to the numbers inside unions and lists."""
    inner, marks = _split(annotation)
    bounds = [mark for mark in marks if isinstance(mark, Gt | Ge | Lt | Le | Interval)]
    kinds = [_bounded(kind, bounds) for kind in _members(inner)]
    return Union[tuple(kinds)] if len(kinds) > 1 else kinds[0]  # noqa: UP007 - their number is known at run time only


def _bounded(kind: Any, bounds: list[Any]) -> Any:
    if get_origin(kind) in (list, Sequence):
        return list[_bounded(plain_type(get_args(kind)[0]), bounds)]  # type: ignore[misc]
    if kind in (float, int) and bounds:
        return Annotated[(kind, *bounds)]
    return plain_type(kind) if get_origin(kind) in (Annotated, Union, types.UnionType) else kind


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(plain_type(annotation))


def _adapter_accepts(annotation: Any, value: Any) -> bool:
    if not _finite(value):
        return False
    try:  # strict JSON: 3 is a float, "3" and true are not, and a tuple is a list
        _adapter(annotation).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError):
        return False
    return True


def _finite(value: Any) -> bool:
    """Whether no number in it is NaN, infinite, or too large for a float."""
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:
        return False
