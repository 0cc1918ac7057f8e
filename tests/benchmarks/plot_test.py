import json
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.plot import plot

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "engines.json"


def test_the_plot_shows_every_number(tmp_path, monkeypatch):
    text, written = Axes.text, []

    def spy(axis, x, y, value, **options):
        written.append(value)
        return text(axis, x, y, value, **options)

    monkeypatch.setattr(Axes, "text", spy)
    results = json.loads(RESULTS.read_text("utf-8"))
    results["training"]["1, 1, 64, 128"]["times"]["torch"]["net"] = None
    plot(results, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    numbers = [value for value in written if value]
    assert len(numbers) == 8 * 9 + 8 * 6
    assert {"4.57", "46.9", "0.645", "-"} < set(numbers)
    assert numbers.count("-") == 1
