"""Benchmarks: the library against the best alternatives, in one run on one machine."""

from jaxopt_lite.bench._activation_page import render_activations as render_activations
from jaxopt_lite.bench._activations import activations as activations
from jaxopt_lite.bench._convolutions import convolutions as convolutions
from jaxopt_lite.bench._convolutions_page import render_convolutions as render_convolutions
from jaxopt_lite.bench._optimizers import OPTIMIZER_SECTIONS as OPTIMIZER_SECTIONS
from jaxopt_lite.bench._optimizers import optimizers as optimizers
from jaxopt_lite.bench._optimizers_page import render_optimizers as render_optimizers
from jaxopt_lite.bench._sweep import sweep as sweep
from jaxopt_lite.bench._sweep_page import render_sweep as render_sweep
from jaxopt_lite.bench.device._device import DEVICE_SECTIONS as DEVICE_SECTIONS
from jaxopt_lite.bench.device._device import device as device
from jaxopt_lite.bench.device._page import render_device as render_device
