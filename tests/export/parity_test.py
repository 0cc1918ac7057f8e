"""The report of an export, and where an export is written."""

import numpy as np
import pytest

from tf_gru_addon.export import ExportError, ParityReport
from tf_gru_addon.export.parity import measure, new_output
from tf_gru_addon.export.parity_report import require_passed
from tf_gru_addon.verify import Comparison


def _report(tmp_path, *errors, rounding=None, problems=None):
    cases = tuple((f"case {i}", error) for i, error in enumerate(errors))
    comparison = Comparison(cases, 1e-5, rounding or {}, problems or {})
    return ParityReport("onnx", tmp_path / "a", 1500, {"GRU": 2}, comparison, 0.5)


@pytest.mark.parametrize(
    ("errors", "passed"),
    [((1e-6, 9e-6), True), ((0.0, 2e-5), False), ((0.0, np.nan, 1.0), False)],
)
def test_a_report(tmp_path, errors, passed):
    report = _report(tmp_path, *errors)
    assert report.passed == passed
    assert ("passed" if passed else "FAILED") in str(report)
    if passed:
        assert require_passed(report) is report
        return
    with pytest.raises(ExportError, match=r"differs .* 'case 1'.*stays where") as e:
        require_passed(report)
    assert e.value.report is report


def test_a_report_of_what_rounding_explains(tmp_path):
    report = _report(tmp_path, 1e-6, 5e-5, rounding={"case 1": 1e-5})
    assert report.passed
    assert report.allowed == pytest.approx(1e-4)
    assert "5e-05  case 1; rounding alone: 1e-05" in str(report)
    assert "10 times what" in str(report)
    report = _report(tmp_path, 1e-6, 5e-4, rounding={"case 1": 1e-5})
    with pytest.raises(ExportError, match=r"0\.0005 .*'case 1'.* 10 times what ro"):
        require_passed(report)


def test_cases_that_tell_nothing(tmp_path):
    rounding = {"case 1": 0.5, "case 2": 2e-6}
    report = _report(tmp_path, 1e-6, 0.9, 1.1e-5, rounding=rounding)
    assert report.passed
    assert report.max_error == 1.1e-5
    assert "rounding alone: 5e-01, undecided" in str(report)
    rounding["case 2"] = 0.1
    report = _report(tmp_path, 1e-6, 0.9, 0.9, rounding=rounding)
    assert not report.passed
    with pytest.raises(
        ExportError, match=r"cannot be judged.*0\.5, in 2 of 3.*examples"
    ):
        require_passed(report)


def test_a_report_says_what_keras_gives(tmp_path):
    values = vars(_report(tmp_path, 1e-7))
    report = ParityReport(**values | {"keras_latency_ms": 2.5, "keras_size": 3 * 10**6})
    assert "Keras' own export: 2.500 ms, 3.00 MB" in str(report)
    report = ParityReport(**values | {"keras_reason": "no such form"})
    assert "Keras' own export: none: no such form" in str(report)


def test_an_existing_output_is_refused(tmp_path):
    path = tmp_path / "new" / "a"
    with new_output(path) as unfinished:
        unfinished.write_text("x")
    assert path.read_text() == "x"
    with pytest.raises(ExportError, match="a: exists already"), new_output(path):
        pytest.fail("the output was to be refused")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExportError, match="link: exists already"):
        new_output(tmp_path / "link").__enter__()


def test_measure():
    calls = []
    assert measure(calls.append, [], seconds=0) >= 0
    assert len(calls) == 8
