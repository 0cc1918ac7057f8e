import dataclasses
import json

import pytest

from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets.saved_model import TARGET
from tf_gru_addon.training import RunError, WorkdirError
from tf_gru_addon.training.deploy import deploy
from tf_gru_addon.training.deployment import Form, print_deployment


def _refuse(*arguments):
    raise ExportError("bidirectional: it cannot be held.")


def test_every_form_gives_the_same_answers(run, tmp_path, capsys):
    other = dataclasses.replace(TARGET, name="other", write=_refuse)
    forms = deploy(run[0], tmp_path / "deployed", [TARGET, other])
    trained, served, step, refused, _ = forms
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
    written = json.loads((tmp_path / "deployed" / "deployment.json").read_text())
    assert written["run"] == "mine"
    assert [form["name"] for form in written["forms"]] == ["Keras", *names]
    assert written["forms"][1]["accuracy"] == served.accuracy
    assert written["forms"][1]["latency_ms"] > 0
    assert written["forms"][3] == {"name": "other", "refusal": refused.refusal}
    print_deployment(forms, "deployed")
    out = capsys.readouterr().out
    assert f"{trained.accuracy:.4f}" in out
    assert "no other: bidirectional: it cannot be held." in out
    assert refused.refusal
    with pytest.raises(ExportError, match="deployed: exists already"):
        deploy(run[0], tmp_path / "deployed", [TARGET])


def test_one_reason_is_given_once(capsys):
    forms = [Form(f"{n}, a step", True, refusal="gru: no step.") for n in ("a", "b")]
    print_deployment([Form("Keras"), *forms], "deployed")
    assert "no a, a step; b, a step: gru: no step." in capsys.readouterr().out


def test_a_form_with_other_answers_is_refused(run, tmp_path):
    opened = []

    def right_once(path, signature):
        right = TARGET.open(path, signature)
        opened.append(path)
        if len(opened) == 1:  # compared on random inputs
            return right
        return right._replace(run=lambda x: {k: -y for k, y in right.run(x).items()})

    target = dataclasses.replace(TARGET, open=right_once)
    with pytest.raises(
        RunError, match=r"saved_model: it predicts another class .* for \d+"
    ):
        deploy(run[0], tmp_path / "deployed", [target])
    assert not list(tmp_path.iterdir())


def test_a_form_with_other_numbers_is_refused(run, tmp_path):
    def wrong(path, signature):
        right = TARGET.open(path, signature)
        return right._replace(
            run=lambda x: {k: y + 0.5 for k, y in right.run(x).items()}
        )

    message = r"deployed/saved_model: the export differs .* by 0.5 .* Nothing was writ"
    target = dataclasses.replace(TARGET, open=wrong)
    with pytest.raises(ExportError, match=message) as error:
        deploy(run[0], tmp_path / "deployed", [target])
    assert error.value.report.path == tmp_path / "deployed" / "saved_model"
    assert not list(tmp_path.iterdir())


def test_packages_are_checked_first(tmp_path):
    target = dataclasses.replace(TARGET, packages=("no_such", "nor_this"))
    message = (
        "forms of a deployment need 'no_such', 'nor_this', which are not installed"
    )
    with pytest.raises(ImportError, match=message):
        deploy(tmp_path / "no_run", tmp_path / "deployed", [target])
    assert not list(tmp_path.iterdir())


def test_no_run(tmp_path):
    with pytest.raises(WorkdirError, match="there is no trained model"):
        deploy(tmp_path / "no", tmp_path / "deployed", [TARGET])
    assert not (tmp_path / "deployed").exists()
