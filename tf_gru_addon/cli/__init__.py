"""The command line: `tf-gru-addon train --config ... --workdir ...`.

One file holds a group of commands. `command` has the registry, `dispatch` parses a
command line.
"""

from tf_gru_addon.cli.command import COMMANDS as COMMANDS
from tf_gru_addon.cli.command import Command as Command
from tf_gru_addon.cli.dispatch import main as main
from tf_gru_addon.cli.dispatch import run as run
