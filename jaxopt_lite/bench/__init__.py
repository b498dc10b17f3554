"""Measured against the alternatives at their best, in one run."""

from jaxopt_lite.bench._sweep import render_sweep as render_sweep
from jaxopt_lite.bench._sweep import sweep as sweep
