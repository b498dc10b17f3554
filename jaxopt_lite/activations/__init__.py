"""Activation functions: accurate, lean in memory, and with a catalogue of their properties.

Any function of one array is an activation: pass it where one of this package goes. To have it in `jaxopt-lite list`,
`explain` and the sweeps by name, register it; `check` tests it against the laws that this package's functions obey.

**Outside the package**, in a file `mine.py`:

    ::

        import jax.numpy as jnp
        from jaxopt_lite import activations as act

        def star_relu(x, scale=0.8944, bias=-0.4472):
            return scale * jnp.where(x > 0, x * x, 0 * x) + bias

        act.register(
            star_relu,
            formula="scale * max(x, 0)^2 + bias",
            use="feed-forward layers of vision transformers",
            weakness="grows quadratically",
            reference="Yu et al. 2022, MetaFormer baselines for vision",
            initial={"scale": 0.8944, "bias": -0.4472},
        )

`act.check("star_relu")` then tests it, and `jaxopt-lite sweep --activation mine.py:star_relu,tanh` sweeps it.

**Inside the package**, write three things. The function, in `jaxopt_lite/activations/_tent.py`:

    ::

        \"\"\"The tent, max(0, 1 - |x|).\"\"\"

        import jax
        import jax.numpy as jnp

        from jaxopt_lite.activations._formulas import elementwise

        @elementwise(lambda x: jnp.where(jnp.abs(x) < 1, -jnp.sign(x), 0 * x))
        def tent(x: jax.Array) -> jax.Array:
            \"\"\"max(0, 1 - |x|), elementwise.\"\"\"
            return jnp.maximum(1 - jnp.abs(x), 0)

Its line among the others in `jaxopt_lite/activations/__init__.py`:

    ::

        from jaxopt_lite.activations._tent import tent as tent

And its row in `catalogue.toml`, which the tests verify:

    ::

        [tent]
        formula = "max(0, 1 - |x|)"
        kind = "elementwise"
        range = [0.0, 1.0]
        zero_centred = false
        monotone = false
        smooth = false
        saturates = ["left", "right"]
        kinks = [-1.0, 0.0, 1.0]
        gain = 1.985949
        keeps = "input"
        use = "local features"
        weakness = "no gradient beyond 1"
        reference = "A hat function of finite elements; Courant 1943"

The tests in this repository also compare it with a float64 formula: add that to `bench/_activation_truth.py`.
"""

from typing import TYPE_CHECKING

from jaxopt_lite.activations import initializers as initializers
from jaxopt_lite.activations._algebraic import soft_sign as soft_sign
from jaxopt_lite.activations._algebraic import squareplus as squareplus
from jaxopt_lite.activations._bind import Bound as Bound
from jaxopt_lite.activations._bind import bind as bind
from jaxopt_lite.activations._dense import act_dense as act_dense
from jaxopt_lite.activations._dense import gated_dense as gated_dense
from jaxopt_lite.activations._elu import celu as celu
from jaxopt_lite.activations._elu import elu as elu
from jaxopt_lite.activations._elu import pelu as pelu
from jaxopt_lite.activations._elu import selu as selu
from jaxopt_lite.activations._gaussian import gaussian as gaussian
from jaxopt_lite.activations._gelu import gelu as gelu
from jaxopt_lite.activations._gelu import gelu_exact as gelu_exact
from jaxopt_lite.activations._glu import bilinear as bilinear
from jaxopt_lite.activations._glu import geglu as geglu
from jaxopt_lite.activations._glu import glu as glu
from jaxopt_lite.activations._glu import reglu as reglu
from jaxopt_lite.activations._glu import swiglu as swiglu
from jaxopt_lite.activations._hard import hard_sigmoid as hard_sigmoid
from jaxopt_lite.activations._hard import hard_silu as hard_silu
from jaxopt_lite.activations._hard import hard_tanh as hard_tanh
from jaxopt_lite.activations._hard import sparse_plus as sparse_plus
from jaxopt_lite.activations._hard import sparse_sigmoid as sparse_sigmoid
from jaxopt_lite.activations._maxout import crelu as crelu
from jaxopt_lite.activations._maxout import maxout as maxout
from jaxopt_lite.activations._mish import mish as mish
from jaxopt_lite.activations._periodic import sine as sine
from jaxopt_lite.activations._periodic import snake as snake
from jaxopt_lite.activations._rational import rational as rational
from jaxopt_lite.activations._rectified import binary_step as binary_step
from jaxopt_lite.activations._rectified import identity as identity
from jaxopt_lite.activations._rectified import leaky_relu as leaky_relu
from jaxopt_lite.activations._rectified import prelu as prelu
from jaxopt_lite.activations._rectified import relu as relu
from jaxopt_lite.activations._rectified import relu6 as relu6
from jaxopt_lite.activations._rectified import relu_squared as relu_squared
from jaxopt_lite.activations._rectified import threshold as threshold
from jaxopt_lite.activations._shaping.gain import gain as gain
from jaxopt_lite.activations._shaping.shaped import Shaped as Shaped
from jaxopt_lite.activations._shaping.shaped import shaped as shaped
from jaxopt_lite.activations._shrink import hardshrink as hardshrink
from jaxopt_lite.activations._shrink import softshrink as softshrink
from jaxopt_lite.activations._shrink import tanhshrink as tanhshrink
from jaxopt_lite.activations._sigmoid import log_sigmoid as log_sigmoid
from jaxopt_lite.activations._sigmoid import sigmoid as sigmoid
from jaxopt_lite.activations._softmax import log_softmax as log_softmax
from jaxopt_lite.activations._softmax import softmax as softmax
from jaxopt_lite.activations._softplus import softplus as softplus
from jaxopt_lite.activations._sparsemax import sparsemax as sparsemax
from jaxopt_lite.activations._srelu import srelu as srelu
from jaxopt_lite.activations._swish import acon_c as acon_c
from jaxopt_lite.activations._swish import quick_gelu as quick_gelu
from jaxopt_lite.activations._swish import silu as silu
from jaxopt_lite.activations._swish import swish as swish
from jaxopt_lite.activations._tanh import tanh as tanh

# The catalogue looks functions up in this package, so it comes after them.
# isort: split
from jaxopt_lite.activations._catalogue import CATALOGUE as CATALOGUE
from jaxopt_lite.activations._catalogue import Activation as Activation
from jaxopt_lite.activations._formulas import elementwise as elementwise
from jaxopt_lite.activations._laws import check as check
from jaxopt_lite.activations._register import register as register

if not TYPE_CHECKING:  # a type checker would take any name as defined
    from jaxopt_lite.activations._missing import __getattr__ as __getattr__
