"""The commands that train and evaluate."""

from __future__ import annotations

import os

from absl import flags

from tf_gru_addon.cli.command import Flag, command
from tf_gru_addon.cli.errors import UsageError


@command(
    Flag("config", "the config file; with --resume, the run's own by default"),
    Flag("set", "change a key: --set training.epochs=5", flags.DEFINE_multi_string, []),
    Flag("workdir", "the folder to write to", required=True),
    Flag("resume", "continue the run in --workdir", flags.DEFINE_boolean, False),
    is_light=True,
)
def train(*, config: str | None, set: list[str], workdir: str, resume: bool) -> None:
    """Train the model that a config describes."""
    from tf_gru_addon.config import load_config
    from tf_gru_addon.config.load import named

    path = config or os.path.join(workdir, "config.yaml")
    if config is None and not resume:
        raise UsageError("train needs --config (or --resume).")
    if config is None and not os.path.exists(path):
        raise UsageError(f"{workdir}: there is no run to resume. Give --config.")
    loaded = load_config(path, set)
    from tf_gru_addon import training
    from tf_gru_addon.training.report import print_report

    with named(path, set):
        metrics = training.train(loaded, workdir, resume=resume)
    print_report(metrics, workdir)


@command(Flag("workdir", "the folder of a finished run", required=True))
def evaluate(*, workdir: str) -> None:
    """Measure a trained model again."""
    from tf_gru_addon import training
    from tf_gru_addon.training.report import print_report

    print_report(training.evaluate(workdir), workdir)
