"""A run of a config: train, evaluate, export, and go on after an interruption.

Needs the packages of the extra `[train]`.
"""

from ..config.extras import missing_extra

try:  # and not at the end of a run, where the plot or the table would fail
    import matplotlib as matplotlib
    import tensorboard as tensorboard
except ImportError as error:
    raise missing_extra(error) from error

from .errors import RunError as RunError
from .errors import WorkdirError as WorkdirError
from .evaluate import evaluate as evaluate
from .export import export as export
from .train import train as train
