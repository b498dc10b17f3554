"""Activation functions: accurate to the last bit, lean in memory, and a catalogue of what is known of them."""

from jaxopt_lite.activations._bind import Bound as Bound
from jaxopt_lite.activations._bind import bind as bind
from jaxopt_lite.activations._catalogue import CATALOGUE as CATALOGUE
from jaxopt_lite.activations._catalogue import Activation as Activation
from jaxopt_lite.activations._elu import elu as elu
from jaxopt_lite.activations._elu import selu as selu
from jaxopt_lite.activations._gelu import gelu as gelu
from jaxopt_lite.activations._rectified import binary_step as binary_step
from jaxopt_lite.activations._rectified import identity as identity
from jaxopt_lite.activations._rectified import leaky_relu as leaky_relu
from jaxopt_lite.activations._rectified import prelu as prelu
from jaxopt_lite.activations._rectified import relu as relu
from jaxopt_lite.activations._sigmoid import sigmoid as sigmoid
from jaxopt_lite.activations._silu import silu as silu
from jaxopt_lite.activations._softmax import softmax as softmax
from jaxopt_lite.activations._softplus import softplus as softplus
from jaxopt_lite.activations._tanh import tanh as tanh
