"""Flax: the optimizer for NNX, layers, and modules as pure functions."""

from jaxopt_lite.flax._capture import Network as Network
from jaxopt_lite.flax._capture import Observed as Observed
from jaxopt_lite.flax._capture import Signal as Signal
from jaxopt_lite.flax._capture import network as network
from jaxopt_lite.flax._capture import observe as observe
from jaxopt_lite.flax._dense import ActDense as ActDense
from jaxopt_lite.flax._dense import GatedDense as GatedDense
from jaxopt_lite.flax._embedding import Embedding as Embedding
from jaxopt_lite.flax._embedding import Rows as Rows
from jaxopt_lite.flax._functional import Weights as Weights
from jaxopt_lite.flax._functional import arrays_of as arrays_of
from jaxopt_lite.flax._functional import assembled as assembled
from jaxopt_lite.flax._functional import initialise as initialise
from jaxopt_lite.flax._functional import outputs as outputs
from jaxopt_lite.flax._learned import PELU as PELU
from jaxopt_lite.flax._learned import AconC as AconC
from jaxopt_lite.flax._learned import PReLU as PReLU
from jaxopt_lite.flax._learned import Rational as Rational
from jaxopt_lite.flax._learned import Snake as Snake
from jaxopt_lite.flax._learned import SReLU as SReLU
from jaxopt_lite.flax._learned import Swish as Swish
from jaxopt_lite.flax._mlp import MLP as MLP
from jaxopt_lite.flax._optimizer import Optimizer as Optimizer
