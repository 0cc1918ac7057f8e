import keras
import pytest

from tf_gru_addon.training import WorkdirError, evaluate


def test_the_metrics_are_those_of_the_saved_model(run, test_data):
    path, metrics = run
    model = keras.saving.load_model(path / "model.keras")
    result = model.evaluate(
        test_data.frames, test_data.labels, verbose=0, return_dict=True
    )
    for name, value in result.items():
        assert value == pytest.approx(metrics["parts"]["test"][name], abs=1e-6)


def test_evaluate_gives_the_same_metrics_again(run):
    path, metrics = run
    again = evaluate(path)
    assert again["parameters"] == metrics["parameters"]
    for name, part in metrics["parts"].items():
        assert again["parts"][name] == pytest.approx(part, abs=1e-6)


def test_a_damaged_model_is_refused(run, tmp_path):
    for name in ("config.yaml", "model.keras"):
        (tmp_path / name).write_bytes((run[0] / name).read_bytes())
    (tmp_path / "model.keras").write_bytes(b"PK")
    with pytest.raises(WorkdirError, match=r"model\.keras: cannot be loaded"):
        evaluate(tmp_path)
