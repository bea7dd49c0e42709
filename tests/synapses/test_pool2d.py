"""Pooling against averages and maxima written out."""

from __future__ import annotations

import pytest
import torch

from snnlab.errors import WrongOption
from snnlab.synapses import Pool2d


def pictures(rng, *shape) -> torch.Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def windows(picture: list, kernel: int, stride: int, margin: int) -> list:
    """The numbers in each window of a picture [row][column]; None outside of it."""
    height, width = len(picture), len(picture[0])
    return [
        [
            [
                picture[top + m][left + n] if 0 <= top + m < height and 0 <= left + n < width else None
                for m in range(kernel)
                for n in range(kernel)
            ]
            for left in range(-margin, width + margin - kernel + 1, stride)
        ]
        for top in range(-margin, height + margin - kernel + 1, stride)
    ]


def average(numbers: list) -> float:
    return sum(number or 0.0 for number in numbers) / len(numbers)


def largest(numbers: list) -> float:
    return max(number for number in numbers if number is not None)


@pytest.mark.parametrize(("pooling", "reduced"), [("average", average), ("max", largest)])
@pytest.mark.parametrize(
    ("given", "kernel", "stride", "margin"),
    [
        ({"kernel": 2}, 2, 2, 0),
        ({"kernel": 2, "stride": 1}, 2, 1, 0),
        ({"kernel": 3}, 3, 3, 0),
        ({"kernel": 3, "padding": "same", "stride": 2}, 3, 2, 1),
        ({"kernel": 1}, 1, 1, 0),
    ],
)
def test_each_unit_sees_a_window_of_its_channel(given, kernel, stride, margin, pooling, reduced, rng):
    synapse, x = Pool2d(inputs=[2, 5, 7], pooling=pooling, **given), pictures(rng, 2, 3, 2, 5, 7)
    currents = synapse(x)
    assert list(currents.shape) == [2, 3, *synapse.units]
    for step in range(2):
        for sample in range(3):
            for channel in range(2):
                places = windows(x[step, sample, channel].tolist(), kernel, stride, margin)
                expected = torch.tensor([[reduced(numbers) for numbers in row] for row in places], dtype=torch.float64)
                assert torch.allclose(currents[step, sample, channel], expected, rtol=1e-12, atol=1e-15)


def test_an_average_of_spikes_is_the_part_that_fired():
    spikes = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])[None, None, None]
    assert Pool2d(inputs=[1, 2, 4], kernel=2)(spikes).flatten().tolist() == [0.25, 1.0]


def test_its_gradient_is_spread_over_the_window(rng):
    x = pictures(rng, 2, 3, 2, 4, 4).requires_grad_()
    Pool2d(inputs=[2, 4, 4], kernel=2)(x).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 0.25))


def test_rows_and_columns_that_no_window_reaches_are_left_out(rng):
    x = pictures(rng, 1, 1, 1, 7, 5)
    synapse, whole = Pool2d(inputs=[1, 7, 5], kernel=2), Pool2d(inputs=[1, 6, 4], kernel=2)
    assert synapse.units == [1, 3, 2]
    assert torch.equal(synapse(x), whole(x[..., :6, :4]))


def test_it_has_nothing_to_learn():
    assert not list(Pool2d(inputs=[2, 4, 4], kernel=2).parameters())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 5}, "pool2d: a window of 5 x 5 on pictures of 4 x 6"),
        ({"kernel": 2, "padding": "same"}, "pool2d.padding: same. With an even kernel"),
        ({"kernel": 2, "pooling": "mean"}, "pool2d.pooling: 'mean'. It takes average | max"),
        ({"kernel": 2, "channels": 3}, "pool2d.channels: there is no such option"),
    ],
)
def test_what_it_does_not_take_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        Pool2d(inputs=[2, 4, 6], **given)
