"""A published model: the pronunciation of words, by the package g2p_en.

Its checkpoint holds an encoder and a decoder that were trained in PyTorch. Both have
256 units and 256 features, so no shape reveals a transposed matrix. The package's own
NumPy code gives the expected numbers; its page on PyPI gives the pronunciation of
"activationist".
"""

import importlib
import sys
import types
import warnings

import keras
import numpy as np
import pytest
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon.weights import from_torch, to_keras_arrays, to_onnx

pytestmark = pytest.mark.peer

PUBLISHED = "AE2 K T IH0 V EY1 SH AH0 N IH0 S T"
WORDS = ["activationist", "tensor", "recurrence", "onomatopoeia", "qwzx", "a"]


@pytest.fixture(scope="module")
def g2p():
    """The package's model, without the dictionaries that it would download."""
    stand_ins = {
        "nltk": {"pos_tag": None, "data": types.SimpleNamespace(find=bool)},
        "nltk.corpus": {"cmudict": types.SimpleNamespace(dict=dict)},
        "nltk.tokenize": {"TweetTokenizer": lambda: types.SimpleNamespace(tokenize=0)},
        "g2p_en.expand": {"normalize_numbers": None},
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # g2p_en is older than the functions that warn about it
        for name, attributes in stand_ins.items():
            module = types.ModuleType(name)
            vars(module).update(attributes)
            patch.setitem(sys.modules, name, module)
        yield importlib.import_module("g2p_en.g2p").G2p()


def weights_of(g2p, part):
    """Returns the weights of the part "enc" or "dec"."""
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    arrays = [getattr(g2p, f"{part}_{end}") for end in ("w_ih", "w_hh", "b_ih", "b_hh")]
    (layer,) = from_torch(dict(zip(names, arrays, strict=True)))
    return layer.forward


@pytest.fixture(scope="module", params=[keras.layers.GRU, tf_gru_addon.GRU])
def encoder(request, g2p):
    weights = weights_of(g2p, "enc")
    layer = request.param(weights.units, return_sequences=True)
    layer.build((None, None, weights.features))
    layer.set_weights(to_keras_arrays(weights))
    return layer


@pytest.fixture(scope="module")
def decoder(g2p):
    weights = weights_of(g2p, "dec")
    cell = tf_gru_addon.GRUCell(
        weights.units, recurrent_activation="sigmoid", reset_after=True
    )
    cell.build((None, weights.features))
    cell.set_weights(to_keras_arrays(weights))
    return cell


def package_states(g2p, word):
    arrays = [getattr(g2p, f"enc_{end}") for end in ("w_ih", "w_hh", "b_ih", "b_hh")]
    return g2p.gru(g2p.encode(word), len(word) + 1, *arrays)


def pronounce(g2p, encoder, decoder, word):
    """Does what the package's `predict` does, with these two GRUs."""
    h = encoder(g2p.encode(word))[:, -1]
    phoneme, phonemes = g2p.p2idx["<s>"], []
    for _ in range(20):
        _, (h,) = decoder(g2p.dec_emb[[phoneme]], [h])
        phoneme = int(np.argmax(np.asarray(h) @ g2p.fc_w.T + g2p.fc_b))
        if phoneme == g2p.p2idx["</s>"]:
            break
        phonemes.append(g2p.idx2p[phoneme])
    return phonemes


@pytest.mark.parametrize("word", WORDS)
def test_the_same_states_and_the_same_phonemes(g2p, encoder, decoder, word):
    expected = package_states(g2p, word)
    assert_close(encoder(g2p.encode(word)), expected)
    assert pronounce(g2p, encoder, decoder, word) == g2p.predict(word)


def test_the_published_pronunciation(g2p, encoder, decoder):
    assert " ".join(pronounce(g2p, encoder, decoder, "activationist")) == PUBLISHED


def test_the_encoder_in_onnx(g2p):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        to_onnx(weights_of(g2p, "enc")).SerializeToString()
    )
    x = g2p.encode("activationist")
    y, _ = session.run(None, {"X": x.transpose(1, 0, 2)})
    assert_close(y[:, 0].transpose(1, 0, 2), package_states(g2p, "activationist"))
