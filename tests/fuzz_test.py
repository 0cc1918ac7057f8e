"""Damaged files of every format are read, or refused with an error that names them."""

import contextlib
import shutil
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import fuzzing
from support.legacy_files import FIXTURES, edit_config

from tf_gru_addon import load_legacy_model
from tf_gru_addon.migrate.legacy import LegacyModelError

#: How many cases of each kind; each file is also cut short in 20 places.
COUNT = 8
FORMATS = [
    *fuzzing.FORMATS,
    *(pytest.param(form, marks=pytest.mark.peer) for form in fuzzing.PEER_FORMATS),
]


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files(tmp_path, tf_keras, form):
    formats = {**fuzzing.FORMATS, **fuzzing.PEER_FORMATS}
    with fuzzing.bounded(seconds=60):
        outcomes = dict(fuzzing.campaign(tmp_path, form, formats, seed=0, count=COUNT))
    wrong = {
        done: came for done, came in outcomes.items() if came not in ("read", "refused")
    }
    assert not wrong
    assert len(outcomes) >= 20 + 3 * COUNT
    assert "refused" in outcomes.values()


NAMES = sorted(path.stem for path in FIXTURES.glob("*.h5"))


GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [1e300, "", "x", "GRU", [], [[]], [None], {}, {"class_name": "GRU"}]
    ),
)


def _places(value, place=()):
    """Yields every place in a nested value as a tuple of keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*place, key)
        if isinstance(item, dict | list):
            yield from _places(item, (*place, key))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_a_config_with_anything_in_it(data, name, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "model.h5"
    shutil.copy(FIXTURES / f"{name}.h5", path)

    def edit(config):
        *place, last = data.draw(st.sampled_from(list(_places(config))))
        inner = config
        for key in place:
            inner = inner[key]
        inner[last] = data.draw(GARBAGE)

    edit_config(path, edit)
    _loads_or_refuses(path)


def _loads_or_refuses(path):
    """Loads a file; only the package's own error may be raised."""
    with contextlib.suppress(LegacyModelError), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*loaded without")
        load_legacy_model(path)
