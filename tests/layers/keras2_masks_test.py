"""Masks pass through a loaded model as in the Keras version that wrote it."""

import h5py
import keras
import pytest
import tensorflow as tf
from support import legacy_cases
from support.harness import assert_close
from support.legacy_cases import B, F, T, numbers, probe, randomized, words
from support.legacy_files import ALLOW_WARNINGS, KERAS_3_3, outputs

from tf_gru_addon import load_legacy_model
from tf_gru_addon.layers import keras2_masks

pytestmark = ALLOW_WARNINGS


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (legacy_cases.after_a_mask, "masking"),
        (legacy_cases.after_a_mask_of_parts, "words"),
        (lambda k: legacy_cases.after_a_mask_of_parts(k)[3:5], "parts"),
    ],
)
def test_every_layer_after_a_mask(tf_keras, make, source, tmp_path):
    if source == "words" and KERAS_3_3:
        pytest.skip("Keras 3.3 builds no TimeDistributed of a Sequential")
    model, x = legacy_cases.masked(tf_keras, make, source)
    randomized(model).save(tmp_path / "model.h5")
    custom = {"Probe": probe(keras)}
    loaded = load_legacy_model(tmp_path / "model.h5", custom)
    pairs = zip(outputs(loaded, x), outputs(model, x), strict=True)
    for name, (one, two) in zip(model.output_names, pairs, strict=True):
        assert_close(one, two, what=name)


def test_a_tagger_of_words_and_letters(tf_keras, tmp_path):
    k, of = tf_keras, tf_keras.layers
    sentence, letters = k.Input((T,), dtype="int32"), k.Input((T, 6), dtype="int32")
    spelled = of.TimeDistributed(of.Embedding(9, 5, mask_zero=True))(letters)
    spelled = of.TimeDistributed(of.GRU(4))(spelled)
    y = of.Concatenate()([of.Embedding(9, 3, mask_zero=True)(sentence), spelled])
    y = of.Bidirectional(of.GRU(4, return_sequences=True))(y)
    y = of.TimeDistributed(of.Dense(3, activation="softmax"))(y)
    model = randomized(k.Model([sentence, letters], y))
    x = [words()[..., 0], words()]
    expected = outputs(model, x)
    for name in ("model.h5", "model.keras"):
        model.save(tmp_path / name)
        loaded = load_legacy_model(tmp_path / name)
        assert_close(outputs(loaded, x)[0], expected[0])
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert_close(outputs(again, x)[0], expected[0])


def test_before_keras_2_2_time_distributed_dropped_the_inner_mask(tf_keras, tmp_path):
    """A TimeDistributed passed its own mask on; here there is none."""
    of = tf_keras.layers
    model = tf_keras.Sequential([tf_keras.Input((T, 6), dtype="int32")])
    embedding = of.Embedding(9, F, mask_zero=True)
    model.add(of.TimeDistributed(embedding))
    model.add(of.TimeDistributed(of.GRU(3)))
    model.add(of.GRU(3, return_sequences=True))
    path = tmp_path / "model.h5"
    randomized(model).save(path)
    with_mask = outputs(model, words())[0]
    config = model.get_config()
    config["layers"][1]["config"]["layer"]["config"]["mask_zero"] = False
    unmasked = tf_keras.Sequential.from_config(config)
    unmasked.set_weights(model.get_weights())
    without_mask = outputs(unmasked, words())[0]
    for version, expected in (("2.1.6", without_mask), ("2.2.0", with_mask)):
        with h5py.File(path, "r+") as file:
            file.attrs["keras_version"] = version
        assert_close(outputs(load_legacy_model(path), words())[0], expected)


def test_time_distributed_of_a_stateful_layer_takes_no_mask():
    layer = keras2_masks.TimeDistributed(keras.layers.GRU(2, stateful=True))
    x = tf.constant(numbers(B, T, 6, F))
    assert layer(x).shape == (B, T, 2)
    with pytest.raises(ValueError, match="stateful layer takes no mask"):
        layer(x, mask=tf.ones((B, T, 6), "bool"))
