"""The promises of initial values, as checks over the function `init(shape, fan_in, generator)`, its options bound."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from snnlab.testing.general import NotApplicable

Init = Callable[..., Tensor]
SHAPES = ((6, 4), (4, 6), (5, 5), (6,), (4, 3, 2, 2))


def check_it_gives_the_shape_asked_for(init: Init) -> None:
    """Matrices, vectors (a bias) and kernels."""
    for shape in SHAPES:
        given = tuple(_values(init, shape).shape)
        assert given == shape, f"asked for {shape} it gives {given}"


def check_values_are_finite(init: Init) -> None:
    """No NaN, no infinity."""
    for shape in SHAPES:
        assert bool(_values(init, shape).isfinite().all()), f"for shape {shape} a value is not finite"


def check_the_same_seed_gives_the_same_values(init: Init) -> None:
    """Nothing but the generator decides."""
    torch.manual_seed(1)
    first = _values(init, (6, 4))
    torch.manual_seed(2)
    assert torch.equal(_values(init, (6, 4)), first), "two calls with the same seed differ"


def check_another_seed_gives_other_values(init: Init) -> None:
    """The generator is used."""
    first = _values(init, (6, 4))
    if bool((first == first.flatten()[0]).all()):
        raise NotApplicable("all values are alike")
    assert not torch.equal(_values(init, (6, 4), seed=1), first), "another seed gives the same values"


def check_it_leaves_the_global_generator_alone(init: Init) -> None:
    """Other parts' numbers do not depend on it."""
    before = torch.get_rng_state()
    _values(init, (6, 4))
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"


def check_values_hold_no_graph(init: Init) -> None:
    """They become leaves: parameters."""
    values = _values(init, (6, 4))
    assert values.is_leaf and not values.requires_grad, "its values hang in a graph of autograd"


def _values(init: Init, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return init(shape, 4, torch.Generator().manual_seed(seed))


CHECKS: tuple[Callable[[Init], None], ...] = (
    check_it_gives_the_shape_asked_for,
    check_values_are_finite,
    check_the_same_seed_gives_the_same_values,
    check_another_seed_gives_other_values,
    check_it_leaves_the_global_generator_alone,
    check_values_hold_no_graph,
)
