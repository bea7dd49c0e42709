"""The contract of neurons: what is refused, how constants are learned, and what a state is."""

from __future__ import annotations

import copy
import math
from typing import Annotated, ClassVar, NamedTuple

import pytest
import torch
from annotated_types import Ge, Gt, Interval, Le, Lt
from torch import Tensor, nn

from snnlab.errors import WrongOption
from snnlab.networks.layer import Layer
from snnlab.neurons import CTRNN, CUBA, LI, LIF, STBP, Constant, Milliseconds, Neuron, Positive, SpikingNeuron, decay
from snnlab.options import settings
from snnlab.surrogates import gaussian
from snnlab.synapses import Dense, Recurrent

CURRENTS = torch.ones(5, 2, 3)


class Scaled(Neuron):
    """Constants of every kind of range."""

    positive: Annotated[Constant, Gt(0)] = 2.0
    bounded: Annotated[Constant, Gt(1), Lt(3)] = 2.0
    negative: Annotated[Constant, Lt(0)] = -2.0
    below: Annotated[Constant, Le(5)] = 2.0
    above: Annotated[Constant, Ge(-1)] = 2.0
    interval: Annotated[Constant, Interval(gt=0, le=4)] = 2.0
    free: Constant = 2.0
    delay: ClassVar[int] = 0

    class State(NamedTuple):
        potential: Tensor

    def constants(self):
        return {"factor": self.positive + self.bounded + self.negative + self.below + self.above + self.free}

    def output(self, state):
        return state.potential

    def step(self, current, state, factor):
        return self.State(factor * current + 0 * state.potential)


