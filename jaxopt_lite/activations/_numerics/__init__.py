"""Accurate elementary functions that several activations share."""
