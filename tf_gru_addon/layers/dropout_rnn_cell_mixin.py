"""Dropout masks of a recurrent cell, the same at every timestep of a batch."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import arguments
from tf_gru_addon._compat import KerasDropoutRNNCell, enclosing_graphs
from tf_gru_addon.layers.checks import is_boolean
from tf_gru_addon.ops.dropout import dropout_masks

_GRAPH_ATTRIBUTE = "_tf_gru_addon_mask_seeds"


class DropoutRNNCellMixin(KerasDropoutRNNCell):
    """Gives a cell dropout masks that last for a batch.

    The mixin of TensorFlow r2.0's cells, on Keras 3. A cell asks for its masks at every
    timestep and receives the same ones until they are reset. `keras.layers.RNN` resets
    them for every batch; a loop of your own must call `reset_dropout_mask()` and
    `reset_recurrent_dropout_mask()`.

    The mixin stores a seed instead of the masks. The seed is drawn where the masks were
    last reset, or else in the function (or eagerly) that holds the time loop. So a mask
    never leaves its graph, a `tf.function` draws new masks at every call, and a graph
    traced for inference holds no random op. A `tf.function` of a single timestep would
    draw at every timestep: put the time loop into the function.

    `keras.layers.RNN` resets the masks of its own cell and of stacked cells, but not of
    a cell inside another cell. In eager execution, such a cell keeps its masks from
    batch to batch until you reset them, as Keras' cells do.

    To use it, name it before `keras.layers.Layer` among the bases, call
    `super().__init__`, and set `dropout` and `recurrent_dropout`:

        class MyCell(DropoutRNNCellMixin, keras.layers.Layer):
            def __init__(self, units, dropout=0.0, seed=None, **kwargs):
                super().__init__(seed=seed, **kwargs)
                self.state_size = self.units = units
                self.dropout = dropout
                self.recurrent_dropout = 0.0

    Args:
        seed: None or an integer, not negative. The same seed gives the same masks,
            batch by batch; None draws a seed that `keras.utils.set_random_seed`
            determines.

    Attributes:
        dropout: Fraction of the inputs to drop, in [0, 1].
        recurrent_dropout: Fraction of the state to drop, in [0, 1].
        seed_generator: The `keras.random.SeedGenerator` that the seeds come from.

    Reference:
        Gal and Ghahramani 2016, "A Theoretically Grounded Application of Dropout in
        Recurrent Neural Networks" (https://arxiv.org/abs/1512.05287).

    Example:
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> cell = tf_gru_addon.GRUCell(2, dropout=0.5, seed=1)
        >>> first, = cell.get_dropout_mask_for_cell(tf.ones([1, 8]), training=True)
        >>> again, = cell.get_dropout_mask_for_cell(tf.ones([1, 8]), training=True)
        >>> bool(tf.reduce_all(first == again))
        True
        >>> cell.reset_dropout_mask()
        >>> other, = cell.get_dropout_mask_for_cell(tf.ones([1, 8]), training=True)
        >>> bool(tf.reduce_all(first == other))
        False
    """

    def __init__(self, *args: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if seed is not None:
            expected = "None or an integer that is not negative"
            seed = arguments.integer("seed", seed, 0, expected)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._begin_masks()

    def _begin_masks(self) -> None:
        self._mask_seeds = _MaskSeeds()

    def get_dropout_mask_for_cell(
        self, inputs: tf.Tensor, training: bool | tf.Tensor | None, count: int = 1
    ) -> list[tf.Tensor] | None:
        """Returns the masks of the inputs; makes them if there are none yet.

        Args:
            inputs: The tensor to mask, (batch, features). The masks have its shape and
                dtype.
            training: True for dropout, False or None for ones, or a scalar boolean
                tensor, which decides at run time.
            count: The number of masks, which are independent of each other.

        Returns:
            None if `dropout` is 0, else a list of `count` tensors.

        Raises:
            ValueError: The masks were made for another batch size.
        """
        return self._masks("dropout", self.dropout, inputs, training, count)

    def get_recurrent_dropout_mask_for_cell(
        self, inputs: tf.Tensor, training: bool | tf.Tensor | None, count: int = 1
    ) -> list[tf.Tensor] | None:
        """Returns the masks of the state; makes them if there are none yet.

        Args:
            inputs: The state to mask, (batch, units). The masks have its shape and
                dtype.
            training: True for dropout, False or None for ones, or a scalar boolean
                tensor, which decides at run time.
            count: The number of masks, which are independent of each other.

        Returns:
            None if `recurrent_dropout` is 0, else a list of `count` tensors.

        Raises:
            ValueError: The masks were made for another batch size.
        """
        return self._masks(
            "recurrent_dropout", self.recurrent_dropout, inputs, training, count
        )

    def reset_dropout_mask(self) -> None:
        """Forgets the masks of the inputs: the next batch gets new ones."""
        self._seeds().clear("dropout")

    def reset_recurrent_dropout_mask(self) -> None:
        """Forgets the masks of the state: the next batch gets new ones."""
        self._seeds().clear("recurrent_dropout")

    # `keras.layers.RNN` calls these two before its loop, to fill the mask cache of its
    # own cells. Here the call means that a batch begins.

    def get_dropout_mask(self, step_input: Any) -> None:
        """Resets the masks; `keras.layers.RNN` calls this when a batch begins."""
        self.reset_dropout_mask()

    def get_recurrent_dropout_mask(self, step_input: Any) -> None:
        """Resets the masks; `keras.layers.RNN` calls this when a batch begins."""
        self.reset_recurrent_dropout_mask()

    def _seeds(self) -> _MaskSeeds:
        try:
            return self._mask_seeds
        except AttributeError:
            raise TypeError(
                f"{type(self).__name__} uses DropoutRNNCellMixin, whose __init__ was "
                "not called. Name the mixin before keras.layers.Layer among the bases, "
                "and call super().__init__(**kwargs)."
            ) from None

    def _masks(
        self, kind: str, rate: float, inputs: Any, training: Any, count: int
    ) -> list[tf.Tensor] | None:
        count = arguments.integer("count", count, 1)
        if rate == 0:
            return None
        inputs = tf.convert_to_tensor(inputs)
        training = resolve_training(training)
        if training is False:
            return [tf.ones_like(inputs)] * count
        seed = self._seeds().get(kind, count, inputs.shape, self.seed_generator)
        return dropout_masks(
            seed, tf.shape(inputs), rate, count, inputs.dtype, training
        )


def resolve_training(training: Any) -> bool | tf.Tensor:
    """Returns True, False, or a boolean tensor whose value is not known yet.

    Args:
        training: None (False), a boolean, 0 or 1, or a scalar tensor or variable.

    Raises:
        ValueError: `training` is neither None, a boolean, 0 or 1, nor a scalar tensor
            or variable of booleans or integers.
    """
    if training is None or isinstance(training, bool | np.bool_):
        return bool(training)
    if isinstance(training, int) and training in (0, 1):
        return bool(training)
    tensor = None
    if hasattr(training, "dtype") and hasattr(training, "shape"):
        tensor = tf.convert_to_tensor(training)
    if tensor is None or not is_boolean(tensor):
        raise ValueError(
            "training must be True, False, None, or a scalar tensor of booleans; "
            f"received: {training!r}."
        )
    if tensor.shape.rank not in (None, 0):
        raise ValueError(
            "training must be one boolean for the whole batch; received a tensor of "
            f"the shape {tuple(tensor.shape)}."
        )
    static = tf.get_static_value(tensor)
    return tf.cast(tensor, tf.bool) if static is None else bool(static)


#: By the number of masks: their seed, and the shape of one mask.
_Seeds = dict[int, tuple[tf.Tensor, tf.TensorShape]]


class _MaskSeeds:
    """The seeds of a cell's masks, each kept in the graph where its batch begins.

    That is the graph in which the masks were last reset, which may be the body of a
    loop over batches; or else the function that holds the time loop. The seeds are an
    attribute of the graph, so they live as long as the graph. A copy is empty, because
    a copied cell starts a batch of its own.
    """

    def __init__(self) -> None:
        self._eager: dict[str, _Seeds] = {}

    def __deepcopy__(self, memo: Any) -> _MaskSeeds:
        return _MaskSeeds()

    def __reduce__(self) -> tuple[type[_MaskSeeds], tuple[()]]:
        return _MaskSeeds, ()

    def _of(self, graph: tf.Graph) -> dict[str, _Seeds]:
        by_cell = getattr(graph, _GRAPH_ATTRIBUTE, None)
        if by_cell is None:
            by_cell = weakref.WeakKeyDictionary()
            setattr(graph, _GRAPH_ATTRIBUTE, by_cell)
        return by_cell.setdefault(self, {})

    def clear(self, kind: str) -> None:
        """Begins a batch in the current graph."""
        graphs = enclosing_graphs()
        (self._of(graphs[0]) if graphs else self._eager)[kind] = {}

    def _home(self, kind: str) -> tuple[tf.Graph | None, _Seeds]:
        graphs = enclosing_graphs()
        for graph in graphs:
            if kind in self._of(graph):
                return graph, self._of(graph)[kind]
        if graphs:
            return graphs[-1], self._of(graphs[-1]).setdefault(kind, {})
        return None, self._eager.setdefault(kind, {})

    def get(
        self,
        kind: str,
        count: int,
        shape: tf.TensorShape,
        generator: keras.random.SeedGenerator,
    ) -> tf.Tensor:
        """Returns the seed of a kind of masks; draws it if there is none yet."""
        graph, seeds = self._home(kind)
        if count not in seeds:
            with contextlib.nullcontext() if graph is None else graph.as_default():
                seeds[count] = generator.next(), shape
        seed, cached_shape = seeds[count]
        if not shape.is_compatible_with(cached_shape):
            raise ValueError(
                f"inputs has the shape {tuple(shape)}, and the {kind} masks of the "
                f"current batch have the shape {tuple(cached_shape)}. Call "
                f"reset_{kind}_mask() on the cell where a new batch begins."
            )
        return seed
