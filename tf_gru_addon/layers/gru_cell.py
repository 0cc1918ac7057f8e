"""The GRU cell of TensorFlow r2.0, on Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon import activations, arguments
from tf_gru_addon._compat import refuse_legacy_keras
from tf_gru_addon.layers.checks import (
    part,
    real,
    require_floating,
    written_by_keras,
)
from tf_gru_addon.layers.dropout_rnn_cell_mixin import (
    DropoutRNNCellMixin,
    resolve_training,
)
from tf_gru_addon.ops import gru_step as step


@keras.saving.register_keras_serializable(package="tf_gru_addon")
class GRUCell(DropoutRNNCellMixin, keras.layers.Layer):
    """One timestep of a gated recurrent unit.

    A Keras 3 layer with the arguments, defaults and methods of TensorFlow r2.0's
    `GRUCell`. Use it inside `keras.layers.RNN`, alone or stacked with
    `keras.layers.StackedRNNCells`, or in a loop of your own. `tf_gru_addon.GRU` has the
    same equations and runs whole sequences faster.

    With x the inputs, h the state, z the update gate, r the reset gate and c the
    candidate, sigma the recurrent activation and phi the activation:

        z  = sigma(x Wz + h Uz + bz)
        r  = sigma(x Wr + h Ur + br)
        c  = phi(x Wh + (r * h) Uh + bh)                        reset_after=False
        c  = phi(x Wh + bh_input + r * (h Uh + bh_recurrent))   reset_after=True
        h' = z * h + (1 - z) * c

    Args:
        units: Size of the state and of the output, a positive integer.
        activation: phi, as a name, a callable, or None for linear. The name
            "hard_sigmoid" is TensorFlow r2.0's function, `clip(0.2 x + 0.5, 0, 1)`.
        recurrent_activation: sigma, likewise.
        use_bias: Whether there is a bias.
        kernel_initializer: Initializer of `kernel`.
        recurrent_initializer: Initializer of `recurrent_kernel`.
        bias_initializer: Initializer of `bias`.
        kernel_regularizer: Regularizer of `kernel`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`.
        bias_regularizer: Regularizer of `bias`.
        kernel_constraint: Constraint on `kernel`.
        recurrent_constraint: Constraint on `recurrent_kernel`.
        bias_constraint: Constraint on `bias`.
        dropout: Fraction of the inputs to drop in training, in [0, 1].
        recurrent_dropout: Fraction of the state to drop in training, in [0, 1]. Only
            the operand of the recurrent products is masked, not the state carried on.
        implementation: 1 for a separate dropout mask for each gate, 2 for one mask that
            the gates share. Without dropout both give the same numbers.
        reset_after: Whether the reset gate is applied after the recurrent product
            (True, the convention of cuDNN) or before it (False).
        seed: None or an integer, not negative: the seed of the dropout masks.
        **kwargs: `name`, `dtype` and `trainable`, as of every Keras layer.

    Call arguments:
        inputs: x, (batch, features).
        states: h, (batch, units), as a tensor, or in a list or tuple of one.
        training: Whether to apply dropout: a boolean or a scalar boolean tensor. None
            takes the value of the calling layer or model, or else False.

    Returns:
        The output, (batch, units), and the new state, which is the same tensor, in a
        container of the same type as that of `states`.

    Weights, the gates in the order z, r, h:
        kernel: W, (features, 3 * units).
        recurrent_kernel: U, (units, 3 * units).
        bias: (3 * units,); with `reset_after` (2, 3 * units), the input biases and the
            recurrent biases. None without `use_bias`.

    Raises:
        ValueError: An argument is out of its range, or a shape at call time does not
            fit; the message names the argument, the expected and the received value.

    Reference:
        Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for
        Statistical Machine Translation" (https://arxiv.org/abs/1406.1078).

    Example:
        >>> import keras
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> cell = tf_gru_addon.GRUCell(4)
        >>> output, state = cell(tf.ones([2, 3]), tf.zeros([2, 4]))
        >>> output.shape
        TensorShape([2, 4])
        >>> sequence = tf.ones([2, 10, 3])
        >>> keras.layers.RNN(cell, return_sequences=True)(sequence).shape
        TensorShape([2, 10, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = 1,
        reset_after: bool = False,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments.boolean("trainable", kwargs.get("trainable", True))
        super().__init__(seed=seed, **kwargs)
        require_floating(self)
        self.units = arguments.integer("units", units, 1, "a positive integer")
        self.activation = part("activation", activation)
        self.recurrent_activation = part("recurrent_activation", recurrent_activation)
        self.use_bias = arguments.boolean("use_bias", use_bias)
        self.kernel_initializer = part("kernel_initializer", kernel_initializer)
        self.recurrent_initializer = part(
            "recurrent_initializer", recurrent_initializer
        )
        self.bias_initializer = part("bias_initializer", bias_initializer)
        self.kernel_regularizer = part("kernel_regularizer", kernel_regularizer)
        self.recurrent_regularizer = part(
            "recurrent_regularizer", recurrent_regularizer
        )
        self.bias_regularizer = part("bias_regularizer", bias_regularizer)
        self.kernel_constraint = part("kernel_constraint", kernel_constraint)
        self.recurrent_constraint = part("recurrent_constraint", recurrent_constraint)
        self.bias_constraint = part("bias_constraint", bias_constraint)
        self.dropout = _rate("dropout", dropout)
        self.recurrent_dropout = _rate("recurrent_dropout", recurrent_dropout)
        self.implementation = _implementation(implementation)
        self.reset_after = arguments.boolean("reset_after", reset_after)
        self.state_size = self.units
        self.output_size = self.units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of `input_shape`, (batch, features)."""
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"{self.name} cannot make its kernel: the last dimension of inputs, "
                f"the features, must be known; received the shape {input_shape}."
            )
        self.kernel = self.add_weight(
            shape=(features, 3 * self.units),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 3 * self.units),
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            shape = (3 * self.units,)
            self.bias = self.add_weight(
                shape=(2, *shape) if self.reset_after else shape,
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    @tf.autograph.experimental.do_not_convert  # converting takes longer than tracing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the cell; a TypeError if the caller is a layer of Keras 2."""
        refuse_legacy_keras("tf_gru_addon.GRUCell", (args, kwargs))
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any, states: Any, training: Any = None) -> tuple[Any, Any]:
        """Runs one timestep; the class docstring describes arguments and results."""
        inputs = real(f"inputs of {self.name}", inputs, self.compute_dtype)
        nested = isinstance(states, list | tuple)
        if states is None or (nested and len(states) != 1):
            raise ValueError(
                f"states of {self.name} must be a tensor, or hold one; received "
                f"{None if states is None else len(states)}. get_initial_state() "
                "gives that of the first timestep."
            )
        h = states[0] if nested else states
        h = real(f"states of {self.name}", h, self.compute_dtype)
        self._check_shapes(inputs.shape, h.shape)

        input_masks = recurrent_masks = None
        if resolve_training(training) is not False:
            input_masks = self.get_dropout_mask_for_cell(
                inputs, training, self.mask_count
            )
            recurrent_masks = self.get_recurrent_dropout_mask_for_cell(
                h, training, self.mask_count
            )
        kernel, recurrent_kernel, bias = self.tensors()
        biases, recurrent_bias = step.split_bias(bias, self.reset_after)
        x = step.project_inputs(inputs, kernel, biases, input_masks)
        recurrence = step.Recurrence(
            kernels=tuple(tf.split(recurrent_kernel, 3, axis=1)),
            bias=recurrent_bias,
            masks=recurrent_masks,
            reset_after=self.reset_after,
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
        )
        h, _ = step.gru_step(x, h, recurrence)
        if isinstance(states, tuple):
            return h, (h,)
        return h, [h] if nested else h

    @property
    def mask_count(self) -> int:
        """The number of dropout masks of each kind: three, or one that gates share."""
        return 3 if self.implementation == 1 else 1

    def tensors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns kernel, recurrent kernel and bias (or None) in the compute dtype."""
        dtype = self.compute_dtype
        return (
            keras.ops.cast(self.kernel, dtype),
            keras.ops.cast(self.recurrent_kernel, dtype),
            None if self.bias is None else keras.ops.cast(self.bias, dtype),
        )

    def _check_shapes(self, inputs: tf.TensorShape, state: tf.TensorShape) -> None:
        features = self.kernel.shape[0]
        if inputs.rank != 2 or inputs[1] not in (None, features):
            raise ValueError(
                f"inputs of {self.name} must have the shape (batch, features), here "
                f"(batch, {features}); received {tuple(inputs)}. A whole sequence is "
                "for keras.layers.RNN(cell) or tf_gru_addon.GRU."
            )
        if not state.is_compatible_with([inputs[0], self.units]):
            raise ValueError(
                f"states of {self.name} must have the shape (batch, units), here "
                f"({inputs[0]}, {self.units}); received {tuple(state)}."
            )

    def get_initial_state(
        self,
        inputs: tf.Tensor | None = None,
        batch_size: int | tf.Tensor | None = None,
        dtype: Any = None,
    ) -> tf.Tensor:
        """Returns a state of zeros, (batch, units).

        Args:
            inputs: A tensor (batch, ...) that gives the batch size and the dtype.
            batch_size: The batch size; ignored if `inputs` is given.
            dtype: The dtype, by default the compute dtype; ignored if `inputs` is
                given.

        Raises:
            ValueError: Neither `inputs` nor `batch_size` is given.
        """
        if inputs is not None:
            inputs = tf.convert_to_tensor(inputs)
            batch_size, dtype = tf.shape(inputs)[0], inputs.dtype
        elif batch_size is None:
            raise ValueError(
                "get_initial_state needs inputs or batch_size; received neither."
            )
        elif not tf.is_tensor(batch_size):
            batch_size = arguments.integer("batch_size", batch_size, 0)
        return tf.zeros([batch_size, self.units], dtype or self.compute_dtype)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GRUCell:
        """Returns the cell of a config, of this class or of Keras' `GRUCell`."""
        config = written_by_keras(config)
        if config.get("implementation") == 0:
            # Keras' cells share a mask, unless recurrent dropout makes it 1.
            config["implementation"] = 1 if config.get("recurrent_dropout") else 2
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, for `from_config`."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(
                self.recurrent_initializer
            ),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": keras.regularizers.serialize(
                self.recurrent_regularizer
            ),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": keras.constraints.serialize(
                self.recurrent_constraint
            ),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "implementation": self.implementation,
            "reset_after": self.reset_after,
            "seed": self.seed,
        }


def _rate(name: str, value: Any) -> float:
    return arguments.number(name, value, 0, 1, "a fraction between 0 and 1")


def _implementation(value: Any) -> int:
    expected = "1 (a dropout mask for each gate) or 2 (one shared mask)"
    number = arguments.integer("implementation", value, 1, expected)
    if number > 2:
        raise ValueError(f"implementation must be {expected}; received: {value!r}.")
    return number
