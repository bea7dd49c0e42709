"""The promises of surrogate derivatives, as checks over the function, or over functools.partial of it and options."""

from __future__ import annotations

import inspect
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snnlab.options import settings
from snnlab.surrogates import Derivative, heaviside
from snnlab.testing.general import NotApplicable, candidates

Surrogate = Callable[..., Tensor]


def check_it_is_largest_at_the_threshold(surrogate: Surrogate) -> None:
    """h(0) is positive, and no h(x) is larger."""
    peak = float(surrogate(torch.zeros((), dtype=torch.float64)))
    highest = float(surrogate(_distances()).max())
    assert math.isfinite(peak) and peak > 0, f"at the threshold, x = 0, it is {peak:g}: it takes a finite number > 0"
    assert highest <= peak * (1 + 1e-12), f"it reaches {highest:g} away from the threshold, and {peak:g} at it"


def check_it_is_symmetric(surrogate: Surrogate) -> None:
    """h(-x) = h(x)."""
    x = _distances()
    off = float((surrogate(x) - surrogate(-x)).abs().max())
    assert off <= 1e-12, f"h(x) and h(-x) differ by up to {off:g}"


def check_it_is_finite_however_far(surrogate: Surrogate) -> None:
    """No distance gives NaN or infinity, and far away there is nothing left."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.tensor([0.0, 1e-30, 1.0, 1e4, 1e10, 1e30, torch.finfo(dtype).max, math.inf], dtype=dtype)
        h = surrogate(torch.cat([x, -x]))
        assert bool(h.isfinite().all()), f"in {dtype} it is {h.tolist()} at {torch.cat([x, -x]).tolist()}"
        assert float(h[-2].abs()) < 1e-6, f"at the farthest distance of {dtype} it is still {float(h[-2]):g}"


def check_it_keeps_type_and_shape(surrogate: Surrogate) -> None:
    """float64 stays float64, (2, 3) stays (2, 3), and x is left as it was."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3)
        before = x.clone()
        h = surrogate(x)
        assert h.dtype == dtype, f"it turns {dtype} into {h.dtype}"
        assert h.shape == x.shape, f"it turns the shape {tuple(x.shape)} into {tuple(h.shape)}"
        assert torch.equal(x, before), "it changes its input"


def check_it_sees_one_distance_at_a_time(surrogate: Surrogate) -> None:
    """h of an element depends on that element alone: kernels call it so."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    alone = torch.stack([surrogate(element) for element in x])
    together = surrogate(x)
    assert torch.allclose(alone, together, rtol=1e-12, atol=0), "h of an element depends on the other elements"


def check_float32_is_close_to_float64(surrogate: Surrogate) -> None:
    """No cancellation eats the digits of float32."""
    x = _distances().float().double()  # the same numbers in both, or a jump could lie between them
    peak = float(surrogate(torch.zeros((), dtype=torch.float64)))
    off = float((surrogate(x.float()).double() - surrogate(x)).abs().max()) / peak
    assert off < 1e-4, f"float32 and float64 differ by {off:g} of the peak"


def check_it_is_the_gradient_of_a_spike(surrogate: Surrogate) -> None:
    """Through the step function, Theta(0) = 1, a gradient is multiplied by h(x), exactly."""
    x = _distances().requires_grad_()
    spikes = heaviside(x, surrogate)
    weights = torch.arange(1, x.numel() + 1, dtype=x.dtype)
    (gradient,) = torch.autograd.grad((spikes * weights).sum(), x)
    assert torch.equal(spikes, (x >= 0).double()), "the spikes are not 1 where x >= 0, else 0"
    assert torch.equal(gradient, weights * surrogate(x).detach()), "the gradient of a spike is not h(x)"


def check_the_stated_peak_is_measured(surrogate: Surrogate) -> None:
    """Where the docstring says `Peak <a number>`, it is so."""
    measured = float(surrogate(torch.zeros((), dtype=torch.float64)))
    stated = _stated(surrogate, "peak")
    assert abs(measured - stated) < 1e-6, f"the docstring says peak {stated:g}, and it is {measured:g}"


def check_the_stated_area_is_measured(surrogate: Surrogate) -> None:
    """Where the docstring says `area <a number>`, it is so."""
    stated = _stated(surrogate, "area")
    measured = area(surrogate)
    assert abs(measured - stated) < 1e-3 * stated, f"the docstring says area {stated:g}, and it is {measured:.5g}"


def check_no_option_is_without_effect(surrogate: Surrogate) -> None:
    """Another value of an option gives another h."""
    x = _distances()
    for name, option in settings(_function(surrogate)).items():
        values = [value for value in candidates(option) if _works(surrogate, name, value)]
        changed = [value for value in values if not torch.equal(surrogate(x, **{name: value}), surrogate(x))]
        assert changed or not values, f"{name} has no effect: h is the same with {', '.join(map(str, values))}"


def check_every_value_that_it_takes_works(surrogate: Surrogate) -> None:
    """No value in the stated range of an option fails, or gives NaN or infinity."""
    for name, option in settings(_function(surrogate)).items():
        failed = [value for value in candidates(option) if not _works(surrogate, name, value)]
        assert not failed, f"{name}={failed[0]} is in the stated range, and fails: state a narrower one"


def check_it_can_be_pickled(surrogate: Surrogate) -> None:
    """Neurons that hold it go to other processes."""
    x = _distances()
    try:
        again = pickle.loads(pickle.dumps(surrogate))
    except Exception as error:
        raise AssertionError(f"it cannot be pickled ({error}): define it at the top of a module") from error
    assert torch.equal(again(x), surrogate(x)), "after pickling it is another function"


def area(derivative: Derivative) -> float:
    """The integral over all distances, tails included: by the midpoint rule in u, where x = tan(u)."""
    count = 400_000
    u = (torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count) - math.pi / 2
    return float((derivative(u.tan()) / u.cos() ** 2).sum() * math.pi / count)


def _works(surrogate: Surrogate, name: str, value: Any) -> bool:
    try:
        return bool(surrogate(_distances(), **{name: value}).isfinite().all())
    except (ArithmeticError, ValueError, TypeError, RuntimeError):
        return False


def _distances() -> Tensor:
    """Distances from near to far at both sides, and 0."""
    near = torch.linspace(-4, 4, 801, dtype=torch.float64)
    far = torch.logspace(-6, 6, 49, dtype=torch.float64)
    return torch.cat([near, -far, far])


def _stated(surrogate: Surrogate, quantity: str) -> float:
    text = " ".join((inspect.getdoc(_function(surrogate)) or "").split())
    found = re.search(rf"\b{quantity} (\d+(?:\.\d+)?)(?=[,;]|\.(?:\s|$)|$)", text, re.IGNORECASE)
    if found is None:
        raise NotApplicable(f"its docstring states no number for its {quantity}")
    return float(found[1])


def _function(surrogate: Surrogate) -> Callable[..., Tensor]:
    function: Callable[..., Tensor] = getattr(surrogate, "func", surrogate)
    return function


CHECKS: tuple[Callable[[Surrogate], None], ...] = (
    check_it_is_largest_at_the_threshold,
    check_it_is_symmetric,
    check_it_is_finite_however_far,
    check_it_keeps_type_and_shape,
    check_it_sees_one_distance_at_a_time,
    check_float32_is_close_to_float64,
    check_it_is_the_gradient_of_a_spike,
    check_the_stated_peak_is_measured,
    check_the_stated_area_is_measured,
    check_no_option_is_without_effect,
    check_every_value_that_it_takes_works,
    check_it_can_be_pickled,
)
