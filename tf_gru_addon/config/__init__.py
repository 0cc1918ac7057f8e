"""Read, check and build models described by a YAML file.

This needs the extra `[train]`.
"""

from tf_gru_addon.config.build import build_model as build_model
from tf_gru_addon.config.errors import ConfigError as ConfigError
from tf_gru_addon.config.load import load_config as load_config
from tf_gru_addon.config.load import parse_config as parse_config
from tf_gru_addon.config.load import save_config as save_config
from tf_gru_addon.config.schema import Config as Config
