import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text

from tf_gru_addon.training.deployment import Form
from tf_gru_addon.training.plot import deployment_figure, plot_history


def test_the_plot_is_an_image(run):
    content = (run[0] / "training.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1350, 540)


def test_a_plot_of_a_long_run_without_validation(tmp_path):
    path = tmp_path / "a.png"
    history = [{"loss": 0.8**i, "accuracy": 1 - 0.8**i} for i in range(60)]
    plot_history(history, path, "mine")
    assert path.read_bytes().startswith(b"\x89PNG")


FORMS = [
    Form("Keras", size=230_000, latency_ms=33.1),
    Form("saved_model", size=1_040_000, latency_ms=2.2),
    Form("saved_model, a step", step=True, size=615_700, latency_ms=0.44),
    Form("litert", size=427_800, latency_ms=0.09),
    Form("litert, a step", step=True, size=370_100, latency_ms=0.0017),
]


@pytest.mark.parametrize("forms", [FORMS, FORMS[:1], FORMS[:2]])
def test_the_plot_of_a_deployment_hides_nothing(forms):
    figure = deployment_figure(forms, "a_run_of_a_rather_long_name")
    figure.canvas.draw()
    whole = figure.bbox
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    for text in texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text
    shown = [text.get_text() for text in texts]
    for form in forms:
        assert form.name in shown
        assert f"{form.latency_ms:.3g} ms" in shown
    for axes in figure.axes:
        for dots in axes.findobj(PathCollection):
            for x, y in dots.get_offsets():
                assert axes.get_xlim()[0] < x < axes.get_xlim()[1]
                assert axes.get_ylim()[1] < y < axes.get_ylim()[0]
        for label in axes.texts:
            box, place = label.get_window_extent(), axes.get_window_extent()
            assert place.x0 <= box.x0 < box.x1 <= place.x1, label
        titles = axes.title.get_window_extent(), axes.get_window_extent()
        assert titles[0].x1 <= titles[1].x1
