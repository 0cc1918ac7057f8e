"""native.status(): finding and loading the library, and the reasons it reports."""

import os

import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close, run_python

import tf_gru_addon
from tf_gru_addon import native, use_engine

native_only = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)
SAY = "from tf_gru_addon import native\nprint(native.status())"


@pytest.mark.parametrize("setting", ["0", "1"])
def test_the_engine_can_be_turned_off(setting):
    process = run_python(SAY, env={"TF_GRU_ADDON_NATIVE": setting})
    assert ("TF_GRU_ADDON_NATIVE is 0" in process.stdout) == (setting == "0")


RUN_AND_EXPLAIN = """
import tensorflow as tf
import tf_gru_addon
layer = tf_gru_addon.GRU(2)
print(layer(tf.ones([2, 3, 4])).shape, layer.explain())
print("libtf_gru_addon" in open("/proc/self/maps").read())
try:
    tf_gru_addon.GRU(2, engine="native")(tf.ones([2, 3, 4]))
except ValueError as error:
    print(error)
"""


def test_turned_off_the_package_works_on_the_portable_engine():
    said = run_python(RUN_AND_EXPLAIN, env={"TF_GRU_ADDON_NATIVE": "0"}).stdout
    assert said.startswith("(2, 2) portable runs\n")
    assert "\nFalse\n" in said, "the library was loaded"
    assert "'native' was asked for and cannot run: the environment variable" in said


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder in place of that of the library."""
    monkeypatch.setattr(native, "__file__", str(tmp_path / "__init__.py"))
    native._load.cache_clear()
    yield tmp_path
    native._load.cache_clear()


def test_without_the_library(folder):
    assert "there is no libtf_gru_addon.so" in native.status().reason
    with pytest.raises(RuntimeError, match="not available: there is no lib"):
        native.ops()
    layer = tf_gru_addon.GRU(2)
    assert layer(tf.ones([2, 3, 4])).shape == (2, 2)
    assert layer.explain().engine == "portable"


SHADOWED = """
import shutil, sys
sources, clone, site = sys.argv[1:]
ignore = shutil.ignore_patterns("*.so", "__pycache__")
shutil.copytree(sources, f"{clone}/tf_gru_addon", ignore=ignore)
if site:
    shutil.copytree(f"{sources}/native", f"{site}/tf_gru_addon/native")
sys.path[:] = [clone, *filter(None, [site]), *sys.path]
from tf_gru_addon import native
print(native.status().reason)
"""


@native_only
def test_sources_that_shadow_the_installed_package(tmp_path):
    """As with Python in a clone, after `pip install ".[cpu]"` there."""
    sources = os.path.dirname(tf_gru_addon.__file__)
    clone, site = tmp_path / "clone", tmp_path / "site"
    said = run_python(SHADOWED, sources, clone, site, env={"PYTHONPATH": ""}).stdout
    folder = clone / "tf_gru_addon" / "native"
    assert said.startswith(
        f"there is no libtf_gru_addon.so in {folder}: Python imports"
    )
    assert f"the sources in {clone}, not the copy installed in {site}, " in said
    assert "from another folder, or build the library in the sources with pip" in said


def test_sources_without_the_library_say_how_to_build_it(folder, monkeypatch):
    monkeypatch.setattr(native.sys, "path", [])
    monkeypatch.setattr(
        native, "__file__", str(folder / "a" / "native" / "__init__.py")
    )
    assert native.status().reason.endswith(str(folder / "a" / "native"))
    native._load.cache_clear()
    (folder / "setup.py").touch()
    assert native.status().reason.endswith('; pip install -e ".[cpu]" builds it there')


def test_a_library_that_could_not_be_built(folder):
    (folder / native.BUILD_LOG).write_text("no compiler\n")
    assert native.status().reason == "it could not be built: no compiler"


def test_a_file_that_is_no_library(folder):
    (folder / native.LIBRARY).write_text("no library")
    assert "could not be loaded" in native.status().reason


@native_only
@pytest.mark.parametrize("isa", ["avx10", "AVX2"])
def test_an_unsupported_instruction_set_is_reported(isa):
    process = run_python(SAY, env={"TF_GRU_ADDON_ISA": isa})
    best = run_python(SAY, env={"TF_GRU_ADDON_ISA": ""})
    assert "Warning: tf_gru_addon" not in best.stderr
    runs = best.stdout.split("'")[-2]
    assert runs.startswith("its kernels run ")
    assert f"{runs}: the environment variable TF_GRU_ADDON_ISA is" in process.stdout
    assert f"is '{isa}', which is not one of 'avx512', 'avx2' and" in process.stdout
    assert process.stderr.count("UserWarning: tf_gru_addon's native engine: its") == 1


@native_only
def test_a_supported_instruction_set_runs_without_a_warning():
    process = run_python(SAY, env={"TF_GRU_ADDON_ISA": "generic"})
    assert (
        process.stdout == "Status(available=True, reason='its kernels run generic')\n"
    )
    assert "Warning: tf_gru_addon" not in process.stderr


LOAD_AND_TRAIN = """
import sys
import numpy as np
import tensorflow as tf
import tf_gru_addon

loaded = tf.saved_model.load(sys.argv[1])
x = tf.constant(np.load(sys.argv[2]))
results = []
for function in (loaded.infer, loaded.train):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(function(x) ** 2)
        first = tape.gradient(loss, [x, *loaded.weights])
        norm = tf.add_n([tf.reduce_sum(g**2) for g in first])
    results += [loss, *first, *outer.gradient(norm, [x, *loaded.weights])]
print(len(results))
np.savez(sys.argv[3], *results)
"""


@native_only
def test_a_saved_graph_with_the_ops_trains_where_the_package_is_imported(tmp_path):
    """Loads it before any call of the package, and takes second derivatives."""
    layer = tf_gru_addon.GRU(3, return_sequences=True)
    layer.build((None, None, 4))
    module = tf.Module()
    module.weights = [w.value for w in layer.weights]
    spec = tf.TensorSpec([None, None, 4])
    # Trace before saving: the package then cannot know that the graph will be saved.
    for name, training in (("infer", False), ("train", True)):
        function = tf.function(lambda x, training=training: layer(x, training=training))
        setattr(module, name, function.get_concrete_function(spec))
    tf.saved_model.save(module, tmp_path / "saved")
    text = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    assert b"TfGruAddon>GruTraining" in text
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    files = [tmp_path / name for name in ("saved", "x.npy", "results.npz")]
    assert run_python(LOAD_AND_TRAIN, *files).stdout.endswith("18\n")
    with np.load(files[-1]) as file:
        actual = list(file.values())

    x = tf.constant(x)
    with use_engine("portable"), tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        first = tape.gradient(loss, [x, *module.weights])
        norm = tf.add_n([tf.reduce_sum(g**2) for g in first])
    expected = [loss, *first, *outer.gradient(norm, [x, *module.weights])]
    for a, e in zip(actual, [*expected, *expected], strict=True):
        assert_close(a, e)
