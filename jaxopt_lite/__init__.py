"""Activation functions, optax-compatible optimizers and hyperparameter sweeps for JAX and Flax."""
