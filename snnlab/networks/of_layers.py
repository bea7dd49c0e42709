"""Networks that say their layers before there are data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, Protocol, cast

from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.network import Network
from snnlab.networks.plan import Plan

Options = ParamSpec("Options")


class Layered(Protocol[Options]):
    """A network `network(plan, **options)` whose `layers(**options)` are known before the data are."""

    @property
    def layers(self) -> Callable[Options, list[LayerPlan]]:
        """The hidden layers, from the input up, from the options alone."""

    def __call__(self, plan: Plan, /, *given: Options.args, **options: Options.kwargs) -> Network:
        """Build it."""


def of_layers(layers: Callable[Options, list[LayerPlan]]) -> Layered[Options]:
    """Decorator: the network made of the layers that a function of options says, and an output layer.

    A run checks changes to such layers (layers.0.neuron.tau=5) before it reads any data. A network that is a function
    of its plan has them checked by the plan when it is built.
    """

    @functools.wraps(layers)
    def network(plan: Plan, /, *given: Options.args, **options: Options.kwargs) -> Network:
        return plan.network(layers(*given, **options))

    plan = inspect.Parameter("plan", inspect.Parameter.POSITIONAL_ONLY, annotation="Plan")
    signature = inspect.signature(layers)
    parameters = [plan, *signature.parameters.values()]
    vars(network).update(
        layers=layers, __signature__=signature.replace(parameters=parameters, return_annotation="Network")
    )
    return cast(Layered[Options], network)
