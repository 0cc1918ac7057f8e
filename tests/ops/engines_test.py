"""Which engine a call takes."""

import threading

import numpy as np
import pytest
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon.ops import engines


@pytest.fixture
def calls(monkeypatch):
    """The engines that ran, in order."""
    ran = []

    def spy(*args, **kwargs):
        ran.append("portable")
        return engines.gru_portable(*args, **kwargs)

    monkeypatch.setitem(engines.ENGINES, "portable", spy)
    return ran


@pytest.mark.parametrize("engine", ["auto", "portable"])
def test_portable_really_runs(calls, engine):
    tf_gru_addon.GRU(2, engine=engine)(np.zeros([1, 2, 3], "float32"))
    assert calls == ["portable"]


def test_use_engine_decides_within_its_block(monkeypatch):
    """A second engine is put in the table, to see which one is taken."""
    ran = []

    def other(*args, **kwargs):
        ran.append("other")
        return engines.gru_portable(*args, **kwargs)

    monkeypatch.setitem(engines.ENGINES, "other", other)
    x = np.zeros([1, 2, 3], "float32")
    layer = tf_gru_addon.GRU(2, engine="other")
    layer(x)
    assert ran == ["other"]
    with tf_gru_addon.use_engine("portable"):
        layer(x)
        with tf_gru_addon.use_engine("other"):
            layer(x)
        thread = threading.Thread(target=layer, args=(tf.constant(x),))
        thread.start()
        thread.join()
    layer(x)
    assert ran == ["other"] * 4


def test_use_engine_ends_with_an_error_in_its_block():
    with pytest.raises(KeyError), tf_gru_addon.use_engine("portable"):
        raise KeyError
    assert engines._in_use.get() is None


@pytest.mark.parametrize("engine", ["cuda", None, 1])
def test_an_unknown_engine_is_refused(engine):
    with pytest.raises(ValueError, match=r"engine must be \"auto\" or one of"):
        tf_gru_addon.GRU(2, engine=engine)
    with (
        pytest.raises(ValueError, match=r"engine must be \"auto\" or one of"),
        tf_gru_addon.use_engine(engine),
    ):
        pass


def test_use_cudnn():
    x = np.zeros([1, 2, 3], "float32")
    tf_gru_addon.GRU(2, use_cudnn=False)(x)
    with pytest.raises(ValueError, match="use_cudnn=True demands cuDNN"):
        tf_gru_addon.GRU(2, use_cudnn=True)(x)
    with pytest.raises(ValueError, match="use_cudnn must be"):
        tf_gru_addon.GRU(2, use_cudnn="yes")
