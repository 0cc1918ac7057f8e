"""A run of a config: train, evaluate, export, and go on after an interruption.

Needs the packages of the extra `[train]`.
"""

from .errors import RunError as RunError
from .errors import WorkdirError as WorkdirError
from .evaluate import evaluate as evaluate
from .export import export as export
from .train import train as train
