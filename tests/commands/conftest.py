"""What the tests of commands share."""

from __future__ import annotations

import pytest


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Words that make a run last a fraction of a second."""
    return ("trainer.max_epochs=2", "network.hidden=[32]", "plots=false")
