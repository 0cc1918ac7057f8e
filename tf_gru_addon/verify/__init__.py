"""Is it still the same model? The inputs to compare on, the measure, the tolerance."""

from tf_gru_addon.verify.comparison import Comparison as Comparison
from tf_gru_addon.verify.comparison import compare as compare
from tf_gru_addon.verify.comparison import compare_outputs as compare_outputs
from tf_gru_addon.verify.inputs import Arrays as Arrays
from tf_gru_addon.verify.inputs import Run as Run
from tf_gru_addon.verify.inputs import example_inputs as example_inputs
from tf_gru_addon.verify.inputs import run_model as run_model
from tf_gru_addon.verify.inputs import why_not as why_not
from tf_gru_addon.verify.perturbation import rounding as rounding
from tf_gru_addon.verify.perturbation import tolerance as tolerance
