"""The choice of the engine for a call."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cudnn import pretend_gpu
from support.harness import op_types

import tf_gru_addon
from tf_gru_addon import native
from tf_gru_addon.ops import engines
from tf_gru_addon.ops.call import Engine, Result

native_only = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)
X = np.zeros([1, 2, 3], "float32")


@native_only
@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("native", {}),
        ("native", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        ("native", {"reset_after": False, "recurrent_dropout": 0.5}),
        ("native", {"dtype": "mixed_bfloat16"}),
        ("portable", {"dtype": "float64"}),
        ("portable", {"dtype": "mixed_float16"}),
        ("portable", {"activation": "selu"}),
        ("portable", {"recurrent_activation": tf.nn.softmax}),
        ("portable", {"engine": "portable"}),
        ("native", {"engine": "native"}),
    ],
)
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_the_chosen_engine_runs(ran, engine, options, wrapper):
    layer = tf_gru_addon.GRU(2, **options)
    assert layer.explain().engine == engine
    wrapper(lambda: layer(X, training=True))()
    assert set(ran) == {engine}


@native_only
def test_the_graph_names_the_native_op():
    layer = tf_gru_addon.GRU(2)
    function = tf.function(layer).get_concrete_function(tf.TensorSpec([None, None, 3]))
    assert any(op.startswith("TfGruAddon>") for op in op_types(function))


@native_only
@pytest.mark.parametrize("how", ["function", "fit"])
def test_portable_is_chosen_inside_xla(ran, how):
    layer = tf_gru_addon.GRU(2)
    if how == "function":
        tf.function(layer, jit_compile=True)(tf.constant(X))
    else:
        layer(X)
        ran.clear()
        model = keras.Sequential([layer])
        model.compile("sgd", "mse", jit_compile=True)
        model.fit(X, np.zeros((1, 2)), verbose=0)
    assert set(ran) == {"portable"}


@native_only
@pytest.mark.parametrize("how", ["export", "save"])
def test_portable_is_chosen_in_every_export(ran, how, tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(2)])
    model(X)
    assert ran == ["native"]
    ran.clear()
    if how == "export":
        model.export(tmp_path)
    else:
        tf.saved_model.save(model, tmp_path)
    assert set(ran) == {"portable"}


def test_explain_gives_the_reasons_against_an_engine(monkeypatch):
    layer = tf_gru_addon.GRU(
        2, dtype="float64", activation="selu", reset_after=False, use_bias=False
    )
    explanation = layer.explain(X)
    assert explanation.engine == "portable"
    assert explanation.reasons["native"] == [
        *([] if native.status().available else [native.status().reason]),
        "it computes in float32, and the layer in float64",
        "it lacks the activation selu",
    ]
    assert explanation.reasons["cudnn"] == [
        "no GPU is visible, or the call is in a CPU device scope",
        "it lacks reset_after=False",
        "it lacks use_bias=False",
        "it lacks the activation selu",
    ]
    assert str(explanation).startswith("portable runs\ncudnn does not: no GPU")
    assert repr(explanation) == str(explanation)  # a notebook shows the repr
    monkeypatch.setenv("TF_GRU_ADDON_NATIVE", "0")
    reasons = tf_gru_addon.GRU(2).explain().reasons
    assert reasons["native"] == ["the environment variable TF_GRU_ADDON_NATIVE is 0"]
    with pytest.raises(ValueError, match=r"sequences of .*; received \(2, 3\)"):
        layer.explain(X[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "native", "dtype": "float64"}, "'native' .*the layer in float64"),
        ({"engine": "cudnn"}, "'cudnn' .* no GPU is visible"),
        ({"use_cudnn": True}, "'cudnn' .* no GPU is visible"),
    ],
)
def test_a_named_engine_that_cannot_run_raises(options, message):
    layer = tf_gru_addon.GRU(2, **options)
    with pytest.raises(ValueError, match=message):
        layer(X)


def test_with_a_gpu_cudnn_comes_first(monkeypatch):
    pretend_gpu(monkeypatch)
    assert tf_gru_addon.GRU(2).explain().engine == "cudnn"
    assert not tf_gru_addon.GRU(2).supports_jit
    for options in (
        {"recurrent_dropout": 0.1},
        {"dropout": 0.1, "implementation": 1},
        {"activation": "relu"},
        {"use_cudnn": False},
        {"dtype": "mixed_bfloat16"},
    ):
        layer = tf_gru_addon.GRU(2, **options)
        explanation = layer.explain(training=True)
        assert explanation.engine == "portable"
        assert len(explanation.reasons["cudnn"]) == 1
        assert layer.supports_jit


def test_use_engine_chooses_within_its_block(ran):
    layer = tf_gru_addon.GRU(2, engine="portable")
    other = "native" if native.status().available else "portable"
    x = tf.constant(X)
    layer(x)
    with tf_gru_addon.use_engine(other):
        layer(x)
        with tf_gru_addon.use_engine("auto"):
            layer(x)
        thread = threading.Thread(target=layer, args=(x,))
        thread.start()
        thread.join()
    layer(x)
    assert ran == ["portable", other, other, "portable", "portable"]


def test_use_engine_ends_with_an_error_in_its_block():
    layer = tf_gru_addon.GRU(2)
    before = layer.explain()
    with pytest.raises(KeyError), tf_gru_addon.use_engine("portable"):
        raise KeyError
    assert layer.explain() == before


def test_an_export_can_choose_an_unnamed_engine():
    """The engine records calls; the layer's state and attributes stay as they were."""
    calls = []

    def record(call):
        calls.append(call)
        return Result(tf.ones([1, 2]), tf.ones([1, 2]))

    layer = tf_gru_addon.GRU(2, stateful=True, engine="native", use_cudnn=True)
    layer.build((1, 2, 3))
    with engines.using(Engine("recorder", record, stores_state=False)):
        np.testing.assert_array_equal(layer(X), np.ones([1, 2]))
        layer(X, initial_state=np.zeros([1, 2], "float32"))
        assert layer.explain().engine == "recorder"
    assert [call.resumes for call in calls] == [True, False]
    assert calls[0].layer is layer
    assert not layer.states[0].numpy().any()
    assert (layer.engine, layer.use_cudnn, layer.stateful) == ("native", True, True)


@pytest.mark.parametrize("engine", ["cuda", None, 1, ["portable"]])
def test_an_unknown_engine_is_refused(engine):
    with pytest.raises(ValueError, match=r"engine must be \"auto\" or one of"):
        tf_gru_addon.GRU(2, engine=engine)
    with (
        pytest.raises(ValueError, match=r"engine must be \"auto\" or one of"),
        tf_gru_addon.use_engine(engine),
    ):
        pass


def test_use_cudnn_may_be_false_and_not_text():
    tf_gru_addon.GRU(2, use_cudnn=False)(X)
    with pytest.raises(ValueError, match="use_cudnn must be"):
        tf_gru_addon.GRU(2, use_cudnn="yes")
