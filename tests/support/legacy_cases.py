"""Models of Keras 2: each function takes tf_keras and returns a model and inputs."""

import functools

import numpy as np
import tensorflow as tf

B, T, F = 3, 5, 4


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sequences(seed=0):
    """Returns sequences with padding at the end, at the start, and with a hole."""
    x = numbers(B, T, F, seed=seed)
    x[0, 3:] = x[1, :2] = x[2, 2] = 0
    return x


def randomized(model, seed=1):
    """Gives a model random weights, all different."""
    rng = np.random.default_rng(seed)
    # A variance must be positive.
    model.set_weights(
        [rng.uniform(0.1, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    shift = [
        0 if "variance" in w.name or w.dtype.is_integer else 0.5 for w in model.weights
    ]
    model.set_weights([w - s for w, s in zip(model.get_weights(), shift, strict=True)])
    return model


def gru(k, *, units=3, mask=True, **options):
    layers = [k.layers.Masking()] if mask else []
    layers += [k.layers.GRU(units, **options)]
    return k.Sequential([k.Input((T, F)), *layers]), sequences()


def plain(k, layer, x):
    return k.Sequential([k.Input(x.shape[1:]), layer]), x


def everything(k):
    """Shared and nested models, states, masks, several inputs and outputs."""
    x, state = k.Input((None, F), name="x"), k.Input((3,), name="state")
    inner = k.Sequential(
        [k.layers.Dense(F, input_shape=(None, F)), k.layers.BatchNormalization()],
        name="inner",
    )
    inner.add(k.layers.Dense(F, activation="swish"))
    shared = k.layers.Dense(F, activation="hard_sigmoid", name="shared")
    masked = k.layers.Masking()(x)
    y = k.layers.Add()([inner(masked), inner(x)])
    y = shared(k.layers.Multiply()([y, shared(x)]))
    sequence, last = k.layers.GRU(3, return_sequences=True, return_state=True)(
        y, initial_state=state
    )
    both = k.layers.Bidirectional(k.layers.GRU(2, return_sequences=True))(sequence)
    cells = [k.layers.GRUCell(3), k.layers.GRUCell(2, reset_after=False)]
    stacked = k.layers.RNN(cells, return_sequences=True)(both)
    output = k.layers.TimeDistributed(
        k.layers.Dense(2, activation="hard_sigmoid"), name="output"
    )(stacked)
    return k.Model([x, state], [output, last], name="all"), [
        sequences(),
        numbers(B, 3, seed=2),
    ]


def encoder_decoder(k):
    source, target = k.Input((None,), dtype="int32"), k.Input((None,), dtype="int32")
    embed = k.layers.Embedding(11, 4, mask_zero=True)
    _, forward, backward = k.layers.Bidirectional(k.layers.GRU(3, return_state=True))(
        embed(source)
    )
    state = k.layers.Concatenate()([forward, backward])
    y = k.layers.GRU(6, return_sequences=True)(embed(target), initial_state=[state])
    model = k.Model([source, target], k.layers.Dense(11, activation="softmax")(y))
    rng = np.random.default_rng(3)
    return model, [
        rng.integers(0, 11, (B, n)).astype("int32") * (np.arange(n) < 4)
        for n in (T, T + 1)
    ]


def merged_masks(k):
    x, other = k.Input((T, F)), k.Input((T, F))
    one, two = k.layers.Masking()(x), k.layers.Masking()(other)
    merged = [
        k.layers.Average()([one, two]),
        k.layers.Maximum()([one, other]),
        k.layers.Minimum()([one, two]),
        k.layers.Subtract()([x, two]),
        k.layers.Concatenate()([one, two]),
        k.layers.Concatenate()([one, other]),
        k.layers.Concatenate(axis=1)([one, two]),
    ]
    outputs = [k.layers.GlobalAveragePooling1D()(tensor) for tensor in merged]
    return k.Model([x, other], outputs), [sequences(), sequences(4)[::-1]]


def mixed_training(k):
    """HDF5 files list trainable weights first, then the others."""
    norm, dense = k.layers.BatchNormalization(), k.layers.Dense(F)
    inner = k.Sequential([k.Input((T, F)), norm, dense, k.layers.BatchNormalization()])
    dense.trainable = False
    x = k.Input((T, F))
    frozen = k.Sequential([k.Input((T, F)), k.layers.BatchNormalization()])
    frozen.add(k.layers.Dense(F))
    frozen.trainable = False
    y = k.layers.GRU(3)(frozen(inner(x)))
    return k.Model(x, y), numbers(B, T, F)


def nested_in_time(k):
    inner = k.Sequential([k.Input((F,)), k.layers.BatchNormalization()])
    inner.add(k.layers.Dense(3))
    layer = k.layers.TimeDistributed(inner)
    return k.Sequential([k.Input((T, F)), layer, k.layers.GRU(2)]), numbers(B, T, F)


def stacked_lstm(k):
    x = k.Input((T, F))
    states = [k.Input((n,)) for n in (3, 3, 2, 2)]
    cells = [k.layers.LSTMCell(3, recurrent_activation="hard_sigmoid")]
    cells += [k.layers.LSTMCell(2)]
    layer = k.layers.RNN(cells, return_state=True)
    outputs = layer(x, initial_state=[states[:2], states[2:]])
    model = k.Model([x, *states], [outputs[0], *outputs[1], *outputs[2]])
    return model, [numbers(B, T, F), *(numbers(B, n, seed=n) for n in (3, 3, 2, 2))]


def wrappers(k):
    cells = [k.layers.GRUCell(3), k.layers.SimpleRNNCell(2)]
    layers = [
        k.layers.Bidirectional(k.layers.SimpleRNN(2, return_sequences=True)),
        k.layers.TimeDistributed(k.layers.LayerNormalization()),
        k.layers.RNN(cells),
    ]
    return k.Sequential([k.Input((T, F)), *layers]), numbers(B, T, F)


def named_inputs(k):
    inputs = {"one": k.Input((T, F), name="one"), "two": k.Input((T, F), name="two")}
    y = k.layers.GRU(2)(k.layers.Concatenate()([inputs["one"], inputs["two"]]))
    model = k.Model(inputs, {"y": y, "z": k.layers.Dense(1)(y)})
    return model, {"one": numbers(B, T, F), "two": numbers(B, T, F, seed=1)}


def later_built(k):
    model = k.Sequential([k.layers.GRU(3, return_sequences=True), k.layers.Dense(2)])
    model(numbers(B, T, F))
    return model, numbers(B, T, F)


def two_deep(k):
    core = k.Sequential([k.Input((T, F)), k.layers.GRU(3, return_sequences=True)])
    x = k.Input((T, F))
    middle = k.Model(x, [core(x), k.layers.Dense(3)(x)], name="middle")
    x = k.Input((T, F))
    one, two = middle(x)
    return k.Model(x, k.layers.Add()([one, two, core(x)])), numbers(B, T, F)


def given_states(k):
    """Layers called with states and with the other arguments that Keras saves."""
    x, mask = k.Input((None, F)), k.Input((None,), dtype="bool")
    states = [k.Input((3,)), k.Input((3,))]
    y, forward, backward = k.layers.Bidirectional(
        k.layers.GRU(3, return_sequences=True, return_state=True)
    )(k.layers.Masking()(x), initial_state=states)
    z = k.layers.Bidirectional(k.layers.GRU(3), merge_mode="sum")(
        y, initial_state=[backward, forward]
    )
    last = k.layers.GRU(3)(y, mask=mask, initial_state=z, training=False)
    model = k.Model([x, mask, *states], [last, k.layers.RNN(k.layers.GRUCell(3))(x)])
    lengths = np.arange(T) < np.array([[2], [5], [3]])
    return model, [sequences(), lengths, numbers(B, 3, seed=5), numbers(B, 3, seed=7)]


def attention(k):
    """Every kind of attention after masks, and other layers that need masks."""
    of, x, y = k.layers, k.Input((None, F)), k.Input((None, F))
    one, two = of.Masking()(x), of.Masking()(y)
    itself = of.MultiHeadAttention(2, 3, dropout=0.1)(one, one, use_causal_mask=True)
    outputs = [
        of.Attention(use_scale=True, dropout=0.1)([one, two]),
        *of.Attention()([one, one], return_attention_scores=True),
        of.AdditiveAttention()([x, two, of.Dense(F)(y)], use_causal_mask=True),
        of.MultiHeadAttention(2, 3, value_dim=2, output_shape=5)(one, two, key=y),
        of.Add()([one, itself]),
        of.GRU(3)(one),
        of.GlobalAveragePooling1D()(of.Attention(score_mode="concat")([one, two])),
    ]
    masks = [probe(k)()(tensor) for tensor in outputs]
    return k.Model([x, y], outputs + masks), [sequences(), sequences(4)[::-1]]


WHOLE = {
    case.__name__: case
    for case in (
        *(everything, encoder_decoder, merged_masks, mixed_training),
        *(attention, given_states),
        *(nested_in_time, stacked_lstm, wrappers, named_inputs, later_built, two_deep),
    )
}

SEQUENCE, PICTURE = numbers(B, 6, F), numbers(B, 6, 8, 3)
PLAIN = {
    name: (lambda k, make=make, x=x: plain(k, make(k.layers), x))
    for name, (make, x) in {
        "alpha_dropout": (lambda of: of.AlphaDropout(0.2), SEQUENCE),
        "activation": (lambda of: of.Activation("hard_sigmoid"), SEQUENCE),
        "average_pooling": (lambda of: of.AveragePooling1D(2), SEQUENCE),
        "batch_normalization": (
            lambda of: of.BatchNormalization(1, scale=False, epsilon=0.01),
            SEQUENCE,
        ),
        "causal_conv": (lambda of: of.Conv1D(3, 2, padding="causal"), SEQUENCE),
        "conv": (lambda of: of.Conv1D(3, 2, strides=2, activation="elu"), SEQUENCE),
        "conv2d": (lambda of: of.Conv2D(2, (3, 2), dilation_rate=2), PICTURE),
        "cropping": (lambda of: of.Cropping1D((1, 2)), SEQUENCE),
        "dense": (lambda of: of.Dense(2, "softplus", use_bias=False), SEQUENCE),
        "dropout": (lambda of: of.Dropout(0.5, noise_shape=(None, 1, None)), SEQUENCE),
        "elu": (lambda of: of.ELU(0.5), SEQUENCE),
        "flatten": (lambda of: of.Flatten(), SEQUENCE),
        "gaussian_noise": (lambda of: of.GaussianNoise(0.5), SEQUENCE),
        "global_average": (lambda of: of.GlobalAveragePooling1D(), SEQUENCE),
        "global_max": (lambda of: of.GlobalMaxPooling1D(keepdims=True), SEQUENCE),
        "layer_norm": (lambda of: of.LayerNormalization(epsilon=0.1), SEQUENCE),
        "leaky_relu": (lambda of: of.LeakyReLU(0.2), SEQUENCE),
        "lstm": (
            lambda of: of.LSTM(3, recurrent_activation="hard_sigmoid"),
            SEQUENCE,
        ),
        "max_pooling": (lambda of: of.MaxPooling1D(3, padding="same"), SEQUENCE),
        "max_pooling_2d": (lambda of: of.MaxPooling2D((2, 3)), PICTURE),
        "permute": (lambda of: of.Permute((2, 1)), SEQUENCE),
        "prelu": (lambda of: of.PReLU(shared_axes=[1]), SEQUENCE),
        "relu": (lambda of: of.ReLU(1.0, 0.1, 0.2), SEQUENCE),
        "repeat": (lambda of: of.RepeatVector(3), SEQUENCE[:, 0]),
        "reshape": (lambda of: of.Reshape((3, -1)), SEQUENCE),
        "rnn_of_simple": (lambda of: of.RNN(of.SimpleRNNCell(3)), SEQUENCE),
        "simple_rnn": (lambda of: of.SimpleRNN(3, go_backwards=True), SEQUENCE),
        "softmax": (lambda of: of.Softmax(axis=1), SEQUENCE),
        "spatial_dropout": (lambda of: of.SpatialDropout1D(0.5), SEQUENCE),
        "up_sampling": (lambda of: of.UpSampling1D(2), SEQUENCE),
        "conv_transpose": (
            lambda of: of.Conv1DTranspose(3, 3, strides=2, output_padding=1),
            SEQUENCE,
        ),
        "conv2d_transpose": (lambda of: of.Conv2DTranspose(2, 3, strides=2), PICTURE),
        "conv_lstm": (
            lambda of: of.ConvLSTM1D(3, 2, return_sequences=True),
            numbers(B, T, 6, F),
        ),
        "cropping_2d": (lambda of: of.Cropping2D(1), PICTURE),
        "depthwise_conv": (
            lambda of: of.DepthwiseConv1D(2, depth_multiplier=2),
            SEQUENCE,
        ),
        "depthwise_conv_2d": (
            lambda of: of.DepthwiseConv2D(2, use_bias=False),
            PICTURE,
        ),
        "einsum_dense": (
            lambda of: of.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"),
            SEQUENCE,
        ),
        "group_norm": (lambda of: of.GroupNormalization(2), SEQUENCE),
        "identity": (lambda of: of.Identity(), SEQUENCE),
        "rescaling": (lambda of: of.Rescaling(0.1, 2.0), SEQUENCE),
        "separable_conv": (
            lambda of: of.SeparableConv1D(
                3, 2, depth_multiplier=2, padding="same", activation="relu"
            ),
            SEQUENCE,
        ),
        "separable_conv_2d": (lambda of: of.SeparableConv2D(3, 2), PICTURE),
        "spatial_dropout_2d": (lambda of: of.SpatialDropout2D(0.1), PICTURE),
        "thresholded_relu": (lambda of: of.ThresholdedReLU(0.3), SEQUENCE),
        "unit_norm": (lambda of: of.UnitNormalization(), SEQUENCE),
        "up_sampling_2d": (lambda of: of.UpSampling2D(2), PICTURE),
        "zero_padding_2d": (lambda of: of.ZeroPadding2D(1), PICTURE),
        "zero_padding": (lambda of: of.ZeroPadding1D((1, 2)), SEQUENCE),
    }.items()
}


def probe(k):
    """Returns a layer of Keras 2 or 3 whose output is the mask that reaches it.

    It is (batch, ...) of zeros and ones, or (batch,) of -1 where there is no mask.
    """

    class Probe(k.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is None:
                return tf.fill(tf.shape(inputs)[:1], -1.0)
            return tf.cast(mask, "float32")

        def get_config(self):
            return super().get_config()

    return Probe


def words():
    """Returns sentences of words of letters, padded in every way."""
    x = np.random.default_rng(6).integers(1, 9, (B, T, 6)).astype("int32")
    x[0, 3:] = x[1, :2] = x[2, 2] = 0
    x[1, 3, 1:] = x[1, 4, :3] = x[2, 0, 3] = x[2, 4, 2:] = 0
    return x


def masked(k, make, source):
    """A model of branches after a mask; it returns each branch's values and masks."""
    if source == "masking":
        x, taken = k.Input((None, F)), sequences()
        y = k.layers.Masking()(x)
    elif source == "embedding":
        x, taken = k.Input((T,), dtype="int32"), words()[..., 0]
        y = k.layers.Embedding(9, F, mask_zero=True)(x)
    elif source == "words":
        x, taken = k.Input((T, 6), dtype="int32"), words()
        y = k.layers.TimeDistributed(k.layers.Embedding(9, F, mask_zero=True))(x)
    else:
        x, taken = k.Input((None, 6, F)), numbers(B, T, 6, F) * (words() > 0)[..., None]
        y = k.layers.TimeDistributed(k.layers.Masking())(x)
    branches = tf.nest.flatten([branch(y) for branch in make(k)])
    return k.Model(x, branches + [probe(k)()(branch) for branch in branches]), taken


def _quick_gru(k):
    """Returns a GRU class that is fast to build: Keras 2 traces no GPU kernel."""
    return functools.partial(k.layers.GRU, reset_after=False)


def after_a_mask(k):
    """Every layer that can follow a mask (batch, timesteps)."""
    of, gru = k.layers, _quick_gru(k)
    inner = k.Sequential([of.Dense(3), gru(3, return_sequences=True)])
    x = k.Input((None, F))
    nested = k.Model(x, gru(3, return_sequences=True)(of.Dropout(0.1)(x)))
    return [
        *(of.Activation("relu"), of.ActivityRegularization(0.1), of.AveragePooling1D()),
        *(of.BatchNormalization(), of.Conv1D(3, 2), of.Cropping1D(1), of.Dense(3)),
        *(of.Dropout(0.5), of.ELU(), of.GaussianDropout(0.1), of.GaussianNoise(0.1)),
        *(of.GlobalAveragePooling1D(), of.GlobalMaxPooling1D(keepdims=True)),
        of.GlobalAveragePooling1D(keepdims=True),
        *(of.LSTM(3), of.LSTM(3, return_sequences=True), of.LayerNormalization()),
        *(
            of.LeakyReLU(),
            of.Masking(0.5),
            of.MaxPooling1D(2),
            of.PReLU(shared_axes=[1]),
        ),
        *(of.Permute((2, 1)), of.ReLU(), of.Reshape((-1, 2)), of.SimpleRNN(3)),
        *(of.SpatialDropout1D(0.3), of.UpSampling1D(2), of.ZeroPadding1D(1)),
        *(of.GRU(3), gru(3, return_sequences=True, go_backwards=True)),
        of.RNN([of.GRUCell(3), of.LSTMCell(2)], return_sequences=True),
        of.Bidirectional(gru(3, return_sequences=True), merge_mode="sum"),
        of.Bidirectional(of.LSTM(3)),
        *(of.TimeDistributed(of.Dense(3)), inner, nested),
        lambda y: of.RepeatVector(3)(gru(2)(y)),
        lambda y: of.Add()([y, of.Dense(F)(y)]),
        lambda y: of.Concatenate()([y, of.Conv1D(3, 1)(y)]),
        lambda y: of.Concatenate(axis=1)([y, of.Dense(F)(y)]),
        lambda y: of.Multiply()([y, of.Conv1D(F, 1)(y)]),
        *(
            lambda y, of_=of_: of_()([y, of.Dense(F)(y), of.Masking(0.5)(y)])
            for of_ in (of.Maximum, of.Minimum, of.Average, of.Multiply)
        ),
        lambda y: of.Dot(axes=2)([y, of.Dense(F)(y)]),
    ]


def after_a_mask_of_parts(k):
    """Layers that follow a mask (batch, timesteps, parts)."""
    of, over = k.layers, k.layers.TimeDistributed
    gru = _quick_gru(k)
    row = k.Sequential([of.Dense(3), gru(2)])
    each = k.Sequential([of.Dense(3), gru(2, return_sequences=True)])
    words = [over(layer) for layer in (gru(3), of.Bidirectional(gru(3)), row)]
    return [
        *(of.Dense(3), of.Activation("relu"), of.Masking(), *words),
        *(over(of.Dense(3)), over(gru(3, return_sequences=True)), over(each)),
        *(over(of.BatchNormalization()), over(over(of.Dense(2)))),
        lambda y: gru(3, return_sequences=True)(words[0](y)),
        lambda y: of.Add()([y, over(of.Dense(F))(y)]),
        lambda y: of.Concatenate()([y, over(of.Dense(F))(y)]),
        lambda y: of.GlobalAveragePooling1D()(words[2](y)),
        # A GRU that gets a state finds its mask when it runs.
        lambda y: gru(3)(words[0](y), initial_state=gru(3)(words[0](y))),
    ]
