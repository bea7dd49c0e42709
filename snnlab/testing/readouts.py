"""The promises of readouts, as checks over a built readout."""

from __future__ import annotations

import torch
from torch import Tensor

from snnlab.readouts import Readout

STEPS, SAMPLES, UNITS = 6, 4, 3
LENGTHS = (6, 4, 1, 3)


def check_it_gives_a_score_for_each_unit(readout: Readout) -> None:
    """Finite scores (B, units), or (T, B, units)."""
    for outputs in (_outputs(readout), torch.zeros(STEPS, SAMPLES, UNITS)):
        scores = readout(outputs)
        shapes = ((SAMPLES, UNITS), (STEPS, SAMPLES, UNITS))
        assert scores.shape in shapes, f"it gives scores of shape {tuple(scores.shape)}, neither of {shapes}"
        assert bool(scores.isfinite().all()), "a score is NaN or infinite"


def check_padding_has_no_effect(readout: Readout) -> None:
    """What stands at invalid steps changes no score of a sample or of a valid step."""
    mask = _mask()
    clean = torch.where(mask[..., None], _outputs(readout), 0.0)
    scores = _valid(readout(clean, mask), mask)
    for garbage in (1e4, -1e4, torch.inf):
        others = _valid(readout(torch.where(mask[..., None], clean, garbage), mask), mask)
        assert torch.equal(scores, others), f"{garbage:g} at invalid steps changes the scores"


def check_a_padded_sample_is_worth_the_same_alone(readout: Readout) -> None:
    """A sample padded to a longer batch has the scores that it has when cut to its own length."""
    outputs, mask = _outputs(readout), _mask()
    padded = readout(outputs, mask)
    for sample, length in enumerate(LENGTHS):
        alone = readout(outputs[:length, sample : sample + 1])
        mine = padded[:length, sample : sample + 1] if padded.dim() == 3 else padded[sample : sample + 1]
        assert torch.allclose(alone, mine), f"a sample of {length} steps has other scores alone and padded to {STEPS}"


def check_a_mask_of_valid_steps_is_no_mask(readout: Readout) -> None:
    """True everywhere is the same as None."""
    everywhere = torch.ones(STEPS, SAMPLES, dtype=torch.bool)
    masked, plain = readout(_outputs(readout), everywhere), readout(_outputs(readout))
    assert torch.allclose(masked, plain), "with a mask that is all True the scores are other ones than without"


def check_each_unit_is_scored_at_its_place(readout: Readout) -> None:
    """Units and samples in another order have the same scores, in that order."""
    units, samples, mask = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2]), _mask()
    outputs = _outputs(readout)
    scores, moved = readout(outputs, mask), readout(outputs[:, samples][..., units], mask[:, samples])
    wanted = scores[..., units][..., samples, :]
    assert torch.allclose(wanted, moved), "units or samples in another order have other scores"


def check_a_unit_that_is_more_active_scores_higher(readout: Readout) -> None:
    """The highest score names the class: more at every step is a higher score."""
    outputs = torch.zeros(STEPS, SAMPLES, UNITS)
    outputs[..., 1] = 1
    best = set(readout(outputs).argmax(-1).flatten().tolist())
    assert best == {1}, f"where unit 1 alone is active, the highest scores are those of {sorted(best)}"


def check_float64_is_kept(readout: Readout) -> None:
    """float64 outputs give float64 scores, and float32 ones nearly the same."""
    double, single = readout(_outputs(readout)), readout(_outputs(readout).float())
    assert double.dtype == torch.float64, f"float64 outputs give scores of {double.dtype}"
    assert torch.allclose(double.float(), single, rtol=1e-5, atol=1e-6), "float32 and float64 give other scores"


def check_its_arguments_are_left_as_they_were(readout: Readout) -> None:
    """Outputs and mask are not changed in place."""
    given = (_outputs(readout), _mask())
    before = [tensor.clone() for tensor in given]
    readout(*given)
    assert all(map(torch.equal, given, before)), "it changes its arguments"


def _outputs(readout: Readout) -> Tensor:
    outputs = torch.randn(STEPS, SAMPLES, UNITS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (outputs > 0).double() if readout.field == "spikes" else outputs


def _mask() -> Tensor:
    return torch.arange(STEPS)[:, None] < torch.tensor(LENGTHS)


def _valid(scores: Tensor, mask: Tensor) -> Tensor:
    """The scores that count: those of valid steps, where each step has its own."""
    return scores[mask] if scores.dim() == 3 else scores


CHECKS = (
    check_it_gives_a_score_for_each_unit,
    check_padding_has_no_effect,
    check_a_padded_sample_is_worth_the_same_alone,
    check_a_mask_of_valid_steps_is_no_mask,
    check_each_unit_is_scored_at_its_place,
    check_a_unit_that_is_more_active_scores_higher,
    check_float64_is_kept,
    check_its_arguments_are_left_as_they_were,
)
