"""Damaged files of every format are read or refused, by an error that names them."""

import pytest
from support import fuzzing

#: How many cases of each kind; cut short there are 20 a file anyway.
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
