"""Initial weights that keep the mean square of signals, and of gradients with `activations.shaped`.

They have the signature of `jax.nn.initializers`, `(key, shape, dtype)`, and work in NNX, in Linen and by hand:
`nnx.Linear(64, 64, kernel_init=initializers.orthogonal(), rngs=rngs)`.
"""

from jaxopt_lite.activations.initializers._kernels import normal as normal
from jaxopt_lite.activations.initializers._kernels import orthogonal as orthogonal
