"""Reports of sweeps: a table, pictures, one self-contained page; cards of activations and optimizers.

These functions read results and train nothing.
"""

from jaxopt_lite.report._activation_cards import activation_card as activation_card
from jaxopt_lite.report._activation_cards import activation_gallery as activation_gallery
from jaxopt_lite.report._activation_cards import activation_picture as activation_picture
from jaxopt_lite.report._importance import Importance as Importance
from jaxopt_lite.report._importance import importance as importance
from jaxopt_lite.report._optimizer_cards import optimizer_card as optimizer_card
from jaxopt_lite.report._optimizer_cards import optimizer_picture as optimizer_picture
from jaxopt_lite.report._page import page as page
from jaxopt_lite.report._pictures._best_so_far import best_so_far as best_so_far
from jaxopt_lite.report._pictures._curves import curves as curves
from jaxopt_lite.report._pictures._heatmap import heatmaps as heatmaps
from jaxopt_lite.report._pictures._parallel import parallel as parallel
from jaxopt_lite.report._pictures._rungs import rungs as rungs
from jaxopt_lite.report._table import table as table
