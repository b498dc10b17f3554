"""Linen layers: activations with learned settings, and dense layers that keep only their inputs."""

from jaxopt_lite.flax.linen._dense import ActDense as ActDense
from jaxopt_lite.flax.linen._dense import GatedDense as GatedDense
from jaxopt_lite.flax.linen._learned import PELU as PELU
from jaxopt_lite.flax.linen._learned import AconC as AconC
from jaxopt_lite.flax.linen._learned import PReLU as PReLU
from jaxopt_lite.flax.linen._learned import Rational as Rational
from jaxopt_lite.flax.linen._learned import Snake as Snake
from jaxopt_lite.flax.linen._learned import SReLU as SReLU
from jaxopt_lite.flax.linen._learned import Swish as Swish
