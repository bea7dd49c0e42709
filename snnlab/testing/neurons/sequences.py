"""Promises about sequences: the state is explicit, and time, samples and units are kept apart."""

from __future__ import annotations

from collections.abc import Callable

import torch

from snnlab.errors import WrongOption
from snnlab.testing.neurons.probe import BATCH, STEPS, UNITS, Make, close, drive, learner, rest_of, run, weights_like


def check_two_equal_calls_give_equal_outputs(make: Make) -> None:
    """Nothing is left over from an earlier sequence: no state, and no random numbers."""
    neuron, currents = make(), drive(make)
    before = set(vars(neuron))
    first, second = neuron(currents), neuron(currents)
    assert torch.equal(first.outputs, second.outputs), "a second call with the same currents gave other outputs"
    left = sorted(set(vars(neuron)) - before)
    assert not left, f"a call left {', '.join(left)} on the module: what goes from step to step belongs in State"


def check_it_leaves_its_inputs_as_they_are(make: Make) -> None:
    """A step makes new tensors: neither currents nor a given state are changed in place."""
    neuron, currents = make(), drive(make)
    state = neuron(currents).state
    kept, fields = currents.clone(), [field.clone() for field in state]
    with torch.no_grad():
        neuron(currents, state)
    assert torch.equal(currents, kept), "step changes the currents in place"
    for name, field, copy in zip(state._fields, state, fields, strict=True):
        assert torch.equal(field, copy), f"step changes {name} of the state before it in place"


def check_a_sequence_cut_in_two_equals_the_whole(make: Make) -> None:
    """With the state handed over, the parts give the same outputs, and the same gradients."""
    neuron, cut = learner(make).double(), STEPS // 3
    currents = drive(make).requires_grad_()
    whole = neuron(currents)
    head = neuron(currents[:cut])
    tail = neuron(currents[cut:], head.state)
    outputs = torch.cat([head.outputs, tail.outputs])
    assert close(outputs, whole.outputs), "a sequence cut in two gives other outputs than the whole"
    for name, one, other in zip(whole.state._fields, whole.state, tail.state, strict=True):
        assert close(one, other), f"a sequence cut in two ends with another {name} than the whole"
    inputs = [currents, *neuron.parameters()]
    found = [
        torch.autograd.grad((x * weights_like(x)).sum(), inputs, allow_unused=True) for x in (whole.outputs, outputs)
    ]
    for one, other in zip(*found, strict=True):
        same = one is other if one is None or other is None else close(one, other)
        assert same, "a sequence cut in two gives other gradients than the whole"


def check_the_batch_may_change_its_size(make: Make) -> None:
    """Two sizes in a row, and each sample is what it is alone."""
    neuron, currents = make(), drive(make, batch=5)
    assert close(neuron(currents[:, :2]).outputs, neuron(currents).outputs[:, :2]), "a batch of 2 and one of 5 differ"
    alone = torch.cat([neuron(currents[:, i : i + 1]).outputs for i in range(5)], dim=1)
    assert close(alone, neuron(currents).outputs), "a sample alone gives other outputs than in a batch"


def check_samples_are_independent(make: Make) -> None:
    """What enters one sample changes no other one."""
    neuron, currents = make(), drive(make)
    changed = currents.clone()
    changed[:, 1] *= -3.0
    kept = [i for i in range(BATCH) if i != 1]
    outputs, others = neuron(currents).outputs, neuron(changed).outputs
    assert torch.equal(outputs[:, kept], others[:, kept]), "the currents of one sample change the outputs of another"


def check_units_are_independent(make: Make) -> None:
    """A step is pointwise: what couples units is the layer's weights."""
    neuron, currents = make(), drive(make)
    changed = currents.clone()
    changed[..., 1] *= -3.0
    kept = [i for i in range(UNITS) if i != 1]
    outputs, others = neuron(currents).outputs, neuron(changed).outputs
    assert torch.equal(outputs[..., kept], others[..., kept]), "the currents of one unit change the outputs of another"


