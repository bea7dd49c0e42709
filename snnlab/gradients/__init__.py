"""Gradient rules: ways to run a network whose gradients are exact, or as somebody published them."""

from snnlab.gradients.bptt import bptt

__all__ = ["bptt"]
