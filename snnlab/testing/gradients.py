"""The promises of gradient rules, as checks over the function `rule(network, x, state, record, draws)`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from snnlab.draws import Draws
from snnlab.networks import Network, Plan, Result, recurrent
from snnlab.testing.compare import close

Rule = Callable[..., Result]


def check_outputs_are_those_of_the_network(rule: Rule) -> None:
    """A rule changes the way back, never the way there: outputs, records, last state and noise are the network's."""
    for noise in (0.0, 0.2):
        net, x = _network(noise)
        mine, theirs = (run(x, None, ("potential",), Draws(1)) for run in (_bound(rule, net), net))
        close(mine.outputs, theirs.outputs, f"with noise {noise} its outputs are not the network's")
        for name in net.names:
            one, other = (result.layers[name].records["potential"] for result in (mine, theirs))
            close(one, other, f"the records of layer {name} are not the network's")
            for one, other in zip(mine.state[name], theirs.state[name], strict=True):
                close(one, other, f"the last state of layer {name} is not the network's")


def check_it_goes_on_from_a_state(rule: Rule) -> None:
    """A sequence cut in two equals the whole."""
    net, x = _network()
    first = rule(net, x[:3], None, (), None)
    cut = torch.cat([first.outputs, rule(net, x[3:], first.state, (), None).outputs])
    close(cut, rule(net, x, None, (), None).outputs, "a sequence cut in two gives other outputs than the whole")


def check_every_weight_gets_a_gradient(rule: Rule) -> None:
    """The loss of the outputs, and that of what is recorded, reach all weights below."""
    net, x = _network()
    named = dict(net.named_parameters())
    result = rule(net, x, None, {"1": ("potential",)}, None)
    for what, signal in (("outputs", result.outputs), ("records", result.layers["1"].records["potential"])):
        loss = signal.square().sum()
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True, retain_graph=True)
        for name, gradient in zip(named, gradients, strict=True):
            reached = gradient is not None and bool((gradient != 0).any())
            assert reached, f"a loss of the {what} gives {name} no gradient"


def check_gradients_are_finite(rule: Rule) -> None:
    """No NaN, no infinity."""
    net, x = _network()
    rule(net, x, None, (), None).outputs.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        assert finite, f"the gradient of {name} is not finite"


def _network(noise: float = 0.0) -> tuple[Network, Tensor]:
    plan = Plan(inputs=(3,), outputs=2, neuron={"name": "lif", "threshold": 0.2}, output_neuron="li")
    x = torch.randn((7, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return recurrent(plan, hidden=[6], noise=noise, readout_noise=noise).double(), x


def _bound(rule: Rule, net: Network) -> Callable[..., Result]:
    return lambda *arguments: rule(net, *arguments)


CHECKS: tuple[Callable[[Rule], None], ...] = (
    check_outputs_are_those_of_the_network,
    check_it_goes_on_from_a_state,
    check_every_weight_gets_a_gradient,
    check_gradients_are_finite,
)
