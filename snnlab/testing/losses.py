"""The promises of losses, as checks over a built loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.losses import Loss
from snnlab.testing.general import NotApplicable

STEPS, SAMPLES, UNITS = 6, 4, 3
LENGTHS = (6, 4, 1, 3)


def check_it_gives_one_finite_number(loss: Loss) -> None:
    """A scalar, neither NaN nor infinite, also where no unit fires and where all do."""
    for target in _targets(loss):
        for outputs in (_outputs(loss), torch.zeros(STEPS, SAMPLES, UNITS), torch.ones(STEPS, SAMPLES, UNITS)):
            value = loss(outputs, target)
            assert value.shape == (), f"it gives a tensor of shape {tuple(value.shape)}, not one number"
            assert bool(value.isfinite()), f"it gives {value.item()}"


def check_every_sample_gets_a_gradient(loss: Loss) -> None:
    """Each sample has a valid step through which it can be improved, and all gradients are finite."""
    for target in _targets(loss):
        for mask in (None, _mask()):
            # A few tries: a loss with a margin may be content with some outputs.
            gradients = [_value_and_gradient(loss, _outputs(loss, seed), target, mask)[1] for seed in range(5)]
            assert all(bool(gradient.isfinite().all()) for gradient in gradients), "a gradient is NaN or infinite"
            left_out = (torch.cat(gradients) == 0).all(2).all(0).nonzero().flatten().tolist()
            assert not left_out, f"the samples {left_out} of {SAMPLES} get no gradient"


def check_padding_has_no_effect(loss: Loss) -> None:
    """What stands at invalid steps changes neither the number nor a gradient, and gets none."""
    mask = _mask()
    for target in _targets(loss):
        clean = torch.where(mask[..., None], _outputs(loss), 0.0)
        value, gradient = _value_and_gradient(loss, clean, target, mask)
        for garbage in (1e4, -1e4, torch.inf):
            padded = torch.where(mask[..., None], clean, garbage)
            other, others = _value_and_gradient(loss, padded, target, mask)
            assert torch.equal(value, other), f"with {garbage:g} at invalid steps it is {other:g} instead of {value:g}"
            assert not others[~mask].any(), f"invalid steps get a gradient where {garbage:g} stands"
            assert torch.equal(gradient, others), f"{garbage:g} at invalid steps changes gradients at valid ones"


def check_a_padded_sample_is_worth_the_same_alone(loss: Loss) -> None:
    """A sample padded to a longer batch has the loss that it has when cut to its own length."""
    outputs, mask = _outputs(loss), _mask()
    for target in _targets(loss):
        for sample, length in enumerate(LENGTHS):
            one = slice(sample, sample + 1)
            padded = loss(outputs[:, one], target[one], mask[:, one])
            alone = loss(outputs[:length, one], target[one])
            assert _close(padded, alone), f"a sample of {length} steps: {alone:g} alone, {padded:g} padded to {STEPS}"


def check_a_mask_of_valid_steps_is_no_mask(loss: Loss) -> None:
    """True everywhere is the same as None."""
    everywhere = torch.ones(STEPS, SAMPLES, dtype=torch.bool)
    for target in _targets(loss):
        masked, plain = loss(_outputs(loss), target, everywhere), loss(_outputs(loss), target)
        assert _close(masked, plain), f"it is {plain:g} without a mask, {masked:g} where the mask is all True"


def check_a_batch_is_the_mean_of_its_samples(loss: Loss) -> None:
    """So that neither the size of a batch nor the number of processes changes what is learned."""
    outputs = _outputs(loss)
    for target in _targets(loss):
        for mask in (None, _mask()):
            parts = [
                loss(outputs[:, i : i + 1], target[i : i + 1], None if mask is None else mask[:, i : i + 1])
                for i in range(SAMPLES)
            ]
            whole, mean = loss(outputs, target, mask), torch.stack(parts).mean()
            assert _close(whole, mean), f"of a batch it is {whole:g}, and the mean of its samples' is {mean:g}"


def check_the_order_of_samples_has_no_effect(loss: Loss) -> None:
    """A batch in another order has the same loss, and each sample keeps its gradient."""
    order, mask = torch.tensor([2, 0, 3, 1]), _mask()
    for target in _targets(loss):
        value, gradient = _value_and_gradient(loss, _outputs(loss), target, mask)
        moved, others = _value_and_gradient(loss, _outputs(loss)[:, order], target[order], mask[:, order])
        assert _close(value, moved), f"it is {value:g}, and {moved:g} with the samples in another order"
        assert torch.allclose(gradient[:, order], others), "another order of samples gives other gradients"


def check_it_falls_towards_the_target(loss: Loss) -> None:
    """A small step against the gradient lowers it; so does activity of the right unit instead of a wrong one."""
    for target in _targets(loss):
        outputs = _outputs(loss)
        value, gradient = _value_and_gradient(loss, outputs, target)
        lower = loss(outputs - 1e-3 * gradient, target)
        assert lower < value, f"a step against its gradient takes it from {value:g} to {lower:g}"
        if not target.is_floating_point():
            right, wrong = (torch.nn.functional.one_hot(classes, UNITS) for classes in (target, (target + 1) % UNITS))
            good, bad = (loss(chosen.double().expand(STEPS, -1, -1), target) for chosen in (right, wrong))
            assert good < bad, f"it is {good:g} where the right unit alone is active, {bad:g} where a wrong one is"


def check_float64_is_kept(loss: Loss) -> None:
    """float64 outputs give a float64 loss, and float32 ones nearly the same number."""
    for target in _targets(loss):
        double = loss(_outputs(loss).double(), target.double() if target.is_floating_point() else target)
        single = loss(_outputs(loss).float(), target.float() if target.is_floating_point() else target)
        assert double.dtype == torch.float64, f"float64 outputs give a loss of {double.dtype}"
        assert single.dtype == torch.float32, f"float32 outputs give a loss of {single.dtype}"
        off = abs(float(double) - float(single))
        assert off <= 1e-5 * max(1.0, abs(float(double))), f"in float32 and float64 it differs by {off:g}"


def check_its_arguments_are_left_as_they_were(loss: Loss) -> None:
    """Outputs, targets and mask are not changed in place."""
    for target in _targets(loss):
        given = (_outputs(loss), target, _mask())
        before = [tensor.clone() for tensor in given]
        loss(*given)
        assert all(map(torch.equal, given, before)), "it changes its arguments"


def check_a_class_without_a_unit_is_refused(loss: Loss) -> None:
    """A class number that no output unit stands for is an error, not a number."""
    if loss.takes == "values":
        raise NotApplicable("it takes no class numbers")
    for unknown in (UNITS, -1, -100):
        try:
            loss(_outputs(loss), torch.tensor([0, 1, unknown, 2]))
        except (WrongOption, IndexError, ValueError, RuntimeError):
            continue
        raise AssertionError(f"class {unknown} for {UNITS} outputs goes through")


def check_its_readout_scores_its_field(loss: Loss) -> None:
    """The readout that it names exists, and looks at what the loss looks at."""
    readout = registry.build("readout", loss.readout)
    assert readout.field == loss.field, (
        f"its readout {loss.readout} looks at the {readout.field}, it at the {loss.field}"
    )


def _outputs(loss: Loss, seed: int = 0) -> Tensor:
    """Outputs (T, B, units): for a loss on spikes about half of them 1."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(STEPS, SAMPLES, UNITS, generator=generator, dtype=torch.float64)
    return (outputs > 0).double() if loss.field == "spikes" else outputs


