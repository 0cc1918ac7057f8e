"""The layer ReverseTimesteps."""

import keras
import numpy as np
import pytest

from tf_gru_addon.layers import ReverseTimesteps


def test_it_reverses_the_second_axis():
    layer = ReverseTimesteps()
    x = np.arange(12.0, dtype="float32").reshape(2, 3, 2)
    np.testing.assert_array_equal(layer(x), x[:, ::-1])
    assert layer(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert layer(keras.Input((None, 3))).shape == (None, None, 3)
    with pytest.raises(ValueError, match=r"must have the shape \(batch, timesteps"):
        layer(np.zeros(3))
