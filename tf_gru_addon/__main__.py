"""`python -m tf_gru_addon`."""

from tf_gru_addon.cli import run

if __name__ == "__main__":
    run()
