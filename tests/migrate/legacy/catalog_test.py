"""Each layer gives the same numbers here as in Keras 2."""

import pytest
from support import legacy_cases
from support.legacy_cases import randomized
from support.legacy_files import ALLOW_WARNINGS, KERAS_3_3, assert_loads_the_same

from tf_gru_addon import load_legacy_model

pytestmark = ALLOW_WARNINGS


@pytest.mark.parametrize("case", legacy_cases.PLAIN)
def test_each_layer(tf_keras, case, tmp_path):
    model, x = legacy_cases.PLAIN[case](tf_keras)
    if case == "conv_transpose" and KERAS_3_3:
        model.save(tmp_path / "model.h5")
        with pytest.raises(ValueError, match=r"output_padding=\[1\], which"):
            load_legacy_model(tmp_path / "model.h5")
        return
    assert_loads_the_same(randomized(model), x, tmp_path / "model.h5")
