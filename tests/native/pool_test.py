"""The thread pool: forks, concurrent callers, limits, idling, and process exit."""

import multiprocessing
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support import kernels
from support.harness import run_python

import tf_gru_addon
from tf_gru_addon import native

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)

#: The folder of the helpers, for the processes below.
TESTS = str(Path(kernels.__file__).parents[1])
PRELUDE = f"import sys; sys.path.insert(0, {TESTS!r})\n"
#: Enough threads to use the pool even on a machine with one CPU.
THREADS = {"TF_GRU_ADDON_THREADS": "4"}


FORK = """
import os, warnings
import numpy as np
from support import kernels
import tf_gru_addon, tensorflow as tf

warnings.simplefilter("ignore", DeprecationWarning)  # os.fork, of threads
arrays = kernels.example()
layer = tf_gru_addon.GRU(64)
layer.build((None, None, 32))
layer.set_weights(arrays[2:])
call = tf.function(layer)
x = tf.constant(arrays[0])
before = call(x).numpy()
expected = kernels.forward(arrays, 4)
for generation in range(3):
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(20):
                    for a, b in zip(kernels.forward(arrays, 4), expected):
                        np.testing.assert_array_equal(a, b)
                assert len(os.listdir("/proc/self/task")) > 1  # threads of its own
                if generation:  # a child of a child, of a process with a pool
                    grandchild = os.fork()
                    if grandchild == 0:
                        ok = (kernels.forward(arrays, 4)[0] == expected[0]).all()
                        os._exit(0 if ok else 2)
                    code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
                else:
                    code = 0
            finally:
                os._exit(code)
        children.append(child)
    # The parent goes on, in TensorFlow and past it, while the children run.
    for _ in range(20):
        np.testing.assert_array_equal(call(x), before)
        np.testing.assert_array_equal(kernels.forward(arrays, 4)[0], expected[0])
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
"""


def test_fork_after_use():
    assert run_python(PRELUDE + FORK, env=THREADS).stdout.endswith("done\n")


FORK_WHILE_BUSY = """
import os, threading, warnings
import numpy as np
from support import kernels

warnings.simplefilter("ignore", DeprecationWarning)
arrays = kernels.example()
expected = kernels.forward(arrays, 4)[0]
stop = threading.Event()

def work():
    while not stop.is_set():
        kernels.forward(arrays, 4)

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):  # Some with the pool's lock held.
    child = os.fork()
    if child == 0:
        os._exit(0 if (kernels.forward(arrays, 4)[0] == expected).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
print("done")
"""


def test_fork_while_other_threads_are_in_the_kernels():
    said = run_python(PRELUDE + FORK_WHILE_BUSY, env=THREADS).stdout
    assert said.endswith("done\n")


def _outputs(seed):
    return kernels.forward(kernels.example(seed), 4)[0]


def test_multiprocessing_by_fork():
    expected = [_outputs(seed) for seed in range(4)]
    with warnings.catch_warnings():
        # Newer versions of Python warn about forks of a process with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            actual = pool.map_async(_outputs, range(4)).get(timeout=120)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


DATA_WORKERS = """
import keras, numpy as np, warnings
import tf_gru_addon
from tf_gru_addon import native

assert native.status().available
warnings.simplefilter("ignore", DeprecationWarning)

class Data(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        from support import kernels
        arrays = kernels.example(index, timesteps=5)
        return arrays[0], kernels.forward(arrays, 4)[1]

if __name__ == "__main__":
    # Forked, as Keras has it on Linux, from a process that has a pool.
    from support import kernels
    kernels.forward(kernels.example(), 4)
    model = keras.Sequential([keras.Input((None, 32)), tf_gru_addon.GRU(64)])
    assert model.layers[0].explain().engine == "native"
    model.compile("sgd", "mse", jit_compile=False)
    data = Data(workers=2, use_multiprocessing=True, max_queue_size=2)
    history = model.fit(data, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    print("done")
"""


def test_keras_data_workers_that_use_the_kernels():
    assert run_python(PRELUDE + DATA_WORKERS, env=THREADS).stdout.endswith("done\n")


def in_threads(count, function):
    """Returns function(i) of each thread; raises the first error of any thread."""
    results, errors = [None] * count, []
    start = threading.Barrier(count)

    def run(i):
        try:
            start.wait()
            results[i] = function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "function"])
