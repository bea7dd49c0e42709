"""Composition: from the command line and conf/ to the configuration of a run, by Hydra."""

from snnlab.composition.compose import Composer

__all__ = ["Composer"]
