"""Dropout masks of a cell: one per batch, in every use of a cell.

Most tests use a cell whose output is the mask itself. So they see the mask of every
timestep of every batch.
"""

import copy
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import random_ops

from tf_gru_addon import GRU, DropoutRNNCellMixin, GRUCell

UNITS = 24


@keras.saving.register_keras_serializable(package="tests")
class MaskCell(DropoutRNNCellMixin, keras.layers.Layer):
    """A user's cell: the output is input mask + 10 * recurrent mask."""

    def __init__(self, units=UNITS, dropout=0.5, recurrent_dropout=0.5, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout

    def build(self, input_shape):
        pass

    def call(self, inputs, states, training=None):
        h = states[0]
        output = tf.zeros_like(h)
        mask = self.get_dropout_mask_for_cell(inputs, training)
        recurrent_mask = self.get_recurrent_dropout_mask_for_cell(h, training)
        if mask is not None:
            output += mask[0]
        if recurrent_mask is not None:
            output += 10 * recurrent_mask[0]
        return output, [output]

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def steps(batch=2, timesteps=4):
    return tf.ones([batch, timesteps, UNITS])


def assert_one_mask_per_batch(*batches):
    """Asserts that each batch has one mask throughout, and that batches differ."""
    masks = []
    for outputs in batches:
        outputs = np.asarray(outputs)
        assert set(np.unique(outputs)) <= {0, 2, 20, 22}
        assert (outputs == outputs[:, :1]).all(), "the mask changes with the timestep"
        masks.append(outputs[:, 0])
    for i, mask in enumerate(masks):
        for other in masks[:i]:
            assert not np.array_equal(mask, other), "two batches share a mask"


def loop(cell, x, training=True):
    """A time loop written by hand."""
    h = (
        cell.get_initial_state(batch_size=x.shape[0])
        if hasattr(cell, "get_initial_state")
        else tf.zeros([x.shape[0], UNITS])
    )
    outputs = []
    for t in range(x.shape[1]):
        h, _ = cell(x[:, t], [h], training=training)
        outputs.append(h)
    return tf.stack(outputs, 1)


def reset(cell):
    cell.reset_dropout_mask()
    cell.reset_recurrent_dropout_mask()


def test_eager_loop():
    cell = MaskCell()
    batches = []
    for _ in range(3):
        reset(cell)
        batches.append(loop(cell, steps()))
    assert_one_mask_per_batch(*batches)


def test_function_called_twice():
    cell = MaskCell()

    @tf.function
    def batch(x):
        return loop(cell, x)

    eager = loop(cell, steps())
    assert_one_mask_per_batch(eager, batch(steps()), batch(steps()), batch(steps(3, 5)))


def test_two_batches_in_one_function():
    cell = MaskCell()

    @tf.function
    def batches(x):
        first = loop(cell, x)
        reset(cell)
        return first, loop(cell, x)

    assert_one_mask_per_batch(*batches(steps()), *batches(steps()))


@pytest.mark.parametrize("how", ["range", "iterator", "map_fn", "scan"])
def test_loop_over_batches_in_a_graph(how):
    """Each iteration of a loop over batches has its own masks."""
    layer = keras.layers.RNN(MaskCell(), return_sequences=True)
    layer(steps())

    @tf.function
    def batches(x):
        if how == "map_fn":
            return tf.map_fn(lambda batch: layer(batch, training=True), x)
        outputs = tf.TensorArray(tf.float32, 3, element_shape=[2, 4, UNITS])
        if how == "range":
            for i in tf.range(3):
                outputs = outputs.write(i, layer(x[i], training=True))
        elif how == "iterator":
            for i, batch in iter(tf.data.Dataset.from_tensor_slices(x).enumerate()):
                i = tf.cast(i, tf.int32)
                outputs = outputs.write(i, layer(batch, training=True))
        else:
            body = lambda _, batch: layer(batch, training=True)  # noqa: E731
            return tf.scan(body, x, initializer=tf.zeros([2, 4, UNITS]))
        return outputs.stack()

    x = tf.ones([3, 2, 4, UNITS])
    assert_one_mask_per_batch(*batches(x), *batches(x))


def test_reset_by_hand_in_a_loop_over_batches():
    cell = MaskCell()

    @tf.function
    def batches():
        all_outputs = tf.TensorArray(tf.float32, 3, element_shape=[2, 4, UNITS])
        for i in tf.range(3):
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
            outputs = tf.TensorArray(tf.float32, 4, element_shape=[2, UNITS])
            h = tf.zeros([2, UNITS])
            for t in tf.range(4):
                h = cell(tf.ones([2, UNITS]), [h], training=True)[0]
                outputs = outputs.write(t, h)
            all_outputs = all_outputs.write(i, tf.transpose(outputs.stack(), [1, 0, 2]))
        return all_outputs.stack()

    assert_one_mask_per_batch(*batches(), *batches())


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_while_loop(wrapper):
    cell = MaskCell()

    def batch(x):
        def body(t, h, outputs):
            h, _ = cell(x[:, t], [h], training=True)
            return t + 1, h, outputs.write(t, h)

        outputs = tf.TensorArray(tf.float32, 4, element_shape=[2, UNITS])
        h = tf.zeros([2, UNITS])
        outputs = tf.while_loop(lambda t, *_: t < 4, body, (0, h, outputs))[2]
        return tf.transpose(outputs.stack(), [1, 0, 2])

    batch = wrapper(batch)
    assert_one_mask_per_batch(*(batch(steps()) for _ in range(3) if not reset(cell)))


def test_branch_inside_a_loop():
    """A mask made in a branch at one timestep is used at the other timesteps."""
    cell = MaskCell()

    @tf.function
    def batch(x):
        outputs = tf.TensorArray(tf.float32, 4, element_shape=[2, UNITS])
        h = tf.zeros([2, UNITS])
        for t in tf.range(4):
            if t % 2 == 0:
                h = cell(x[:, t], [h], training=True)[0]
            else:
                h = cell(x[:, t] + 1, [h], training=True)[0]
            outputs = outputs.write(t, h)
        return tf.transpose(outputs.stack(), [1, 0, 2])

    assert_one_mask_per_batch(batch(steps()), batch(steps()))


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_rnn(unroll, stateful, wrapper):
    layer = keras.layers.RNN(
        MaskCell(), return_sequences=True, unroll=unroll, stateful=stateful
    )
    batch = wrapper(lambda x: layer(x, training=True))
    assert_one_mask_per_batch(*(batch(steps()) for _ in range(3)))


def test_rnn_after_a_loop_written_by_hand():
    """Checks that the next batch does not reuse the mask of an eager loop."""
    cell = MaskCell()
    eager = loop(cell, steps())
    layer = keras.layers.RNN(cell, return_sequences=True)
    assert_one_mask_per_batch(eager, layer(steps(), training=True))
    assert layer(steps(5), training=True).shape == (5, 4, UNITS)


def test_stacked_cells():
    cells = [MaskCell(), MaskCell()]
    layer = keras.layers.RNN(keras.layers.StackedRNNCells(cells), return_sequences=True)
    assert_one_mask_per_batch(*(layer(steps(), training=True) for _ in range(2)))
    batch = tf.function(lambda x: layer(x, training=True))
    assert_one_mask_per_batch(*(batch(steps()) for _ in range(3)))


def test_bidirectional():
    layer = keras.layers.Bidirectional(
        keras.layers.RNN(MaskCell(), return_sequences=True)
    )
    batches = [layer(steps(), training=True) for _ in range(2)]
    assert_one_mask_per_batch(*(half for b in batches for half in tf.split(b, 2, -1)))


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_fit(run_eagerly):
    """Checks the batches of an epoch as the training step sees them."""
    seen = []

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn = keras.layers.RNN(MaskCell(), return_sequences=True)
            self.dense = keras.layers.Dense(1)

        def call(self, x, training=None):
            outputs = self.rnn(x, training=training)
            tf.py_function(lambda o: seen.append(o.numpy()), [outputs], [])
            return self.dense(outputs)

    model = Model()
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    model.fit(steps(8), tf.zeros([8, 4, 1]), batch_size=2, epochs=2, verbose=0)
    batches = [o for o in seen if o.shape[0] == 2]
    assert len(batches) >= 8
    assert_one_mask_per_batch(*batches[-8:])
    seen.clear()
    model.predict(steps(), verbose=0)
    assert (seen[-1] == 11).all(), "inference is without dropout"


def test_clone_and_deepcopy_share_no_mask():
    cell = MaskCell(seed=3)
    first = loop(cell, steps())
    for copied in (copy.deepcopy(cell), MaskCell.from_config(cell.get_config())):
        assert_one_mask_per_batch(loop(copied, steps()))
        assert copied._mask_seeds is not cell._mask_seeds
    inputs = keras.Input((None, UNITS))
    model = keras.Model(inputs, keras.layers.RNN(cell, return_sequences=True)(inputs))
    clone = keras.models.clone_model(model)
    assert_one_mask_per_batch(first, model(steps(), training=True))
    assert_one_mask_per_batch(
        clone(steps(), training=True), clone(steps(), training=True)
    )


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.RNN(GRUCell(3, dropout=0.5, recurrent_dropout=0.5)),
        lambda: keras.layers.RNN(
            keras.layers.StackedRNNCells(
                [GRUCell(3, dropout=0.5), GRUCell(2, dropout=0.5)]
            )
        ),
        lambda: GRU(3, dropout=0.5, recurrent_dropout=0.5),
        lambda: keras.layers.Bidirectional(GRU(3, dropout=0.5)),
        lambda: keras.layers.RNN(MaskCell()),
    ],
)
def test_no_random_op_in_an_inference_graph(layer, tmp_path):
    inputs = keras.Input((None, UNITS))
    model = keras.Model(inputs, layer()(inputs))
    spec = tf.TensorSpec([None, None, UNITS])
    assert not random_ops(tf.function(model).get_concrete_function(spec))
    assert random_ops(
        tf.function(lambda x: model(x, training=True)).get_concrete_function(spec)
    )
    model.export(tmp_path)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    assert not random_ops(served)