RANGES = {
    "positive": (0, math.inf),
    "bounded": (1, 3),
    "negative": (-math.inf, 0),
    "below": (-math.inf, 5),
    "above": (-1, math.inf),
    "interval": (0, 4),
    "free": (-math.inf, math.inf),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", RANGES)
def test_a_learned_constant_starts_at_its_value_and_stays_strictly_inside_its_range(name, dtype):
    start = -2.0 if name == "negative" else 2.0
    neuron = Scaled(learn=[name]).to(dtype)
    low, high = RANGES[name]
    assert getattr(neuron, name).item() == pytest.approx(start, rel=1e-2 if dtype == torch.bfloat16 else 1e-6)
    for raw in (-1e30, -1e3, -50.0, -17.0, 0.0, 17.0, 50.0, 1e3, 1e30):
        with torch.no_grad():
            neuron.get_parameter(f"{name}_raw").fill_(raw)
        value = getattr(neuron, name)
        assert low < value.item() < high
        (gradient,) = torch.autograd.grad(value, neuron.parameters())
        assert gradient.isfinite()


@pytest.mark.parametrize(("name", "edge"), [("below", 5.0), ("above", -1.0), ("interval", 4.0)])
def test_a_constant_on_the_edge_of_its_range_cannot_be_learned(name, edge):
    assert getattr(Scaled(**{name: edge}), name) == edge
    with pytest.raises(WrongOption, match=rf"scaled\.{name}: {edge}\..*not on the edge"):
        Scaled(learn=[name], **{name: edge})


@pytest.mark.parametrize("neuron", [LIF, LI, CUBA, STBP, CTRNN])
def test_a_constant_that_ran_away_gives_gradients_that_are_numbers(neuron):
    constants = [name for name in ("tau", "tau_mem", "tau_syn", "threshold") if name in settings(neuron)]
    for raw in (-1e6, -45.0, 45.0, 1e6):
        lost = neuron(learn=constants)
        with torch.no_grad():
            for parameter in lost.parameters():
                parameter.fill_(raw)
        outputs = lost(CURRENTS, record=["potential"])
        (outputs.outputs.sum() + outputs.records["potential"].sum()).backward()
        assert all(parameter.grad is not None and parameter.grad.isfinite() for parameter in lost.parameters())


@pytest.mark.parametrize(
    ("share", "units", "shape"),
    [
        ("layer", [4], ()),
        ("channel", [4], (4,)),
        ("unit", [4], (4,)),
        ("channel", [2, 3], (2,)),
        ("unit", [2, 3], (2, 3)),
    ],
)
def test_share_says_how_many_values_are_learned(share, units, shape):
    assert LIF(learn=["tau"], share=share, units=units).tau_raw.shape == shape


def test_a_list_of_values_is_learned_one_by_one():
    neuron = LIF(tau=[5.0, 10.0, 20.0], learn=["tau"])
    assert neuron.tau.tolist() == pytest.approx([5.0, 10.0, 20.0])
    neuron(CURRENTS, record=["potential"]).records["potential"].sum().backward()
    assert neuron.tau_raw.grad.shape == (3,)
    assert neuron.tau_raw.grad.all()


def test_learned_values_are_shown_as_they_are_now():
    neuron = LIF(tau=5.0, learn=["tau"])
    with torch.no_grad():
        neuron.tau_raw.fill_(math.log(8.0))
    assert repr(neuron).startswith("LIF(tau=8.0")
    assert repr(LIF(tau=[float(i + 1) for i in range(100)])) == "LIF(tau=100 values, threshold=1.0)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIF(tua=3.0), r"lif\.tua: there is no such option\. Did you mean tau\?"),
        (lambda: LIF(tau=-5.0), r"lif\.tau: -5\.0\. It takes a number in ms, > 0, or a list of them"),
        (lambda: LIF(tau=[1.0, math.nan]), r"lif\.tau: \[1\.0, nan\]"),
        (lambda: LIF(tau=[]), r"lif\.tau: \[\]\. It takes a number"),
        (lambda: LIF(tau=torch.tensor(-1.0)), r"lif\.tau: -1\.0"),
        (lambda: LIF(tau=nn.Parameter(torch.tensor(3.0))), r"lif\.tau: a torch Parameter.*learn=\[tau\]"),
        (lambda: LIF(reset="substract"), r"lif\.reset: 'substract'.*Did you mean subtract\?"),
        (lambda: LIF(learn=["tua"]), r"lif\.learn: 'tua' is no constant of it\. Did you mean tau\?"),
        (lambda: LIF(learn=["reset"]), r"lif\.learn: 'reset' is no constant of it"),
        (lambda: LIF(learn=["tau"], share="unit"), r"lif\.tau: share is unit, and the neuron does not know its units"),
        (lambda: LIF(initial="learned"), r"lif\.initial: learned needs the units"),
        (lambda: LIF(surrogate="atn"), r"surrogate=atn.*Did you mean atan\?"),
        (lambda: LIF(surrogate=None), r"lif\.surrogate: null\. It takes the name of a surrogate"),
        (lambda: LIF(surrogate={"name": "atan", "slope": 1.0}), r"surrogate atan has no such option"),
        (lambda: LIF()(torch.ones(5, 2)), r"lif: currents of shape \(5, 2\)\. It takes \(T, B, \*units\)"),
        (lambda: LIF()(torch.ones(0, 2, 3)), r"lif: currents of shape \(0, 2, 3\)"),
        (lambda: LIF(units=[4])(CURRENTS), r"lif: currents of units \(3,\), where the layer has \[4\]"),
        (lambda: LIF(tau=[1.0, 2.0])(CURRENTS), r"lif\.alpha: 2 values for units of shape \(3,\).*one per unit \(3\)"),
        (lambda: LIF()(CURRENTS, record=["spike"]), r"record='spike' is no field of its state\. Did you mean spikes\?"),
        (lambda: LIF()(CURRENTS, LIF()(CURRENTS[:, :1]).state), r"lif: a state of another kind or shape.*\(2, 3\)"),
        (lambda: LIF()(CURRENTS, LI()(CURRENTS).state), r"lif: a state of another kind or shape"),
        (lambda: setattr(LIF(learn=["tau"]), "tau", 3.0), r"tau is learned"),
    ],
)
def test_what_is_wrong_is_refused_with_a_sentence(make, message):
    with pytest.raises(WrongOption, match=message):
        make()


def test_a_constant_may_be_a_tensor_of_the_units_shape():
    tau = torch.rand(2, 3, dtype=torch.float64) + 5
    currents = torch.ones(4, 1, 2, 3, dtype=torch.float64)
    flat = LIF(tau=tau.flatten())(currents.flatten(2), record=["potential"]).records["potential"]
    whole = LIF(tau=tau)(currents, record=["potential"]).records["potential"]
    torch.testing.assert_close(whole.flatten(2), flat)


