"""What Lightning does under Slurm by itself and must not, and what it cannot know."""

from __future__ import annotations

import re
import socket
import subprocess

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.trainer.connectors.checkpoint_connector import _CheckpointConnector


def address_of_first(nodes: str) -> str:
    """Where the first of some nodes is reached: by its name or, where names do not resolve, as Slurm reaches it.

    Args:
        nodes: as Slurm writes them: n1,n2 or gpu[07-12].
    """
    name = SLURMEnvironment.resolve_root_node_address(nodes)
    try:
        socket.getaddrinfo(name, None)
        return name
    except OSError:
        pass
    try:
        said = subprocess.run(["scontrol", "-o", "show", "node", name], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return name
    found = re.search(r"\bNodeAddr=(\S+)", said.stdout)
    return found[1] if found else name


def with_own_checkpoints(trainer: Trainer) -> Trainer:
    """A Trainer that goes on from no checkpoint but the one that it is given."""
    trainer._checkpoint_connector = _OwnCheckpoints(trainer)
    return trainer


class _OwnCheckpoints(_CheckpointConnector):
    """Under Slurm, Lightning's looks into the run's folder for a checkpoint that it may have written at a signal."""

    _hpc_resume_path = None
