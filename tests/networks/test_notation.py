"""Hidden layers as papers write them."""

from __future__ import annotations

import pytest

from snnlab.errors import WrongOption
from snnlab.networks import LayerPlan, hidden_layers


def test_the_notation_of_papers_is_read():
    assert hidden_layers("15C5-P2-40C5-P2-300") == [
        LayerPlan("convolution", units=15, kernel=5),
        LayerPlan("pooling", kernel=2),
        LayerPlan("convolution", units=40, kernel=5),
        LayerPlan("pooling", kernel=2),
        LayerPlan("dense", units=300),
    ]


def test_numbers_are_dense_layers():
    assert hidden_layers("30-20") == [LayerPlan(units=30), LayerPlan(units=20)]


@pytest.mark.parametrize("text", ["15C5-P2-40C5-P2-300", "P3", "1C1", "128C3-128C3-P2-10-10"])
def test_a_layer_writes_itself_as_it_was_written(text):
    assert "-".join(layer.text for layer in hidden_layers(text)) == text


@pytest.mark.parametrize(
    ("hidden", "piece"),
    [
        ("15X5-P2", "15X5"),
        ("15c5-P2", "15c5"),
        ("15C-P2", "15C"),
        ("C5-P2", "C5"),
        ("15C5-P", "P"),
        ("15C5-2P", "2P"),
        ("0C5", "0C5"),
        ("15C0", "15C0"),
        ("P0", "P0"),
        ("15C5-0", "0"),
        ("015C5", "015C5"),
        ("15C5--300", ""),
        ("15C5-", ""),
        ("", ""),
        ("15C5 -P2", "15C5 "),
        ("15C5\N{EN DASH}P2", "15C5\N{EN DASH}P2"),
        ("28x28-15C5", "28x28"),
        ("15C5.5", "15C5.5"),
        ("\N{ARABIC-INDIC DIGIT ONE}C1", "\N{ARABIC-INDIC DIGIT ONE}C1"),
    ],
)
def test_a_piece_that_is_none_is_named_with_what_it_takes(hidden, piece):
    with pytest.raises(WrongOption) as error:
        hidden_layers(hidden)
    assert str(error.value).startswith(f"network.hidden: {piece!r} in {hidden!r}. It takes 15C5 (a convolution: ")


@pytest.mark.parametrize("piece", ["1000000C3", "3C1000000", "P1000000", "1000000", "9" * 5000])
def test_a_number_that_is_too_long_is_told_from_a_piece_that_is_none(piece):
    with pytest.raises(WrongOption, match=f"'{piece}' in '8C3-{piece}'. A number has at most six digits"):
        hidden_layers(f"8C3-{piece}")


@pytest.mark.parametrize(("hidden", "where"), [("300-15C5", "15C5 after 300"), ("15C5-300-P2", "P2 after 300")])
def test_pictures_after_a_dense_layer_are_refused(hidden, where):
    with pytest.raises(WrongOption, match=f"network.hidden: {where} in '{hidden}'. A .* it stands before the dense"):
        hidden_layers(hidden)
