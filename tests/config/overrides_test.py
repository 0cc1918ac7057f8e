import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_gru_addon.config import ConfigError
from tf_gru_addon.config.overrides import apply_override


@pytest.fixture
def content():
    return {
        "training": {"epochs": 2, "seed": 1},
        "export": None,
        "model": {"layers": [{"GRU": {"units": 4}}, {"Dense": {"units": 9}}]},
    }


def at(content, place):
    for step in place.split("."):
        content = content[int(step) if step.isdecimal() else step]
    return content


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("training.epochs=7", "training.epochs", 7),
        ("training.validation_fraction=1e-1", "training.validation_fraction", 0.1),
        ("export.formats=[]", "export.formats", []),
        ("data.train=a.npz", "data.train", "a.npz"),
        ("data.train=", "data.train", None),
        ("data.train=a=b.npz", "data.train", "a=b.npz"),
        ("optimizer={SGD: {momentum: 0.9}}", "optimizer", {"SGD": {"momentum": 0.9}}),
        ("model.layers[1].Dense.units=5", "model.layers.1.Dense.units", 5),
        ("model.layers.1.Dense.units=5", "model.layers.1.Dense.units", 5),
        ("model.layers[0]=ReLU", "model.layers.0", "ReLU"),
        (" training.seed = 3", "training.seed", 3),
    ],
)
def test_override(content, override, place, value):
    apply_override(content, override)
    assert at(content, place) == value
    assert content["training"].keys() >= {"epochs", "seed"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.epochs",
            "training.epochs: expected `key.path=value`; there is no `=",
        ),
        ("=5", "expected a path such as `training.epochs`"),
        ("training..epochs=5", "expected a path such as"),
        (".training=5", "expected a path such as"),
        ("training.epochs=[1", "training.epochs: cannot read the value '[1'"),
        ("training.epochs={a: 1, a: 2}", "the key 'a' is given twice"),
        (
            "training.seed=2001-13-45",
            "line 1: '2001-13-45' looks like a YAML timestamp, but is not valid",
        ),
        ("training.seed=0x_", "'0x_' looks like a YAML int, but is not valid"),
        ("training.seed=" + "9" * 5000, "9...9"),
        ("training.seed=!!int abc", "'abc' looks like a YAML int, but is not valid"),
        ("training.seed=!!bool abc", "'abc' looks like a YAML bool, but is not valid"),
        ("training.seed=!!timestamp abc", "like a YAML timestamp, but is not valid"),
        ('training.seed="\\UFFFFFFFF"', "cannot read the value"),
        ("training.epochs.more=5", "there is no 'more' in 2 (int)"),
        ("model.layers[3].Dense.units=5", "expected the index of an entry, 0..1"),
        ("model.layers[" + "9" * 5000 + "]=5", "an entry, 0..1; got '999"),
        ("model.layers." + "9" * 5000 + "=5", "an entry, 0..1; got '999"),
        ("training.epochs." + "9" * 5000 + "=5", "there is no '999"),
        ("model.layers.Dense.units=5", "the index of an entry, 0..1; got 'Dense'"),
    ],
)
def test_bad_override(content, override, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        apply_override(content, override)


@given(st.text(alphabet="trainig.epochs[0]=5{}: \n", max_size=30))
def test_any_override_is_applied_or_refused(override):
    content = {"training": {"epochs": 1}, "model": {"layers": ["a"]}}
    try:
        apply_override(content, override)
    except ConfigError:
        return
    assert "=" in override
