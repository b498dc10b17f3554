"""What passes through the layers of a Flax module: pre-activations, activations, derivatives and gradients."""

from jaxopt_lite.flax._capture.network import Network as Network
from jaxopt_lite.flax._capture.network import network as network
from jaxopt_lite.flax._capture.observe import Observed as Observed
from jaxopt_lite.flax._capture.observe import Signal as Signal
from jaxopt_lite.flax._capture.observe import observe as observe
