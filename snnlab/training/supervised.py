"""Tasks: what a run makes smaller. A plugin writes the loss; everything else is the same for all."""

from __future__ import annotations

from torch import Tensor

from snnlab.losses import Loss
from snnlab.parts import Declared
from snnlab.readouts import Readout
from snnlab.registry import register
from snnlab.training.outcome import Outcome


class Task(Declared):
    """What a run makes smaller, from one batch after the network ran over it.

    A task declares its options and writes `loss`; it may write `scored`. The LightningModule around it is the same for
    all: encoder, gradient rule, regularizers, metrics, optimizer, checkpoints.
    """

    def loss(self, outcome: Outcome, loss: Loss) -> Tensor:
        """The loss of a batch, a scalar: a mean over its samples.

        Args:
            outcome: the batch and what the network made of it.
            loss: the loss that was configured.
        """
        raise NotImplementedError(f"{type(self).__name__}.loss: a task must write it")

    def scored(self, outcome: Outcome, readout: Readout) -> tuple[Tensor, Tensor]:
        """What metrics compare: scores (N, outputs) and targets (N, …), one row a sample, or one a valid step."""
        scores = readout(outcome.field(readout.field), outcome.mask).detach()
        targets = outcome.batch.targets
        if targets.is_floating_point() and targets.dim() == 1 and scores.shape[-1] == 1:
            targets = targets[:, None]  # one number a sample, as metrics compare it
        if scores.dim() == 2:
            return scores, targets
        steps = scores.shape[0]
        if targets.shape[:2] != scores.shape[:2]:  # a target for the sample holds at every step
            targets = targets.expand(steps, *targets.shape)
        if outcome.mask is not None:
            return scores[outcome.mask], targets[outcome.mask]
        return scores.flatten(0, 1), targets.flatten(0, 1)


@register("task")
class Supervised(Task):
    """Samples with targets: the configured loss between the last layer and the target."""

    def loss(self, outcome: Outcome, loss: Loss) -> Tensor:
        """The configured loss, masked where the batch has a mask."""
        return loss(outcome.field(loss.field), outcome.batch.targets, outcome.mask)
