"""Reports of sweeps: a table, heat maps, learning curves, one self-contained page; cards of activations and optimizers.

These functions read results and train nothing.
"""

from jaxopt_lite.report._activation_cards import activation_card as activation_card
from jaxopt_lite.report._activation_cards import activation_gallery as activation_gallery
from jaxopt_lite.report._activation_cards import activation_picture as activation_picture
from jaxopt_lite.report._curves import curves as curves
from jaxopt_lite.report._heatmap import heatmaps as heatmaps
from jaxopt_lite.report._optimizer_cards import optimizer_card as optimizer_card
from jaxopt_lite.report._optimizer_cards import optimizer_picture as optimizer_picture
from jaxopt_lite.report._page import page as page
from jaxopt_lite.report._table import table as table
