"""Activations whose networks keep the size of signals and gradients at any depth."""