def test_seed_makes_masks_reproducible():
    def masks(seed):
        layer = keras.layers.RNN(MaskCell(seed=seed), return_sequences=True)
        return np.stack([layer(steps(), training=True) for _ in range(2)])

    np.testing.assert_array_equal(masks(7), masks(7))
    assert not np.array_equal(masks(7), masks(8))


def test_set_random_seed_makes_masks_reproducible():
    def masks():
        keras.utils.set_random_seed(11)
        return loop(MaskCell(), steps())

    np.testing.assert_array_equal(masks(), masks())
    keras.utils.set_random_seed(12)
    assert not np.array_equal(masks(), loop(MaskCell(), steps()))


def test_count_masks_are_independent_and_cached_by_count():
    cell = MaskCell()
    x = tf.ones([100, UNITS])
    three = cell.get_dropout_mask_for_cell(x, True, count=3)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert abs(np.mean(three[i] == three[j]) - 0.5) < 0.05
    again = cell.get_dropout_mask_for_cell(x, True, count=3)
    np.testing.assert_array_equal(three, again)
    assert len(cell.get_dropout_mask_for_cell(x, True)) == 1


def test_inference_masks_are_never_used_in_training():
    """TF 2.0's cache ignored `training`: training used the ones of inference."""
    cell = MaskCell()
    x = tf.ones([2, UNITS])
    for training in (False, None):
        (ones,) = cell.get_dropout_mask_for_cell(x, training)
        assert (ones.numpy() == 1).all()
    (mask,) = cell.get_dropout_mask_for_cell(x, True)
    assert (mask.numpy() == 0).any()


