"""The command line: `tf-gru-addon train --config ... --workdir ...`."""

from tf_gru_addon.cli.dispatch import COMMANDS as COMMANDS
from tf_gru_addon.cli.dispatch import Command as Command
from tf_gru_addon.cli.dispatch import main as main
from tf_gru_addon.cli.dispatch import run as run
