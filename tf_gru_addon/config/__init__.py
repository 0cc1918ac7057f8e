"""Models described by a YAML file: read, checked, built.

Needs the packages of the extra `[train]`.
"""

from .build import build_model as build_model
from .errors import ConfigError as ConfigError
from .load import load_config as load_config
from .load import parse_config as parse_config
from .load import save_config as save_config
from .schema import Config as Config