def test_rate_zero_makes_no_mask():
    cell = MaskCell(dropout=0.0, recurrent_dropout=0.0)
    assert cell.get_dropout_mask_for_cell(tf.ones([2, 3]), True) is None
    assert cell.get_recurrent_dropout_mask_for_cell(tf.ones([2, 3]), True, 3) is None


def test_the_two_kinds_of_masks_are_reset_separately():
    cell = MaskCell()
    x = tf.ones([2, UNITS])
    inputs, state = (
        cell.get_dropout_mask_for_cell(x, True)[0],
        cell.get_recurrent_dropout_mask_for_cell(x, True)[0],
    )
    assert not np.array_equal(inputs, state)
    cell.reset_dropout_mask()
    assert not np.array_equal(cell.get_dropout_mask_for_cell(x, True)[0], inputs)
    np.testing.assert_array_equal(
        cell.get_recurrent_dropout_mask_for_cell(x, True)[0], state
    )


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
@pytest.mark.parametrize("kind", ["dropout", "recurrent_dropout"])
def test_the_error_for_another_batch_size_names_the_reset(wrapper, kind):
    cell = MaskCell()

    def two_batches():
        get = getattr(cell, f"get_{kind}_mask_for_cell")
        get(tf.ones([2, 3]), True)
        get(tf.ones([4, 3]), True)

    with pytest.raises(
        ValueError, match=rf"\(4, 3\), .* \(2, 3\). Call reset_{kind}_mask\(\)"
    ):
        wrapper(two_batches)()


def test_a_cell_that_skips_the_mixins_init_is_refused():
    class Backwards(keras.layers.Layer, DropoutRNNCellMixin):
        dropout = recurrent_dropout = 0.5

    with pytest.raises(TypeError, match="whose __init__ was not called"):
        Backwards().get_dropout_mask_for_cell(tf.ones([2, 3]), True)


def test_a_cell_keeps_no_graph_alive():
    cell = MaskCell()

    def trace():
        f = tf.function(lambda x: loop(cell, x))
        return weakref.ref(f.get_concrete_function(steps()).graph)

    graph = trace()
    gc.collect()
    assert graph() is None


def test_gru_layer_draws_one_mask_per_batch():
    """A linear GRU that only adds its masked inputs shows the mask."""
    layer = GRU(
        1, dropout=0.5, activation=None, recurrent_activation=None, use_bias=False
    )
    x = np.zeros((1, 6, 40), "float32")
    layer(x)
    # With z = 0 and r = 0 the output is the candidate: the sum of masked inputs.
    kernel = np.zeros((40, 3), "float32")
    kernel[:, 2] = 2.0 ** np.arange(40)
    layer.set_weights([kernel, np.zeros((1, 3))])
    layer.return_sequences = True

    def sums():
        return layer(np.ones((1, 6, 40), "float32"), training=True).numpy()

    first, second = sums(), sums()
    assert (first == first[:, :1]).all()
    assert first[0, 0, 0] != second[0, 0, 0]
