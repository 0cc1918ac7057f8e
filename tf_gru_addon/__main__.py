"""`python -m tf_gru_addon`."""

from .cli import run

if __name__ == "__main__":
    run()
