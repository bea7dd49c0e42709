"""The promises of networks, as checks over the function `network(plan)`, its options bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks import Network, Plan
from snnlab.neurons import CTRNN, CUBA, LI, Neuron, reference
from snnlab.synapses import Dense, Recurrent
from snnlab.testing.compare import close

Make = Callable[[Plan], Network]

NUMBERS = (3,), (2, 3)
PICTURES = (28, 28), (2, 28, 28)
"""Shapes of a step: a network takes them all, or pictures alone."""


def check_outputs_are_those_of_the_plan(make: Make) -> None:
    """(T, B, *inputs) becomes (T, B, outputs)."""
    for inputs, outputs in zip(_shapes(make), (2, 5), strict=True):
        net = make(Plan(inputs=inputs, outputs=outputs))
        shape = tuple(net.double()(_inputs(*inputs), draws=Draws(0)).outputs.shape)
        assert shape == (6, 4, outputs), f"for {outputs} outputs it gives {shape}, not (6, 4, {outputs})"


def check_its_layers_are_those_of_the_plan(make: Make) -> None:
    """Neurons, weights, dt and backend are those that the plan names; a layer's own changes lie over them."""
    ran = []

    def backend(neuron: Neuron, *given: Any) -> Any:
        ran.append(neuron)
        return reference(neuron, *given)

    inputs = _shapes(make)[0]
    plan = Plan(
        inputs=inputs,
        outputs=2,
        neuron="cuba",
        output_neuron="li",
        synapse={"name": "dense", "biased": False},
        recurrent_synapse={"name": "recurrent", "self_connections": False},
        dt=0.5,
        backend=backend,
    )
    net = make(plan)
    layers: list[Any] = list(net.layers)
    *hidden, last = layers
    assert isinstance(last.neuron, LI), f"its last layer has {_kind(last)}, not the output neuron"
    cuba = [layer for layer in hidden if isinstance(layer.neuron, CUBA)]  # a pooling has none
    assert cuba or not hidden, f"its hidden layers have {', '.join(map(_kind, hidden))}, none the neuron of the plan"
    for name, layer in zip(net.names, layers, strict=True):
        assert layer.neuron.dt == 0.5, f"layer {name} has dt {layer.neuron.dt}, not that of the plan"
        if isinstance(layer.synapse, Dense):
            assert not layer.synapse.biased, f"layer {name} has another synapse than that of the plan"
        if isinstance(layer.recurrent, Recurrent):
            kept = not layer.recurrent.self_connections
            assert kept, f"layer {name} has other recurrent weights than those of the plan"
    net.double()(_inputs(*inputs), draws=Draws(0))
    assert ran == [layer.neuron for layer in layers], "not all of its layers run on the backend of the plan"
    first: Any = make(replace(plan, layers={"0": {"neuron": {"name": "ctrnn", "tau": 7.0}, "noise": 0.25}})).layers[0]
    changed = isinstance(first.neuron, CTRNN) and (first.neuron.tau, first.noise) == (7.0, 0.25)
    assert changed, "changes to layer 0 have no effect"


def check_initial_values_follow_the_seed(make: Make) -> None:
    """The same seed gives the same network, whatever the global generator; another seed another one."""
    torch.manual_seed(1)
    first = _network(make).state_dict()
    torch.manual_seed(2)
    again, other = _network(make).state_dict(), _network(make, seed=1).state_dict()
    assert all(torch.equal(again[name], values) for name, values in first.items()), "one seed gives two networks"
    assert any(not torch.equal(other[name], values) for name, values in first.items()), "the seed has no effect"


def check_a_step_repeated_equals_one_call(make: Make) -> None:
    """`step` is the same network."""
    net, x = _quiet(_network(make)), _inputs(*_shapes(make)[0])
    state, outputs = None, []
    for current in x:
        output, state = net.step(current, state)
        outputs.append(output)
    close(torch.stack(outputs), net(x).outputs, "steps repeated give other outputs than one call")


def check_a_sequence_cut_in_two_equals_the_whole(make: Make) -> None:
    """`state` holds all that is to be known of the past."""
    net, x = _quiet(_network(make)), _inputs(*_shapes(make)[0])
    first = net(x[:2])
    cut = torch.cat([first.outputs, net(x[2:], first.state).outputs])
    close(cut, net(x).outputs, "a sequence cut in two gives other outputs than the whole")


def check_samples_are_independent(make: Make) -> None:
    """What one sample gets does not depend on the others."""
    net, x = _quiet(_network(make)), _inputs(*_shapes(make)[0])
    close(net(x[:, 1:2]).outputs, net(x).outputs[:, 1:2], "a sample's outputs change with the others of its batch")


def check_every_weight_gets_a_gradient(make: Make) -> None:
    """Every parameter acts on the outputs."""
    inputs = _shapes(make)[0]
    net = make(Plan(inputs=inputs, outputs=2, neuron="ctrnn", output_neuron="linear")).double()
    named = dict(net.named_parameters())
    outputs = net(_inputs(*inputs), draws=Draws(0)).outputs
    gradients = torch.autograd.grad(outputs.square().sum(), list(named.values()), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None and bool((gradient != 0).any()), f"{name} gets no gradient"


def _network(make: Make, seed: int = 0) -> Network:
    return make(Plan(inputs=_shapes(make)[0], outputs=2, neuron="ctrnn", output_neuron="li", seed=seed)).double()


def _shapes(make: Make) -> tuple[tuple[int, ...], ...]:
    """Shapes of inputs that the network must take."""
    refused = [reason for shape in NUMBERS if (reason := _refusal(make, shape))]
    if not refused:
        return NUMBERS
    assert len(refused) == len(NUMBERS), f"it takes inputs of one shape and not of another: {refused[0]}"
    refused = [reason for shape in PICTURES if (reason := _refusal(make, shape))]
    assert not refused, f"it takes neither numbers nor pictures: {refused[0]}"
    return PICTURES


def _refusal(make: Make, shape: tuple[int, ...]) -> str:
    try:
        make(Plan(inputs=shape, outputs=2))
    except WrongOption as error:
        return f"{shape}: {error}"
    return ""


def _kind(layer: Any) -> str:
    return type(layer.neuron).__name__


def _quiet(net: Network) -> Network:
    """Without noise, which would differ from call to call."""
    for layer in net.layers:
        layer.noise = layer.readout_noise = 0.0  # type: ignore[assignment]
    return net


def _inputs(*shape: int) -> Tensor:
    return torch.randn((6, 4, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_outputs_are_those_of_the_plan,
    check_its_layers_are_those_of_the_plan,
    check_initial_values_follow_the_seed,
    check_a_step_repeated_equals_one_call,
    check_a_sequence_cut_in_two_equals_the_whole,
    check_samples_are_independent,
    check_every_weight_gets_a_gradient,
)