def check_outputs_depend_on_no_later_step(make: Make) -> None:
    """What enters at a step changes neither outputs nor state of earlier ones."""
    neuron, currents = make(), drive(make)
    fields = neuron.State._fields
    before = neuron(currents, record=fields)
    for step in (1, STEPS // 2, STEPS - 1):
        changed = currents.clone()
        changed[step:] *= -3.0
        after = neuron(changed, record=fields)
        early = torch.equal(before.outputs[:step], after.outputs[:step])
        assert early, f"currents from step {step} on change outputs before it"
        for name in fields:
            early = torch.equal(before.records[name][:step], after.records[name][:step])
            assert early, f"currents from step {step} on change {name} before it"


def check_each_field_can_be_recorded(make: Make) -> None:
    """(T, B, *units) for each field asked for, differentiable, the last step being the state returned."""
    neuron = make()
    currents = drive(make).requires_grad_()
    fields = neuron.State._fields
    sequence = neuron(currents, record=fields)
    assert sequence.outputs.shape == currents.shape, f"outputs of {tuple(sequence.outputs.shape)}, not as the currents"
    assert set(sequence.records) == set(fields), f"records hold {sorted(sequence.records)}, not what was asked for"
    for name in fields:
        record = sequence.records[name]
        assert record.shape == currents.shape, (
            f"{name} was recorded as {tuple(record.shape)}, not {tuple(currents.shape)}"
        )
        assert torch.equal(record[-1], getattr(sequence.state, name)), f"the last {name} recorded is not the state's"
        assert record.requires_grad, f"what was recorded of {name} has no gradient"
    assert torch.equal(sequence.outputs, neuron(currents.detach()).outputs), "recording changes the outputs"
    assert not neuron(currents.detach()).records, "fields are recorded that nobody asked for"
    try:
        neuron(currents, record=("no_such_field",))
    except WrongOption:
        return
    raise AssertionError("an unknown field to record is not refused")


def check_recurrence_sees_the_outputs_before_a_step(make: Make) -> None:
    """I[t] + V output(state[t-1]), also in the first step and after a cut; gradients go through V."""
    neuron, currents = make(), drive(make)
    generator = torch.Generator().manual_seed(23)
    weight = torch.randn(UNITS, UNITS, generator=generator, dtype=torch.float64).requires_grad_()
    seen: list[torch.Tensor] = []

    def recurrent(outputs: torch.Tensor) -> torch.Tensor:
        seen.append(outputs)
        return outputs @ weight.T

    whole = neuron(currents, recurrent=recurrent)
    assert len(seen) == STEPS, f"recurrent weights were asked {len(seen)} times in {STEPS} steps"
    later = close(torch.stack(seen[1:]), whole.outputs[:-1])
    assert later, "recurrent weights do not see the outputs of the step before"
    first = neuron.output(rest_of(neuron, currents))
    assert close(seen[0], first), "in the first step recurrent weights do not see the output at rest"
    joined = neuron(currents + torch.stack(seen) @ weight.T).outputs
    assert close(joined, whole.outputs), "recurrent currents do not act like currents from below"
    (gradient,) = torch.autograd.grad((whole.outputs * weights_like(whole.outputs)).sum(), weight)
    assert bool(gradient.isfinite().all()) and bool(gradient.any()), "recurrent weights get no gradient"


def check_gradients_are_finite(make: Make) -> None:
    """Currents and learned constants get gradients that are numbers, at weak and at strong currents."""
    neuron = learner(make).double()
    for scale in (0.0, 1.0, 100.0):
        found = run(neuron, scale * drive(make))
        gradients = {"the currents": found.current_gradient, **found.gradients}
        for name, gradient in gradients.items():
            finite = gradient is None or bool(gradient.isfinite().all())
            assert finite, f"the gradient of {name} is not finite at {scale:g} times the usual currents"
    assert bool(run(neuron, drive(make)).current_gradient.any()), "no gradient reaches the currents"


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_two_equal_calls_give_equal_outputs,
    check_it_leaves_its_inputs_as_they_are,
    check_a_sequence_cut_in_two_equals_the_whole,
    check_the_batch_may_change_its_size,
    check_samples_are_independent,
    check_units_are_independent,
    check_outputs_depend_on_no_later_step,
    check_each_field_can_be_recorded,
    check_recurrence_sees_the_outputs_before_a_step,
    check_gradients_are_finite,
)
