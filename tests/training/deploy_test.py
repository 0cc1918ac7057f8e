import pytest

from tf_gru_addon.export import ExportError, targets
from tf_gru_addon.training import RunError, WorkdirError
from tf_gru_addon.training.deploy import deploy, print_deployment


@pytest.fixture(autouse=True)
def _saved_model_alone(monkeypatch):
    """What needs nothing that is not installed."""
    monkeypatch.setattr(
        targets, "TARGETS", {"saved_model": targets.TARGETS["saved_model"]}
    )
    monkeypatch.setattr("tf_gru_addon.training.deploy.TARGETS", targets.TARGETS)


def _refuse(model, path, **options):
    raise ExportError("bidirectional: it cannot be held.")


def test_every_form_says_the_same(run, tmp_path, monkeypatch, capsys):
    target = targets.target_of("saved_model")
    monkeypatch.setitem(
        targets.TARGETS, "other", lambda: target._replace(export=_refuse)
    )
    trained, served, step, refused, _ = forms = deploy(run[0], tmp_path / "deployed")
    names = ["saved_model", "saved_model, a step", "other", "other, a step"]
    assert [form.name for form in forms] == ["Keras", *names]
    assert served.accuracy == trained.accuracy > 0.5
    assert served.agreeing == 1
    assert served.max_error < 1e-5
    assert min(served.size, served.latency_ms, trained.size, trained.latency_ms) > 0
    assert "bidirectional" in step.refusal
    assert (tmp_path / "deployed" / "saved_model" / "saved_model.pb").exists()
    png = (tmp_path / "deployed" / "deployment.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    print_deployment(forms, "deployed")
    out = capsys.readouterr().out
    assert f"{trained.accuracy:.4f}" in out
    assert "no other: bidirectional: it cannot be held." in out
    assert refused.refusal
    with pytest.raises(ExportError, match="deployed: exists already"):
        deploy(run[0], tmp_path / "deployed")


def test_a_form_that_says_something_else(run, tmp_path, monkeypatch):
    target = targets.target_of("saved_model")

    def wrong(path, model):
        right = target.open(path, model)
        return lambda arrays: [-right(arrays)[0]]

    changed = target._replace(open=wrong)
    monkeypatch.setitem(targets.TARGETS, "saved_model", lambda: changed)
    with pytest.raises(RunError, match=r"saved_model: it says of \d+.*% of the test"):
        deploy(run[0], tmp_path / "deployed")


def test_a_form_with_other_numbers(run, tmp_path, monkeypatch):
    target = targets.target_of("saved_model")

    def export(model, path, **options):
        return target.export(model, path, **options | {"tolerance": -1.0})

    changed = target._replace(export=export)
    monkeypatch.setitem(targets.TARGETS, "saved_model", lambda: changed)
    with pytest.raises(ExportError, match="differs from the model"):
        deploy(run[0], tmp_path / "deployed")


def test_no_run(tmp_path):
    with pytest.raises(WorkdirError, match="there is no trained model"):
        deploy(tmp_path / "no", tmp_path / "deployed")
    assert not (tmp_path / "deployed").exists()
