"""accelerate: what it replaces, what it keeps, and that nothing else changes."""

import dataclasses
import inspect

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon import GRU, GRUCell, accelerate, native
from tf_gru_addon.ops import engines

F, U = 4, 3
FAST = "native" if native.status().available else "portable"


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def random_weights(model):
    """Gives the model weights that no initializer would give, and returns it."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.6, w.shape) for w in model.get_weights()])
    return model


def sequential(*layers, timesteps=None, batch_size=None, features=F):
    inputs = keras.Input((timesteps, features), batch_size=batch_size)
    return random_weights(keras.Sequential([inputs, *layers]))


def functional():
    """A model with everything: dict inputs, an embedding, masks, nesting, sharing."""
    layers = keras.layers
    words = keras.Input((None,), dtype="int32", name="words")
    frames = keras.Input((None, F), name="frames")
    x = layers.Embedding(7, F, mask_zero=True)(words)
    cell = keras.layers.GRUCell(
        2 * U, recurrent_activation="hard_sigmoid", kernel_regularizer="l2"
    )
    x = layers.RNN(cell, return_sequences=True, name="rnn")(x)
    bidirectional = layers.Bidirectional(
        layers.GRU(U, return_sequences=True, dropout=0.3, name="gru"), name="both"
    )
    inner = keras.Sequential(
        [
            keras.Input((None, F)),
            layers.Masking(),
            layers.GRU(2 * U, True and "tanh", return_sequences=True, name="deep"),
        ],
        name="inner",
    )
    shared = layers.GRU(U, return_state=True, reset_after=False, name="shared")
    first = shared(bidirectional(x))
    second = shared(inner(frames))
    outputs = layers.Dense(2)(layers.Concatenate()([*first, *second]))
    return random_weights(keras.Model({"words": words, "frames": frames}, outputs))


REPLACED = {
    "rnn",
    "both/forward_gru",
    "both/backward_gru",
    "inner/deep",
    "shared",
}


def batch():
    words = np.random.default_rng(1).integers(1, 7, (5, 6))
    words[0, 3:] = 0
    frames = normal(5, 6, F)
    frames[1, 4:] = 0
    return {"words": words, "frames": frames}


class Subclassed(keras.Model):
    """GRUs in a list, in a dict, in a layer of its own, behind an attribute."""

    def __init__(self):
        super().__init__()
        self.stack = [
            keras.layers.GRU(U, return_sequences=True, name=f"of_list_{i}")
            for i in range(2)
        ]
        self.by_name = {"last": keras.layers.GRU(U, name="of_dict")}
        self.block = Block(name="block")

    def call(self, inputs):
        x, y = inputs
        for layer in self.stack:
            x = layer(x)
        return self.by_name["last"](x), self.block(y)


class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rnn = keras.layers.TimeDistributed(keras.layers.GRU(U, name="inside"))

    def call(self, x):
        return self.rnn(x)


def trained(model, x, steps):
    y = np.ones((5, 2), "float32")
    model.fit(x, y, epochs=steps, batch_size=5, shuffle=False, verbose=0)


def compiled(model):
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_a_functional_model():
    model, x = compiled(functional()), batch()
    expected = model.predict(x, verbose=0)
    layers, variables = model.layers, list(model.variables)
    paths = [v.path for v in variables]
    seeds = [np.array(v) for v in variables]
    report = accelerate(model)
    assert set(report.replaced) == REPLACED
    assert not report.kept
    assert {e.engine for e in report.replaced.values()} == {FAST}
    assert "the model's on random inputs, agree to" in report.check
    assert_close(model.predict(x, verbose=0), expected)
    assert [id(layer) for layer in model.layers] == [id(layer) for layer in layers]
    assert [id(v) for v in model.variables] == [id(v) for v in variables]
    assert [v.path for v in model.variables] == paths
    for variable, value in zip(variables, seeds, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
def test_training_goes_on_with_the_same_optimizer():
    models, x = [compiled(functional()) for _ in range(2)], batch()
    for model in models:
        model.get_layer("both").forward_layer.cell.dropout = 0.0
        model.get_layer("both").backward_layer.cell.dropout = 0.0
        trained(model, x, 2)
    optimizer = models[1].optimizer
    slots = [np.array(v) for v in optimizer.variables]
    accelerate(models[1])
    assert models[1].optimizer is optimizer
    for variable, value in zip(optimizer.variables, slots, strict=True):
        np.testing.assert_array_equal(variable, value)
    for model in models:
        trained(model, x, 3)
    assert int(optimizer.iterations.numpy()) == 5
    for actual, expected in zip(*(m.get_weights() for m in models[::-1]), strict=True):
        # Adam divides by the root of what is small where the gradient is.
        np.testing.assert_allclose(actual, expected, atol=2e-4)
    losses = [m.evaluate(x, np.ones((5, 2)), verbose=0) for m in models]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_what_was_compiled_before_runs_the_engine_after(monkeypatch):
    model = compiled(sequential(keras.layers.GRU(U), keras.layers.Dense(2)))
    x, y = normal(5, 6, F), normal(5, 2)
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    accelerate(model)
    calls = []
    engine = engines.ENGINES[FAST]

    def spy(call):
        calls.append(call.training)
        return engine.run(call)

    monkeypatch.setitem(engines.ENGINES, FAST, dataclasses.replace(engine, run=spy))
    for run, training in (
        (lambda: model.fit(x, y, verbose=0), True),
        (lambda: model.evaluate(x, y, verbose=0), False),
        (lambda: model.predict(x, verbose=0), False),
    ):
        calls.clear()
        run()
        assert set(calls) == {training}


def test_a_model_compiled_by_xla():
    model = sequential(keras.layers.GRU(U), keras.layers.Dense(2))
    model.compile("sgd", "mse", jit_compile=True)
    x = normal(5, 6, F)
    expected = model.predict(x, verbose=0)
    accelerate(model)
    assert_close(model.predict(x, verbose=0), expected)
    assert np.isfinite(model.train_on_batch(x, normal(5, 2)))


def test_a_subclassed_model():
    model = Subclassed()
    x = (normal(2, 5, F), normal(2, 2, 5, F))
    expected = [np.array(y) for y in model(x)]
    report = accelerate(model)
    assert set(report.replaced) == {
        "of_list_0",
        "of_list_1",
        "of_dict",
        f"block/{model.block.rnn.name}/inside",
    }
    assert "was not compared: it does not say which inputs" in report.check
    assert "Pass inputs to have it compared" in str(report)
    for a, e in zip(model(x), expected, strict=True):
        assert_close(a, e)


def test_a_subclassed_model_is_compared_on_given_inputs():
    model = Subclassed()
    x = (normal(2, 5, F), normal(2, 2, 5, F))
    model(x)
    report = accelerate(model, inputs=x)
    assert "the model's on the inputs given, agree" in report.check


def test_a_subclass_with_a_functional_graph():
    class WithOwnStep(keras.Model):
        pass

    inputs = keras.Input((None, F))
    model = WithOwnStep(inputs, keras.layers.GRU(U, name="gru")(inputs))
    assert list(accelerate(model).replaced) == ["gru"]
    assert type(model) is WithOwnStep


def test_a_layer_alone():
    layer = keras.layers.Bidirectional(keras.layers.GRU(U), name="both")
    x = normal(2, 5, F)
    expected = np.array(layer(x))
    assert len(accelerate(layer, inputs=x).replaced) == 2
    assert_close(layer(x), expected)
    layer = keras.layers.GRU(U, name="gru")
    layer.build((None, None, F))
    assert list(accelerate(layer).replaced) == ["gru"]
    assert isinstance(layer, GRU)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(data=st.data())
def test_every_option_is_kept(data):
    options = {
        name: data.draw(st.booleans(), name)
        for name in (
            "return_sequences",
            "return_state",
            "go_backwards",
            "reset_after",
            "use_bias",
            "zero_output_for_mask",
        )
    }
    options["activation"] = data.draw(st.sampled_from(["tanh", "relu", None]), "phi")
    recurrent = data.draw(st.sampled_from(["sigmoid", "hard_sigmoid"]), "sigma")
    as_rnn = data.draw(st.booleans(), "as_rnn")
    cell_options = {
        name: options.pop(name) for name in ("activation", "reset_after", "use_bias")
    }
    cell_options["recurrent_activation"] = recurrent
    if as_rnn:
        cell = keras.layers.GRUCell(U, **cell_options)
        layer = keras.layers.RNN(cell, **options)
    else:
        layer = keras.layers.GRU(U, **cell_options, **options)
    layer.build((None, None, F))
    random_weights(layer)
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    arguments = {"mask": tf.constant(mask), "initial_state": tf.constant(normal(3, U))}
    x = tf.constant(normal(3, 5, F))
    expected = [np.array(y) for y in tf.nest.flatten(layer(x, **arguments))]
    config = layer.get_config()
    report = accelerate(layer)
    assert len(report.replaced) == 1
    actual = tf.nest.flatten(layer(x, **arguments))
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)
    if not as_rnn:
        after = layer.get_config()
        different = {name for name in config if config[name] != after[name]}
        assert different <= {"recurrent_activation", "dtype"}


class Own(keras.regularizers.Regularizer):
    """Has no config, and is registered nowhere."""

    def __call__(self, x):
        return keras.ops.sum(x**2)


def test_parts_are_the_same_objects():
    parts = {
        "kernel_initializer": keras.initializers.HeNormal(seed=1),
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "recurrent_regularizer": Own(),
        "bias_regularizer": keras.regularizers.L1(0.1),
        "kernel_constraint": keras.constraints.MaxNorm(1.5),
        "recurrent_constraint": keras.constraints.NonNeg(),
        "bias_constraint": keras.constraints.UnitNorm(),
    }
    layer = keras.layers.GRU(
        U, activity_regularizer="l2", seed=3, use_cudnn=False, **parts
    )
    model = sequential(layer)
    model(normal(2, 5, F))
    losses = [float(loss) for loss in model.losses]
    accelerate(model)
    model(normal(2, 5, F))
    assert len(losses) == 4
    np.testing.assert_allclose([float(x) for x in model.losses], losses, rtol=1e-5)
    assert layer.seed == 3
    assert layer.use_cudnn is False
    for name, part in parts.items():
        assert getattr(layer, name) is part
    assert layer.cell.kernel.constraint is parts["kernel_constraint"]


@pytest.mark.parametrize("frozen", ["layer", "model"])
def test_what_is_frozen_stays_frozen(frozen):
    model = sequential(keras.layers.GRU(U), keras.layers.Dense(1))
    (model.layers[0] if frozen == "layer" else model).trainable = False
    accelerate(model)
    assert len(model.trainable_variables) == (2 if frozen == "layer" else 0)
    model.layers[0].trainable = model.trainable = True
    assert len(model.trainable_variables) == 5


def test_a_stateful_layer_keeps_its_state():
    layer = keras.layers.GRU(U, stateful=True, return_sequences=True)
    twin = keras.layers.GRU(U, stateful=True, return_sequences=True)
    model, expected = (sequential(x, batch_size=2) for x in (layer, twin))
    for m in (model, expected):
        m(normal(2, 5, F))
    state = layer.states[0]
    assert len(accelerate(model).replaced) == 1
    assert layer.states[0] is state
    for x in (normal(2, 3, F), normal(2, 5, F)):
        assert_close(model(x), expected(x))
    layer.reset_state()
    assert not layer.states[0].numpy().any()


@pytest.mark.parametrize(
    ("dtype", "engine"),
    [
        ("mixed_bfloat16", FAST),
        ("bfloat16", FAST),
        ("mixed_float16", "portable"),
        ("float64", "portable"),
    ],
)
def test_dtype_policies(dtype, engine):
    options = {"dtype": dtype, "recurrent_initializer": "glorot_uniform"}
    model = sequential(
        keras.layers.GRU(U, return_sequences=True, name="gru", **options),
        keras.layers.Bidirectional(keras.layers.GRU(U, **options), dtype=dtype),
    )
    x = normal(2, 5, F)
    expected = model(x)
    report = accelerate(model)
    assert len(report.replaced) == 3
    assert report.replaced["gru"].engine == engine
    if native.status().available and engine == "portable":
        assert "portable: it computes in float32, and the layer in" in str(report)
    assert model.layers[0].dtype_policy.name == dtype
    actual = model(x)
    assert actual.dtype == expected.dtype
    assert_close(actual, expected, dtype.removeprefix("mixed_"))


class GRUSubclass(keras.layers.GRU):
    pass


class CellSubclass(keras.layers.GRUCell):
    pass


class OwnCell(keras.layers.SimpleRNNCell):
    pass


def _selu():
    return keras.layers.GRU(U, activation="selu")


def _policies_apart():
    cell = keras.layers.GRUCell(U, dtype="float64")
    return keras.layers.RNN(cell)


def _unrolled():
    """Keras zeroes outputs by a mask that it has not turned round."""
    return keras.layers.GRU(
        U,
        unroll=True,
        go_backwards=True,
        return_sequences=True,
        zero_output_for_mask=True,
    )


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: GRU(U), "it is a tf_gru_addon.GRU already"),
        (lambda: GRUSubclass(U), "it is a subclass of keras.layers.GRU"),
        (lambda: keras.layers.LSTM(U), "it is no GRU"),
        (
            lambda: keras.layers.RNN([keras.layers.GRUCell(U)] * 1),
            "it steps stacked cells",
        ),
        (
            lambda: keras.layers.RNN(CellSubclass(U)),
            "its cell is a CellSubclass, whose call may be another",
        ),
        (
            lambda: keras.layers.RNN(OwnCell(U)),
            "its cell is a OwnCell, and no GRUCell",
        ),
        (_selu, "no engine is faster with the activation selu"),
        (
            lambda: keras.layers.GRU(U, recurrent_activation=tf.math.softsign),
            "no engine is faster with the recurrent_activation softsign",
        ),
        (
            lambda: keras.layers.GRU(U, dropout=1.0),
            "it has a dropout rate of 1, which Keras takes for none",
        ),
        (
            _policies_apart,
            "its dtype policy is float32, and its cell's float64",
        ),
        (_unrolled, r"its outputs would differ, by \d"),
        (
            lambda: keras.layers.GRU(U, use_cudnn=True),
            "it cannot be run: ValueError: use_cudnn=True was specified",
        ),
    ],
)
def test_what_is_kept_and_why(layer, reason):
    if "cudnn" in reason and tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU is here, and use_cudnn=True can run")
    layer = layer()
    layer.build((None, 5, F))
    kind, kind_of_cell, values = type(layer), type(layer.cell), dict(vars(layer))
    report = accelerate(layer)
    assert not report.replaced
    assert list(report.kept) == [layer.name]
    assert report.kept[layer.name].startswith(reason.split(r"\d")[0])
    assert report.check == "Nothing was changed."
    assert (type(layer), type(layer.cell)) == (kind, kind_of_cell)
    assert vars(layer).keys() == values.keys()


def test_rnn_of_this_packages_cell():
    cell = GRUCell(U, dropout=1.0)
    model = sequential(keras.layers.RNN(cell, name="rnn"))
    x = normal(2, 5, F)
    expected = model(x)
    assert list(accelerate(model).replaced) == ["rnn"]
    assert type(model.layers[0]) is GRU
    assert model.layers[0].cell is cell
    assert_close(model(x), expected)


def test_a_cell_that_the_model_steps_itself():
    class Decoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.cell = keras.layers.GRUCell(U, name="cell")
            self.rnn = keras.layers.RNN(self.cell, return_state=True, name="rnn")
            self.own = keras.layers.GRUCell(U, name="own")

        def call(self, x):
            y, state = self.rnn(x)
            y, states = self.cell(x[:, -1], [state])
            return self.own(y, states)[0]

    model = Decoder()
    model(normal(2, 5, F))
    name = model.name
    assert accelerate(model).kept == {
        "cell": f"it is a cell that {name} may step itself",
        "own": f"it is a cell that {name} may step itself",
        "rnn": f"{name} holds its cell too, and may step it itself",
    }
    assert type(model.cell) is keras.layers.GRUCell


def test_a_cell_that_two_layers_share():
    cell = keras.layers.GRUCell(U)
    layers = [keras.layers.RNN(cell, go_backwards=b) for b in (False, True)]
    inputs = keras.Input((None, F))
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    x = normal(2, 5, F)
    expected = [np.array(y) for y in model(x)]
    assert len(accelerate(model).replaced) == 2
    for a, e in zip(model(x), expected, strict=True):
        assert_close(a, e)


def test_what_was_never_called_is_kept():
    class Half(AsksForClass):
        def __init__(self):
            super().__init__()
            self.unused = keras.layers.GRU(U, name="unused")

        def build(self, shape):
            self.gru.build(shape)

    model = Half()
    model(normal(2, 5, F))
    report = accelerate(model)
    assert len(report.replaced) == 1
    assert report.kept == {"unused": "it is not built: it was never called"}


def test_layers_of_one_name_are_told_apart():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.a = keras.layers.GRU(U, name="gru", return_sequences=True)
            self.b = keras.layers.GRU(U, name="gru")

        def call(self, x):
            return self.b(self.a(x))

    model = Twice()
    model(normal(2, 5, F))
    assert list(accelerate(model).replaced) == ["gru", "gru (2)"]


class AsksForClass(keras.Model):
    def __init__(self):
        super().__init__()
        self.gru = keras.layers.GRU(U, dropout=0.5)

    def call(self, x):
        return self.gru(x) * (1 if isinstance(self.gru, keras.layers.GRU) else 2)


def test_a_model_of_other_outputs_is_left_as_it_was():
    model = AsksForClass()
    x = normal(2, 5, F)
    expected = np.array(model(x))
    attributes = [vars(it).copy() for it in (model.gru, model.gru.cell)]
    with pytest.raises(RuntimeError, match=r"gives other outputs .* on the inputs giv"):
        accelerate(model, inputs=x)
    assert type(model.gru) is keras.layers.GRU
    assert type(model.gru.cell) is keras.layers.GRUCell
    for it, before in zip((model.gru, model.gru.cell), attributes, strict=True):
        assert vars(it).keys() == before.keys()
    assert model.gru.dropout == 0.5
    np.testing.assert_array_equal(model(x), expected)


def test_a_model_that_fails_is_left_as_it_was():
    class Fails(AsksForClass):
        def call(self, x):
            if not isinstance(self.gru, keras.layers.GRU):
                raise NotImplementedError("no other GRU")
            return self.gru(x)

    model = Fails()
    model(normal(2, 5, F))
    with pytest.raises(NotImplementedError, match="no other GRU"):
        accelerate(model, inputs=normal(2, 5, F))
    assert type(model.gru) is keras.layers.GRU


def test_unsuitable_inputs_say_so_before_anything_is_changed():
    model = sequential(keras.layers.GRU(U))
    with pytest.raises(ValueError, match=r"shape"):
        accelerate(model, inputs=normal(2, 5, F, 2))
    assert type(model.layers[0]) is keras.layers.GRU


def test_a_model_that_random_inputs_do_not_suit():
    """Its timesteps must be a multiple of 7, which nothing says."""
    model = sequential(keras.layers.Reshape((-1, 7 * F)), keras.layers.GRU(U))
    report = accelerate(model)
    assert len(report.replaced) == 1
    assert "The model as a whole was not compared: " in report.check
    model = sequential(keras.layers.Reshape((-1, 7 * F)), keras.layers.GRU(U))
    report = accelerate(model, inputs=normal(2, 14, F))
    assert "the model's on the inputs given" in report.check


def test_a_model_of_strings():
    inputs = keras.Input((), dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    x = keras.layers.Reshape((1,))(lookup(inputs))
    x = keras.layers.GRU(U)(keras.layers.Embedding(4, F)(x))
    model = keras.Model(inputs, x)
    report = accelerate(model)
    assert len(report.replaced) == 1
    assert "it takes strings" in report.check


def test_dropout_in_inference_is_off_for_the_comparison_alone():
    inputs = keras.Input((None, F))
    layer = keras.layers.GRU(U, dropout=0.5, recurrent_dropout=0.4, name="gru")
    x = keras.layers.Dropout(0.5, seed=1)(inputs, training=True)
    model = keras.Model(inputs, layer(x, training=True))
    seeds = [np.array(v) for v in model.non_trainable_variables]
    assert "the model's on random inputs, agree" in accelerate(model).check
    assert (layer.dropout, layer.recurrent_dropout) == (0.5, 0.4)
    for variable, value in zip(model.non_trainable_variables, seeds, strict=True):
        np.testing.assert_array_equal(variable, value)
    x = normal(2, 5, F)
    assert not np.array_equal(model(x), model(x))


def test_a_model_that_is_random_itself():
    class Noisy(keras.layers.Layer):
        def call(self, x):
            return x + tf.random.normal(tf.shape(x))

    report = accelerate(sequential(Noisy(), keras.layers.GRU(U)))
    assert len(report.replaced) == 1
    assert "not compared: its outputs for the same inputs differ" in report.check


def test_saved_before_loaded_after_and_the_other_way(tmp_path):
    def model():
        gru = keras.layers.GRU(
            U, return_sequences=True, recurrent_activation="hard_sigmoid"
        )
        both = keras.layers.Bidirectional(keras.layers.GRU(U))
        return sequential(gru, both)

    x = normal(2, 5, F)
    theirs, ours = model(), model()
    expected = theirs(x)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    accelerate(ours)
    ours.set_weights([np.zeros_like(w) for w in ours.get_weights()])
    ours.load_weights(tmp_path / "theirs.weights.h5")
    assert_close(ours(x), expected)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.set_weights([np.zeros_like(w) for w in theirs.get_weights()])
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_close(theirs(x), expected)
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is GRU
    assert_close(loaded(x), expected)
    assert_close(random_weights(keras.models.clone_model(ours))(x), expected)
    checkpoint = tf.train.Checkpoint(model=theirs)
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    ours.set_weights([np.zeros_like(w) for w in ours.get_weights()])
    tf.train.Checkpoint(model=ours).read(path).assert_existing_objects_matched()
    assert_close(ours(x), expected)


@pytest.mark.parametrize("of_cell", [True, False])
def test_a_layer_replaced_holds_what_a_new_one_does(of_cell):
    """Whatever a version of Keras or of this package adds to a layer."""
    if of_cell:
        cell = keras.layers.GRUCell(U, dropout=0.3, implementation=1)
        layer = keras.layers.RNN(cell)
    else:
        layer = keras.layers.GRU(U)
    new = GRU(U)
    for it in (layer, new):
        it(normal(2, 5, F))
    accelerate(layer)
    # Keras' layer keeps its implementation itself too, in some versions.
    assert vars(layer).keys() - {"implementation"} == vars(new).keys()
    assert vars(layer.cell).keys() == vars(new.cell).keys()
    for name in ("input_spec", "supports_jit", "supports_masking"):
        assert getattr(layer, name) == getattr(new, name)
    parameters = [inspect.signature(it.call).parameters.keys() for it in (layer, new)]
    assert parameters[0] == parameters[1]
    assert layer.implementation == (1 if of_cell else 2)


def test_dropout_in_training_after():
    model = sequential(keras.layers.GRU(U, dropout=0.5, recurrent_dropout=0.5, seed=1))
    accelerate(model)
    x = normal(2, 5, F)
    first, second = (model(x, training=True).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(model(x), model(x))


def test_a_model_without_recurrent_layers():
    report = accelerate(sequential(keras.layers.Dense(2)))
    assert str(report) == "The model has no recurrent layer."


def test_the_report():
    model = sequential(
        keras.layers.GRU(U, return_sequences=True, name="first"),
        keras.layers.LSTM(U, name="the_second"),
    )
    first, *rows, last = str(accelerate(model)).splitlines()
    assert first == "1 of 2 recurrent layers replaced."
    assert last.startswith("The outputs of each on random sequences, and the model's ")
    if FAST == "native":
        assert rows[0] == "  replaced  first       native"
    assert rows[1] == "  kept      the_second  it is no GRU"


def test_not_a_model(tf_keras):
    for it in (tf_keras.Sequential([tf_keras.layers.GRU(2)]), None, "model.keras"):
        with pytest.raises(TypeError, match="model must be a Keras 3 model or layer"):
            accelerate(it)


def test_a_model_that_is_not_built():
    model = keras.Sequential([keras.layers.GRU(U)], name="empty")
    with pytest.raises(ValueError, match="must be built, and empty has no weights yet"):
        accelerate(model)


def test_it_is_public():
    assert tf_gru_addon.accelerate is accelerate


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_while_the_model_runs(method):
    inner = sequential(keras.layers.GRU(U))
    model = keras.Sequential([keras.Input((None, F)), inner])
    model.compile("sgd", "mse")
    other = sequential(keras.layers.GRU(U))
    errors = []

    def call(batch, logs=None):
        for part in (model, inner, inner.layers[0]):
            with pytest.raises(
                RuntimeError, match=rf"{model.name}\.{method} is run"
            ) as e:
                accelerate(part)
            errors.append(e)
        accelerate(other)

    callback = keras.callbacks.LambdaCallback()
    kind = {"fit": "train", "evaluate": "test", "predict": "predict"}[method]
    setattr(callback, f"on_{kind}_batch_end", call)
    x, y = normal(2, 5, F), normal(2, U)
    data = (x,) if method == "predict" else (x, y)
    getattr(model, method)(*data, callbacks=[callback], verbose=0)
    assert len(errors) == 3
    assert type(other.layers[0]) is GRU
    assert type(inner.layers[0]) is keras.layers.GRU
    assert len(accelerate(model).replaced) == 1
    model.fit(x, y, verbose=0)


def test_a_chaotic_model_on_long_inputs():
    """Where both engines are right, and their numbers have nothing in common."""
    model = sequential(keras.layers.GRU(24, name="gru"), features=6)
    kernel, recurrent_kernel, bias = model.get_weights()
    recurrent_kernel *= 4
    model.set_weights([kernel, recurrent_kernel, bias])
    report = accelerate(model, inputs=normal(2, 200, 6))
    assert list(report.replaced) == ["gru"]
    assert "rounding alone moves its outputs on the inputs given by" in report.check


@pytest.mark.parametrize(
    "inputs", ["x", np.zeros((2, 5), "float32"), np.zeros((2, 5, F + 1)), [1, [2]]]
)
def test_inputs_that_the_model_does_not_take(inputs):
    model = sequential(keras.layers.GRU(U))
    with pytest.raises(ValueError, match=r"inputs must be what sequential.* does not"):
        accelerate(model, inputs=inputs)
    assert type(model.layers[0]) is keras.layers.GRU


def test_what_a_notebook_shows():
    report = accelerate(sequential(keras.layers.GRU(U), keras.layers.Dense(2)))
    assert repr(report) == str(report)
    assert repr(report).startswith("1 of 1 recurrent layers replaced.\n  replaced  gru")
