import re

import keras
import numpy as np
import pytest

from tf_gru_addon.config import build_model
from tf_gru_addon.training import WorkdirError
from tf_gru_addon.training.state import Progress, load_state, save_state

NOISY = [
    {"GaussianNoise": {"stddev": 0.1}},
    {"GRU": {"units": 3, "dropout": 0.1, "return_sequences": True}},
    "BatchNormalization",
    {"Bidirectional": {"layer": {"GRU": {"units": 2, "recurrent_dropout": 0.1}}}},
    {"Dropout": {"rate": 0.2}},
    {"Dense": {"units": 3}},
]


@pytest.fixture(scope="module")
def trained(make_config):
    model = build_model(make_config(NOISY))
    x = np.random.default_rng(0).normal(size=(6, 4, 2)).astype("float32")
    model.fit(x, np.arange(6) % 3, verbose=0)
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "resume.npz"


def seed_states(model):
    return [
        np.asarray(variable)
        for variable in model.variables
        if "seed_generator_state" in variable.name
    ]


def test_everything_that_training_changes_is_restored(trained, make_config, path):
    save_state(path, trained, Progress([{"loss": 0.1}, {"loss": 1 / 3}], 4.5))
    fresh = build_model(make_config(NOISY))
    assert load_state(path, fresh) == Progress([{"loss": 0.1}, {"loss": 1 / 3}], 4.5)
    for model_part in ("weights", "optimizer"):
        old, new = (getattr(model, model_part) for model in (trained, fresh))
        for a, b in zip(
            getattr(old, "variables", old), getattr(new, "variables", new), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_random_states_are_restored(trained, make_config, path):
    save_state(path, trained, Progress())
    fresh = build_model(make_config(NOISY))
    before, states = seed_states(fresh), seed_states(trained)
    assert len(states) == 5  # noise, GRU, two of the Bidirectional, Dropout
    assert not any(np.array_equal(a, b) for a, b in zip(before, states, strict=True))
    load_state(path, fresh)
    for state, expected in zip(seed_states(fresh), states, strict=True):
        np.testing.assert_array_equal(state, expected)


def test_another_model_is_refused(trained, make_config, path):
    save_state(path, trained, Progress())
    model = build_model(make_config())
    before = model.get_weights()
    with pytest.raises(WorkdirError, match="holds the state of another model"):
        load_state(path, model)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "no progress"])
def test_damaged_files_are_refused(trained, make_config, path, damage):
    save_state(path, trained, Progress())
    content = path.read_bytes()
    if damage == "no progress":
        np.savez(path, a=np.ones(1))
    else:
        path.write_bytes({"cut": content[:-200], "empty": b"", "text": b"a"}[damage])
    with pytest.raises(WorkdirError, match=re.escape(f"{path}: damaged")):
        load_state(path, build_model(make_config()))


@pytest.mark.parametrize(
    "progress",
    [
        *("", "[]", "{}", "3", '{"history": 3}', '{"seconds": "long"}'),
        '{"history": [{"loss": "a"}]}',
        '{"history": [[0.1]]}',
        '{"history": [{"loss": 0.1}, {"accuracy": 0.1}]}',
        '{"history": [], "seconds": 1, "data": 3}',
    ],
)
def test_wrong_content_is_refused(trained, make_config, path, progress):
    save_state(path, trained, Progress())
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"progress": np.array(progress)})
    if progress == "{}":
        load_state(path, build_model(make_config(NOISY)))
        return
    with pytest.raises(WorkdirError, match=re.escape(f"{path}: damaged")):
        load_state(path, build_model(make_config(NOISY)))


def test_arrays_of_another_kind_are_refused(trained, make_config, path):
    save_state(path, trained, Progress())
    with np.load(path) as file:
        arrays = dict(file)
    name = "model/0001"
    arrays[name] = np.full(arrays[name].shape, "a")
    np.savez(path, **arrays)
    with pytest.raises(WorkdirError, match="holds the state of another model"):
        load_state(path, build_model(make_config(NOISY)))


def test_nothing_is_unpickled(path, make_config):
    np.savez(path, progress=np.array([{}], object))
    with pytest.raises(WorkdirError, match="Python objects, which are never loaded"):
        load_state(path, build_model(make_config()))


def test_what_keras_saves_lacks_the_random_states(trained, tmp_path):
    """Shows why the package writes its own file; if this fails, it may not need one."""
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    pairs = zip(seed_states(trained), seed_states(loaded), strict=True)
    assert not any(np.array_equal(a, b) for a, b in pairs)
