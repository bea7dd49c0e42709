"""The n-back task: what is shown, and what is asked."""

from __future__ import annotations

import pytest
import torch

from snnlab.data import NBack
from snnlab.errors import WrongOption


def shown(split):
    """The symbol of each sample, and the steps in which it is shown, from the inputs alone."""
    return split.inputs.sum(1).argmax(1).tolist(), split.inputs.sum(2)


@pytest.mark.parametrize("n", [1, 3])
def test_same_is_what_was_shown_n_before_in_its_stream(n):
    data = NBack(n=n, symbols=5, length=9).load()
    for split in data.parts.values():
        streams: dict[int, list[int]] = {}
        symbols, _ = shown(split)
        for symbol, target, stream in zip(symbols, split.targets.tolist(), split.streams.tolist(), strict=True):
            before = streams.setdefault(stream, [])
            assert target == (len(before) >= n and before[-n] == symbol)
            before.append(symbol)
        assert {len(stream) for stream in streams.values()} == {9}


def test_half_of_the_symbols_with_an_answer_are_the_same_and_all_come_as_often():
    split = NBack(train=2000, length=11).load().train
    symbols, _ = shown(split)
    # 20000 draws: four standard deviations are .014 of a half, .012 of a quarter (symbols that repeat count for less).
    assert split.targets.sum() / 20000 == pytest.approx(0.5, abs=0.014)
    assert torch.bincount(torch.tensor(symbols)) / 22000 == pytest.approx(torch.full((4,), 0.25), abs=0.02)


def test_a_symbol_is_shown_at_every_step_or_at_the_rate_asked_for():
    assert bool((shown(NBack().load().train)[1] == 1).all())
    spikes = shown(NBack(rate=0.3, steps=20).load().train)[1]
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    assert spikes.mean() == pytest.approx(0.3, abs=0.01)  # 51200 draws: five standard deviations


def test_streams_too_short_for_an_answer_are_refused():
    with pytest.raises(WrongOption, match=r"n_back\.length: 3\. It takes more symbols than n, 3"):
        NBack(n=3, length=3).load()
