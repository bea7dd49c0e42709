"""The contract of neurons, and the one loop over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from annotated_types import Gt, Unit
from torch import Tensor, nn

from snnlab.errors import WrongOption
from snnlab.neurons.constants import (
    AtLeast,
    Constant,
    ConstantOption,
    LearnedForm,
    as_tensor,
    is_constant,
    learned,
    spread,
)
from snnlab.options import FromRun, Part, nearest, options
from snnlab.parts import Declared
from snnlab.registry import snake_case
from snnlab.surrogates import heaviside

HOOKS = {"constants", "step", "output", "rest", "noise_gain", "check"}


class Sequence(NamedTuple):
    """What a neuron, or a layer, did over a sequence."""

    outputs: Tensor
    """(T, B, *units): what the next layer sees."""
    state: Any
    """The neuron's State after the last step, each field (B, *units)."""
    records: dict[str, Tensor]
    """The recorded fields of the state after each step, (T, B, *units), differentiable."""


class Recurrence(Protocol):
    """Outputs of the step before, (B, *units), to the currents they cause, (B, *units)."""

    def __call__(self, outputs: Tensor, /) -> Tensor:
        """The currents of one step."""


class _Narrow:
    """Recurrent weights of half precision, given outputs of float32."""

    def __init__(self, recurrent: Recurrence, dtype: torch.dtype) -> None:
        self.recurrent, self.dtype = recurrent, dtype

    def __call__(self, outputs: Tensor, /) -> Tensor:
        return self.recurrent(outputs.to(self.dtype))