def test_a_surrogate_may_be_a_name_a_dict_or_a_function():
    x = torch.linspace(-1, 1, 5)
    by_dict = LIF(surrogate={"name": "gaussian", "a": 0.5}).surrogate(x)
    assert torch.equal(by_dict, gaussian(x, a=0.5))
    assert torch.equal(LIF(surrogate="gaussian").surrogate(x), gaussian(x))
    assert LIF(surrogate=torch.zeros_like).surrogate is torch.zeros_like


def test_whole_numbers_give_currents_and_gradients_like_others():
    outputs = LI()(torch.ones(3, 1, 2, dtype=torch.int64)).outputs
    assert torch.equal(outputs, LI()(torch.ones(3, 1, 2)).outputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_layer_with_recurrent_weights_works_in_any_precision(dtype):
    parts = Dense(inputs=3, units=4), LIF(learn=["tau"], threshold=0.1), Recurrent(inputs=4, units=4)
    layer = Layer(*parts).to(dtype)
    sequence = layer(torch.ones(6, 2, 3, dtype=dtype))
    sequence.outputs.sum().backward()
    assert sequence.outputs.dtype == dtype
    assert sequence.state.potential.dtype == torch.promote_types(dtype, torch.float32)
    assert all(parameter.grad is not None and parameter.grad.dtype == dtype for parameter in layer.parameters())


def test_a_learned_first_state_starts_at_rest():
    neuron = LIF(initial="learned", units=[3])
    assert list(dict(neuron.named_parameters())) == ["initial_potential"]
    assert torch.equal(neuron(CURRENTS).outputs, LIF()(CURRENTS).outputs)


def test_a_default_given_again_in_a_subclass_counts():
    class Fast(LIF):
        tau = 2.0

    class Faster(Fast):
        reset = "none"

    assert settings(Faster)["tau"].default == 2.0
    assert (Faster().tau, Faster().reset, LIF().tau) == (2.0, "none", 20.0)
    assert Faster(learn=["tau"]).tau.item() == pytest.approx(2.0)


def test_a_deep_copy_learns_by_itself():
    neuron = LIF(learn=["tau"])
    twin = copy.deepcopy(neuron)
    with torch.no_grad():
        twin.tau_raw += 1
    assert neuron.tau.item() == pytest.approx(20.0)
    assert twin.tau.item() == pytest.approx(20.0 * math.e)


@pytest.mark.parametrize("lacking", ["State", "step", "constants"])
def test_a_neuron_without_one_of_its_three_parts_is_refused_when_it_is_defined(lacking):
    class State(NamedTuple):
        potential: Tensor

    body = {"State": State, "step": lambda self, current, state: state, "constants": dict, "__module__": __name__}
    del body[lacking]
    with pytest.raises(WrongOption, match=f"Half lacks {lacking}"):
        type("Half", (Neuron,), body)


@pytest.mark.parametrize("method", ["forward", "__init__", "spike", "first_state", "step_constants"])
def test_a_neuron_that_overrides_what_is_the_same_for_all_is_refused(method):
    with pytest.raises(WrongOption, match=f"Own overrides {method}"):
        type("Own", (LIF,), {method: lambda self: None, "__module__": __name__})


def test_a_neuron_with_spikes_alone_has_no_first_state_to_learn():
    class Memoryless(SpikingNeuron):
        threshold: Positive = 1.0

        class State(NamedTuple):
            spikes: Tensor

        def constants(self):
            return {"theta": self.threshold}

        def step(self, current, state, theta):
            return self.State(self.spike(current - theta))

    assert Memoryless()(CURRENTS).outputs.all()
    with pytest.raises(WrongOption, match="nothing but spikes"):
        Memoryless(initial="learned", units=[3])


def test_rest_may_depend_on_constants():
    class Resting(LI):
        level: Constant = -65.0
        tau: Milliseconds = 10.0

        def constants(self):
            return {"alpha": decay(self.dt, self.tau), "level": self.level}

        def rest(self, constants):
            return self.State(constants["level"])

        def step(self, current, state, alpha, level):
            return self.State(level + alpha * (state.potential - level) + current)

    outputs = Resting(level=[-65.0, -60.0, -70.0])(torch.zeros(3, 2, 3)).outputs
    assert outputs.unique(dim=0).tolist() == [[[-65.0, -60.0, -70.0]] * 2]
