"""Is it still the same model? Inputs to compare on, the comparison, its tolerance."""

from tf_gru_addon.verify.comparison import Comparison as Comparison
from tf_gru_addon.verify.comparison import compare as compare
from tf_gru_addon.verify.comparison import severity as severity
from tf_gru_addon.verify.inputs import Arrays as Arrays
from tf_gru_addon.verify.inputs import Run as Run
from tf_gru_addon.verify.inputs import example_inputs as example_inputs
from tf_gru_addon.verify.inputs import run_model as run_model
from tf_gru_addon.verify.inputs import why_not as why_not
from tf_gru_addon.verify.perturbation import FACTOR as FACTOR
from tf_gru_addon.verify.perturbation import Verdict as Verdict
from tf_gru_addon.verify.perturbation import decidable as decidable
from tf_gru_addon.verify.perturbation import judge as judge
from tf_gru_addon.verify.perturbation import limit as limit
from tf_gru_addon.verify.perturbation import rounding as rounding