class Neuron(Declared, nn.Module):
    """A layer of neurons without its weights: currents (T, B, *units) to outputs (T, B, *units).

    A neuron declares its options and its `State`, and writes `constants` and `step`; it may write `output`, `rest`,
    `noise_gain` and `check`. Nothing else can be overridden: the loop, the state and the learned constants are the same
    for all. The state is explicit, so that no reset can be forgotten.

    Args:
        learn: constants that are trained, each in a form that keeps it in its range.
        share: how many values a learned constant has: one for the layer, one per channel, one per unit.
        initial: the state before the first step: at rest, or learned, one value per unit.
        units: shape of the units; the layer tells it.
        dt: length of a step.
        backend: what runs the loop.
    """

    State: ClassVar[Any]
    delay: ClassVar[int] = 0
    """Steps from a current to the earliest output that it can cause."""
    clock: ClassVar[Literal["ms", "steps"]] = "ms"
    """Whether the state decays by milliseconds, or by steps whatever their length."""
    step: ClassVar[Callable[..., Any]]

    learn: list[str] = []
    share: Literal["layer", "channel", "unit"] = "layer"
    initial: Literal["rest", "learned"] = "rest"
    units: FromRun[list[int] | None] = None
    dt: FromRun[Annotated[float, Gt(0), Unit("ms")]] = 1.0
    backend: FromRun[Part] = "reference"

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__module__ != __name__:
            _refuse_overrides(cls)
        for name, option in options(cls).items():
            if is_constant(option) and name in cls.__dict__:
                setattr(cls, name, ConstantOption(name, cls.__dict__[name]))

    def __init__(self, **given: Any) -> None:
        where = snake_case(type(self).__name__)
        for name, value in given.items():
            if isinstance(value, nn.Parameter):
                raise WrongOption(
                    f"{where}.{name}: a torch Parameter. It takes numbers or a tensor; to train it, learn=[{name}]."
                )
        super().__init__(**given)
        self.forms: dict[str, LearnedForm] = {}
        known = options(type(self))
        self.units = None if self.units is None else list(self.units)
        self._hold_bounds(where)
        if self.units is not None:
            for name, option in known.items():
                if is_constant(option):
                    spread(as_tensor(getattr(self, name)), self.units, f"{where}.{name}")
        for name in self.learn:
            if name not in known or not is_constant(known[name]):
                constants = [other for other, option in known.items() if is_constant(option)]
                raise WrongOption(f"{where}.learn: {name!r} is no constant of it.{nearest(name, constants)}")
            self.forms[name] = LearnedForm(self, known[name])
            self.register_parameter(f"{name}_raw", learned(self, known[name], getattr(self, name), f"{where}.{name}"))
        if self.initial == "learned":
            self._learn_initial_state(where)
        self.check()

    def constants(self) -> dict[str, Constant]:
        """The constants of a step by name, made from the options once per sequence, differentiable."""
        raise NotImplementedError

    def output(self, state: Any) -> Tensor:
        """What the next layer and recurrent weights see of a state."""
        spikes: Tensor = state.spikes
        return spikes

    def rest(self, constants: dict[str, Tensor]) -> Any:
        """The state at rest, each field broadcastable to (B, *units)."""
        zero = torch.zeros(())
        return self.State(*[zero for _ in self.State._fields])

    def noise_gain(self) -> Constant:
        """The factor of a layer's noise of standard deviation 1 before it joins the currents."""
        return 1.0

    def check(self) -> None:
        """Refuse options that do not go together, by WrongOption."""

    def forward(
        self, currents: Tensor, state: Any = None, record: Iterable[str] = (), recurrent: Recurrence | None = None
    ) -> Sequence:
        """Run over a sequence.

        Args:
            currents: (T, B, *units).
            state: the State to go on from; `initial` decides without one.
            record: fields of the State to return for every step.
            recurrent: turns the outputs before a step into currents that join it.
        Raises: WrongOption, for a shape, a state or a field that does not fit.
        """
        where = snake_case(type(self).__name__)
        if currents.dim() < 3 or 0 in currents.shape[:2]:
            raise WrongOption(
                f"{where}: currents of shape {tuple(currents.shape)}. It takes (T, B, *units), T and B at least 1."
            )
        if self.units is not None and tuple(currents.shape[2:]) != tuple(self.units):
            raise WrongOption(
                f"{where}: currents of units {tuple(currents.shape[2:])}, where the layer has {self.units}."
            )
        record = (record,) if isinstance(record, str) else tuple(record)
        for field in record:
            if field not in self.State._fields:
                raise WrongOption(
                    f"{where}: record={field!r} is no field of its state.{nearest(field, self.State._fields)}"
                )
        # Half precision is for weights and products; a state that decays over many steps keeps float32.
        precision = torch.promote_types(currents.dtype, torch.float32)
        constants = self.step_constants(currents.shape[2:], currents.device, precision)
        if state is None:
            state = self.first_state(constants, currents.shape[1:], precision, currents.device)
        elif getattr(state, "_fields", ()) != self.State._fields or any(x.shape != currents.shape[1:] for x in state):
            shape = tuple(currents.shape[1:])
            raise WrongOption(f"{where}: a state of another kind or shape. It takes its own State, each field {shape}.")
        state = self.State(*[field.to(precision) for field in state])
        narrow = currents.is_floating_point() and not torch.is_autocast_enabled(currents.device.type)
        if recurrent is not None and narrow and currents.dtype != precision:
            recurrent = _Narrow(recurrent, currents.dtype)
        sequence: Sequence = self.backend(self, currents.to(precision), state, constants, record, recurrent)
        return sequence._replace(outputs=sequence.outputs.to(currents.dtype)) if narrow else sequence

    def step_constants(self, units: Iterable[int], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """`constants()` as tensors of one type, each broadcastable to (B, *units)."""
        units = tuple(units)
        where = snake_case(type(self).__name__)
        return {
            name: spread(as_tensor(value), units, f"{where}.{name}").to(device=device, dtype=dtype)
            for name, value in self.constants().items()
        }

    def first_state(
        self, constants: dict[str, Tensor], shape: Iterable[int], dtype: torch.dtype, device: torch.device
    ) -> Any:
        """The state before the first step, each field (B, *units)."""
        shape = tuple(shape)
        fields = self.rest(constants)._asdict()
        for name in fields:
            offset = self._parameters.get(f"initial_{name}")
            if offset is not None:
                fields[name] = fields[name].to(device) + offset
        return self.State(
            **{name: value.to(device=device, dtype=dtype).expand(shape) for name, value in fields.items()}
        )

    def _hold_bounds(self, where: str) -> None:
        for name, option in options(type(self)).items():
            if is_constant(option) and as_tensor(getattr(self, name)).numel() == 0:
                raise WrongOption(f"{where}.{name}: []. It takes {option.type}.")
            for mark in option.marks:
                if isinstance(mark, AtLeast) and bool(
                    (as_tensor(getattr(self, name)) < getattr(self, mark.option)).any()
                ):
                    other = getattr(self, mark.option)
                    least = f"It must be at least {mark.option} ({other:g} {option.unit})."
                    raise WrongOption(f"{where}.{name}: {getattr(self, name)}. {least}")

    def _learn_initial_state(self, where: str) -> None:
        if self.units is None:
            raise WrongOption(f"{where}.initial: learned needs the units. Give units.")
        fields = [name for name in self.State._fields if name != "spikes"]  # a spike before the first step is no number
        if not fields:
            raise WrongOption(f"{where}.initial: learned, and its state holds nothing but spikes. It takes rest.")
        for name in fields:
            self.register_parameter(f"initial_{name}", nn.Parameter(torch.zeros(self.units)))

    def __repr__(self) -> str:
        names = [name for name, option in options(type(self)).items() if is_constant(option)]
        given = [f"{name}={_few(as_tensor(getattr(self, name)))}" for name in names]
        return f"{type(self).__name__}({', '.join(given)})"


class SpikingNeuron(Neuron):
    """A neuron that fires: it brings the spike with its surrogate derivative, and the reset's gradient.

    Args:
        surrogate: derivative that stands in for that of the step function.
        detach_reset: whether the reset hides from gradients.
    """

    surrogate: Part = "fast_sigmoid"
    detach_reset: bool = False

    def spike(self, distance: Tensor) -> Tensor:
        """1 where `distance` to the threshold is >= 0, else 0; its derivative is the surrogate."""
        return heaviside(distance, self.surrogate)

    def gate(self, spikes: Tensor) -> Tensor:
        """The spikes as a reset sees them: without gradient if `detach_reset`."""
        return spikes.detach() if self.detach_reset else spikes


def _few(value: Tensor) -> str:
    return str(value.tolist()) if value.numel() <= 4 else f"{value.numel()} values"


def _refuse_overrides(cls: type) -> None:
    values = {name: value for name, value in cls.__dict__.items() if not isinstance(value, type)}
    methods = {name for name, value in values.items() if callable(value) or hasattr(value, "__get__")}
    inherited = {name for base in cls.__mro__[1:] for name in base.__dict__}
    if broken := sorted((methods & inherited) - HOOKS):
        raise WrongOption(
            f"{cls.__name__} overrides {', '.join(broken)}: a neuron declares options and State, and writes "
            f"{', '.join(sorted(HOOKS))}; the rest is the same for all."
        )
    for name in ("State", "step", "constants"):
        if not any(name in base.__dict__ for base in cls.__mro__ if base.__module__ != __name__):
            raise WrongOption(f"{cls.__name__} lacks {name}: a neuron declares State and writes constants and step.")
