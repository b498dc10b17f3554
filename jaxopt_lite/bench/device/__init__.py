"""The library on this machine's accelerator: speed, accuracy, and how far equal runs are equal."""
