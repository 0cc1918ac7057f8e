from importlib import resources

import numpy as np
import pytest

from tf_gru_addon.datasets import load_japanese_vowels


@pytest.mark.parametrize(
    ("split", "count", "timesteps"), [("train", 270, 26), ("test", 370, 29)]
)
def test_every_utterance_is_loaded(split, count, timesteps):
    data = getattr(load_japanese_vowels(), split)
    assert data.frames.shape == (count, timesteps, 12)
    assert data.frames.dtype == np.float32
    assert (data.lengths.min(), data.lengths.max()) == (7, timesteps)
    assert sorted(set(data.labels)) == list(range(9))
    assert len(data) == count


@pytest.mark.parametrize("split", ["train", "test"])
def test_frames_equal_the_files(split):
    data = getattr(load_japanese_vowels(), split)
    file = resources.files("tf_gru_addon.datasets") / "japanese_vowels.npz"
    with resources.as_file(file) as path, np.load(path) as raw:
        np.testing.assert_array_equal(data.frames[data.mask], raw[f"{split}_frames"])
        np.testing.assert_array_equal(data.labels, raw[f"{split}_speakers"])
        np.testing.assert_array_equal(data.lengths, raw[f"{split}_lengths"])


def test_thirty_training_utterances_per_speaker():
    assert set(np.bincount(load_japanese_vowels().train.labels)) == {30}


def test_padding_has_the_padding_value():
    train = load_japanese_vowels(padding_value=-9.0).train
    assert train.padding_value == -9.0
    assert np.all(train.frames[~train.mask] == -9.0)
    assert not np.any(train.frames[train.mask] == -9.0)
