"""The promises of encoders, as checks over a built encoder."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from snnlab.draws import Draws
from snnlab.encoders import Encoder
from snnlab.errors import WrongOption
from snnlab.testing.general import NotApplicable

STEPS, SAMPLES, FEATURES = 7, 5, (2, 3)


def check_it_gives_a_sequence(encoder: Encoder) -> None:
    """Finite values, time-major: as many steps as it was told or as the series has, a shape that `features` tells."""
    for features in ((4,), FEATURES):
        inputs = _inputs(encoder, features)
        encoded = encoder(inputs, Draws(0))
        steps = getattr(encoder, "steps", STEPS) if encoder.takes == "still" else STEPS
        wanted = (steps, SAMPLES, *encoder.features(features))
        assert encoded.shape == wanted, (
            f"inputs of shape {tuple(inputs.shape)} give {tuple(encoded.shape)}, not {wanted}"
        )
        assert bool(encoded.isfinite().all()), "a value is NaN or infinite"


def check_the_same_draws_give_the_same_sequence(encoder: Encoder) -> None:
    """A resume, or a second look at val, sees the same."""
    inputs = _inputs(encoder)
    one, other = encoder(inputs, Draws("key", 1)), encoder(inputs, Draws("key", 1))
    assert torch.equal(one, other), "the same inputs and draws give another sequence"


def check_the_global_generator_is_left_alone(encoder: Encoder) -> None:
    """It neither takes from the global generator nor depends on it."""
    inputs = _inputs(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        one = encoder(inputs, Draws(0))
        assert torch.equal(before, torch.get_rng_state()), "it drew from the global generator of torch"
        torch.manual_seed(2)
        assert torch.equal(one, encoder(inputs, Draws(0))), "it depends on the global generator of torch"


def check_the_processes_together_see_the_batch_of_one(encoder: Encoder) -> None:
    """Two processes that share the samples give each the sequence that one process gives it."""
    inputs, axis = _inputs(encoder), 0 if encoder.takes == "still" else 1
    whole = encoder(inputs, Draws(0, size=SAMPLES))
    for rank in range(2):
        mine = torch.arange(rank, SAMPLES, 2)
        draws = Draws(0, rank=rank, world=2, size=SAMPLES)
        part = encoder(inputs.index_select(axis, mine), draws)
        assert torch.equal(part, whole[:, mine]), f"process {rank} of 2 gives its samples another sequence"


def check_a_sample_is_encoded_by_itself(encoder: Encoder) -> None:
    """Another sample in the batch changes nothing for the rest."""
    inputs = _inputs(encoder)
    others = inputs.clone()
    samples = others if encoder.takes == "still" else others.transpose(0, 1)
    samples[0] = 1 - samples[0]
    one, other = encoder(inputs, Draws(0)), encoder(others, Draws(0))
    assert torch.equal(one[:, 1:], other[:, 1:]), "another first sample changes the sequences of the rest"


def check_types_are_kept(encoder: Encoder) -> None:
    """float64 inputs give a float64 sequence."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        encoded = encoder(_inputs(encoder).to(dtype), Draws(0))
        assert encoded.dtype == dtype, f"{dtype} inputs give {encoded.dtype}"


def check_the_inputs_are_left_as_they_were(encoder: Encoder) -> None:
    """They are not changed in place."""
    inputs = _inputs(encoder)
    before = inputs.clone()
    encoder(inputs, Draws(0))
    assert torch.equal(inputs, before), "it changes its inputs"


def check_nan_is_refused(encoder: Encoder) -> None:
    """An input that is NaN does not become silence: it is an error, and says so."""
    inputs = _inputs(encoder)
    inputs[1, 1, 1] = torch.nan
    try:
        encoder(inputs, Draws(0))
    except WrongOption as error:
        assert "nan" in str(error).lower(), f"the error does not speak of NaN: {error}"
        return
    raise AssertionError("NaN among the inputs goes through")


def check_another_number_of_axes_is_refused(encoder: Encoder) -> None:
    """A sample without a batch, or a series where still samples belong, is not guessed at."""
    flat = torch.zeros(3) if encoder.takes == "still" else torch.zeros(3, 2)
    try:
        encoder(flat, Draws(0))
    except WrongOption:
        return
    raise AssertionError(f"inputs of shape {tuple(flat.shape)} go through")


def check_one_step_is_enough(encoder: Encoder) -> None:
    """A sequence may have a single step."""
    inputs, other = _inputs(encoder), copy.copy(encoder)
    if hasattr(other, "steps"):
        other.steps = 1
    elif encoder.takes == "still":
        raise NotApplicable("it has no option steps")
    encoded = other(inputs if encoder.takes == "still" else inputs[:1], Draws(0))
    assert encoded.shape[0] == 1, f"a sequence of one step has {encoded.shape[0]}"
    assert bool(encoded.isfinite().all()), "in a sequence of one step a value is NaN or infinite"


def _inputs(encoder: Encoder, features: tuple[int, ...] = FEATURES) -> Tensor:
    """Intensities in [0, 1], 0 and 1 among them."""
    shape = (SAMPLES, *features) if encoder.takes == "still" else (STEPS, SAMPLES, *features)
    inputs = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    inputs.view(-1)[:2] = torch.tensor([0.0, 1.0])
    return inputs


CHECKS = (
    check_it_gives_a_sequence,
    check_the_same_draws_give_the_same_sequence,
    check_the_global_generator_is_left_alone,
    check_the_processes_together_see_the_batch_of_one,
    check_a_sample_is_encoded_by_itself,
    check_types_are_kept,
    check_the_inputs_are_left_as_they_were,
    check_nan_is_refused,
    check_another_number_of_axes_is_refused,
    check_one_step_is_enough,
)
