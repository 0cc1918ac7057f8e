from tf_gru_addon.training.plot import plot_history


def test_the_plot_is_a_picture(run):
    content = (run[0] / "training.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1350, 540)


def test_a_plot_of_a_long_run_without_validation(tmp_path):
    path = tmp_path / "a.png"
    history = [{"loss": 0.8**i, "accuracy": 1 - 0.8**i} for i in range(60)]
    plot_history(history, path, "mine")
    assert path.read_bytes().startswith(b"\x89PNG")
