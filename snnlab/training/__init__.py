"""Training on Lightning: tasks, adapters, checkpoints, and what a run leaves."""
