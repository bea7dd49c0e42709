"""Parts that are classes: options declared as a dataclass declares fields, `__init__` and checks made from them."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, dataclass_transform, get_origin

from snnlab.errors import WrongOption
from snnlab.options import nearest, options
from snnlab.registry import build, check_value, family_of, snake_case


@dataclass_transform(kw_only_default=True, eq_default=False)
class Declared:
    """A part whose options are its annotated public class attributes, its own before those of its bases.

    All options are keyword-only. Values are checked when an instance is made. An option that is itself a part
    (`surrogate: Part = "atan"`) is built from its name, or from a dict of its name and options.

    Raises: WrongOption, naming option, value, type and range.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        parameters: dict[str, inspect.Parameter] = {}
        for base in cls.__mro__:
            if issubclass(base, Declared):
                parameters = parameters | {k: v for k, v in _declared(base).items() if k not in parameters}
        # A class may give an option of its base another default, without its type again.
        parameters = {name: parameter.replace(default=_default(cls, name)) for name, parameter in parameters.items()}
        setattr(cls, "__signature__", inspect.Signature([*parameters.values()]))  # noqa: B010 - mypy knows no such attribute

    def __init__(self, **given: Any) -> None:
        super().__init__()
        where = snake_case(type(self).__name__)
        known = options(type(self))
        for name in given:
            if name not in known:
                raise WrongOption(f"{where}.{name}: there is no such option.{nearest(name, known)}")
        for name, option in known.items():
            if name not in given and option.required:
                raise WrongOption(f"{where}.{name}: it must be given: {option.type}.")
            value = given.get(name, option.default)
            if name in given:
                check_value(option, value, f"{where}.{name}")
            setattr(self, name, build(family_of(name), value) if option.is_part and value is not None else value)


def _declared(cls: type) -> dict[str, inspect.Parameter]:
    fields = {}
    for name, annotation in inspect.get_annotations(cls, eval_str=True).items():
        if name.startswith("_") or get_origin(annotation) is ClassVar:  # type: ignore[comparison-overlap]
            continue
        fields[name] = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    return fields


def _default(cls: type, name: str) -> Any:
    bases = (base for base in cls.__mro__ if issubclass(base, Declared) and name in base.__dict__)
    default = next((base.__dict__[name] for base in bases), inspect.Parameter.empty)
    return getattr(default, "default", default)  # a descriptor that took the default's place