@pytest.mark.parametrize("shared", [True, False], ids=["one_layer", "a_layer_each"])
def test_many_callers_at_once(wrap, shared):
    count = 8
    x = tf.constant(kernels.example(batch=5)[0])
    layers = [tf_gru_addon.GRU(64, return_sequences=True) for _ in range(count)]
    for layer in layers:
        layer(x)
    if shared:
        layers = layers[:1] * count

    def step(layer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return [loss, *tape.gradient(loss, layer.trainable_weights)]

    assert layers[0].explain().engine == "native"
    steps = {id(layer): wrap(lambda layer=layer: step(layer)) for layer in layers}
    expected = [steps[id(layer)]() for layer in layers]
    actual = in_threads(
        count, lambda i: [steps[id(layers[i])]() for _ in range(10)][-1]
    )
    for a, e in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(a, e)


EXIT = """
import threading
import tensorflow as tf
import tf_gru_addon
from support import kernels

arrays = kernels.example()
kernels.forward(arrays, 4)
tf_gru_addon.GRU(64)(tf.constant(arrays[0]))

def work():
    while True:
        kernels.forward(arrays, 4)

if sys.argv[1] == "busy":  # Daemons, which are in the kernels when the process ends.
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
print("end", flush=True)
"""


@pytest.mark.parametrize("how", ["idle", "busy"])
def test_the_process_ends(how):
    process = run_python(PRELUDE + EXIT, how, env=THREADS)
    assert process.stdout.endswith("end\n")


AFFINITY = """
import os
from tf_gru_addon import native
from support import kernels

assert native.status().available
cpus = os.sched_getaffinity(0)
said = [len(cpus), kernels.library().gru_threads()]
os.sched_setaffinity(0, {min(cpus)})
said.append(kernels.library().gru_threads())
before = set(os.listdir("/proc/self/task"))
kernels.forward(kernels.example())
said.append(len(set(os.listdir("/proc/self/task")) - before))
os.environ["TF_GRU_ADDON_THREADS"] = "3"
said.append(kernels.library().gru_threads())
kernels.forward(kernels.example())
said.append(len(set(os.listdir("/proc/self/task")) - before))
print(*said)
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"),
    reason="this system cannot limit the CPUs of a process",
)
def test_limits_of_the_cpus_are_kept():
    """On one CPU, only the caller runs, unless the environment variable says more."""
    said = run_python(PRELUDE + AFFINITY, env={"TF_GRU_ADDON_THREADS": ""}).stdout
    cpus, at_first, limited, started, wanted, then_started = map(int, said.split())
    assert (at_first, limited, started) == (cpus, 1, 0)
    assert (wanted, then_started) == (3, 2)


IDLE = """
import time
from tf_gru_addon import native
from support import kernels

assert native.status().available
arrays = kernels.example()
for _ in range(5):
    kernels.forward(arrays, 4)
start = time.process_time()
time.sleep(2)
print(time.process_time() - start)
"""


def test_nothing_spins_when_idle():
    """A spinning thread would take two seconds of CPU time."""
    seconds = float(run_python(PRELUDE + IDLE, env=THREADS).stdout)
    assert seconds < 0.2


SAME_NUMBERS = """
import hashlib, os
import numpy as np, tensorflow as tf
import tf_gru_addon
from support import kernels

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
x, h0, *weights = kernels.example(batch=19, features=37, units=53)
layer = tf_gru_addon.GRU(53)
with tf_gru_addon.use_engine("portable"):
    layer(x)
before = set(os.listdir("/proc/self/task"))
layer(x)
print(len(set(os.listdir("/proc/self/task")) - before))
mask = np.random.default_rng(1).integers(0, 4, x.shape[:2]) > 0
digest = hashlib.sha256()
for options in ({}, {"reset_after": False}, {"go_backwards": True}):
    layer = tf_gru_addon.GRU(53, return_sequences=True, **options)
    layer.build((None, None, 37))
    after = options.get("reset_after", True)
    layer.set_weights([*weights[:2], weights[2] if after else weights[2][0]])
    assert layer.explain().engine == "native"
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, mask=tf.constant(mask), training=True)
        loss = tf.reduce_sum(y * y)
    for result in (y, *tape.gradient(loss, [x, *layer.trainable_weights])):
        digest.update(result.numpy().tobytes())
print(digest.hexdigest())
"""


def test_numbers_depend_on_no_setting_of_threads():
    """Bit for bit, with TensorFlow's intra-op setting and with the variable."""
    digests = set()
    for intra_op, wanted, started in [(1, "", 0), (5, "", 4), (5, "7", 6)]:
        environment = {"TF_GRU_ADDON_THREADS": wanted}
        process = run_python(PRELUDE + SAME_NUMBERS, intra_op, env=environment)
        first, digest = process.stdout.split()
        assert int(first) == started
        digests.add(digest)
    assert len(digests) == 1
