"""How accurate is configs/japanese_vowels.yaml over several seeds?

    python -m benchmarks.japanese_vowels [--epochs N]

The script trains it with the seeds 0 to 4 in a temporary folder. It prints the test
accuracy and the training seconds of each run, and the median accuracy.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tf_gru_addon.config import load_config
from tf_gru_addon.training import train

CONFIG = Path(__file__).parents[1] / "configs" / "japanese_vowels.yaml"
SEEDS = range(5)


def main():
    """Trains with each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="instead of those of the config")
    epochs = parser.parse_args().epochs
    changes = [f"training.epochs={epochs}"] if epochs else []
    accuracies = []
    for seed in SEEDS:
        config = load_config(CONFIG, [*changes, f"training.seed={seed}"])
        unread = contextlib.redirect_stdout(io.StringIO())  # a line an epoch
        with tempfile.TemporaryDirectory() as folder, unread:
            metrics = train(config, folder)
        accuracies.append(metrics["parts"]["test"]["accuracy"])
        print(
            f"seed {seed}: {accuracies[-1]:.4f}, {metrics['seconds']:.1f} s", flush=True
        )
    print(f"median: {statistics.median(accuracies):.4f}")


if __name__ == "__main__":
    main()
