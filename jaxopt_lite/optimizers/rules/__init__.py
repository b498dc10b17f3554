"""The optimizers: one rule a file."""
