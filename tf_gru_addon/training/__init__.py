"""Runs of a config: train, resume, evaluate and export.

This needs the extra `[train]`.
"""

from tf_gru_addon.config.extras import missing_extra

try:  # now, so that a run does not fail at its end, where it plots
    import matplotlib as matplotlib
    import tensorboard as tensorboard
except ImportError as error:
    raise missing_extra(error) from error

from tf_gru_addon.training.errors import RunError as RunError
from tf_gru_addon.training.errors import WorkdirError as WorkdirError
from tf_gru_addon.training.evaluate import evaluate as evaluate
from tf_gru_addon.training.export import export as export
from tf_gru_addon.training.train import train as train