def _targets(loss: Loss) -> Iterator[Tensor]:
    if loss.takes != "values":
        yield torch.tensor([0, 2, 1, 2])
    if loss.takes != "classes":
        yield torch.rand(SAMPLES, UNITS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _mask() -> Tensor:
    return torch.arange(STEPS)[:, None] < torch.tensor(LENGTHS)


def _value_and_gradient(
    loss: Loss, outputs: Tensor, target: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    leaf = outputs.detach().clone().requires_grad_()
    value = loss(leaf, target, mask)
    assert value.requires_grad, "no gradient goes through it"
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether two float64 numbers are equal but for the order of their sums."""
    return torch.allclose(one, other, rtol=1e-9, atol=1e-12)


CHECKS = (
    check_it_gives_one_finite_number,
    check_every_sample_gets_a_gradient,
    check_padding_has_no_effect,
    check_a_padded_sample_is_worth_the_same_alone,
    check_a_mask_of_valid_steps_is_no_mask,
    check_a_batch_is_the_mean_of_its_samples,
    check_the_order_of_samples_has_no_effect,
    check_it_falls_towards_the_target,
    check_float64_is_kept,
    check_its_arguments_are_left_as_they_were,
    check_a_class_without_a_unit_is_refused,
    check_its_readout_scores_its_field,
)
