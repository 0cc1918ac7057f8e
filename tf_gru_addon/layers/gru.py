"""The GRU layer."""

import inspect
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon import arguments
from tf_gru_addon._compat import refuse_legacy_keras
from tf_gru_addon.layers.checks import part, real, timestep_mask, written_by_keras
from tf_gru_addon.layers.dropout_rnn_cell_mixin import resolve_training
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.ops import engines
from tf_gru_addon.ops.call import Call
from tf_gru_addon.ops.dropout import dropout_masks


def _of_cell(name: str) -> property:
    return property(
        lambda layer: getattr(layer.cell, name), doc=f"The cell's `{name}`."
    )


@keras.saving.register_keras_serializable(package="tf_gru_addon")
class GRU(keras.layers.RNN):
    """A gated recurrent unit over whole sequences.

    Takes the place of `keras.layers.GRU`: the same arguments in the same order with the
    same defaults, the same weights under the same names, the same numbers. What
    differs:

    - The *name* "hard_sigmoid" is TensorFlow r2.0's function. Pass
      `keras.activations.hard_sigmoid` for Keras 3's.
    - Dropout draws other random numbers, and `implementation=2` stays 2 with
      `recurrent_dropout`.
    - Wrong arguments are errors where Keras takes them: text for a boolean, rates
      outside [0, 1], a mask of fractions, complex inputs, two initial states (of which
      Keras takes the first).
    - No timesteps are legal: the output is empty or zero, the state the initial one.

    With x the inputs, h the state, z the update gate, r the reset gate and c the
    candidate, sigma the recurrent activation and phi the activation:

        z  = sigma(x Wz + h Uz + bz)
        r  = sigma(x Wr + h Ur + br)
        c  = phi(x Wh + bh_input + r * (h Uh + bh_recurrent))   reset_after=True
        c  = phi(x Wh + (r * h) Uh + bh)                        reset_after=False
        h' = z * h + (1 - z) * c

    The layer holds a `GRUCell` as `cell`. An *engine* runs whole sequences: `native`,
    in C++, wherever a CPU can take it; `cudnn` on GPUs; `portable`, in TensorFlow's
    own ops, for the rest: inside XLA, in exports, in other dtypes, with other
    activations. `explain` says which and why.

    Args:
        units: Size of the state and of the output, a positive integer.
        activation: Activation of the candidate: a name, a callable, or None for linear.
        recurrent_activation: Activation of the update and the reset gate, likewise.
        use_bias: Whether there is a bias.
        kernel_initializer: Initializer of the cell's `kernel`.
        recurrent_initializer: Initializer of its `recurrent_kernel`.
        bias_initializer: Initializer of its `bias`.
        kernel_regularizer: Regularizer of `kernel`.
        recurrent_regularizer: Regularizer of `recurrent_kernel`.
        bias_regularizer: Regularizer of `bias`.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Constraint on `kernel`.
        recurrent_constraint: Constraint on `recurrent_kernel`.
        bias_constraint: Constraint on `bias`.
        dropout: Fraction of the inputs to drop in training, in [0, 1].
        recurrent_dropout: Fraction of the state to drop in training, in [0, 1].
        seed: None or an integer, not negative: the seed of the dropout masks.
        return_sequences: Whether to return the output of every timestep, and not of the
            last one alone.
        return_state: Whether to return the last state too.
        go_backwards: Whether to start at the last timestep; the outputs come in that
            order.
        stateful: Whether a batch starts from the states that the one before it ended
            with.
        unroll: Whether to build the timesteps side by side in place of a loop.
        reset_after: Whether the reset gate is applied after the recurrent product
            (True, the convention of cuDNN) or before it (False).
        use_cudnn: "auto", True or False: as Keras has it. True demands the cuDNN
            engine.
        implementation: 1 for a dropout mask of its own for each gate, 2 for one mask
            that the gates share. None is 2, or 1 with `recurrent_dropout`.
        engine: "auto", or the name of the engine that every call is to take.
        **kwargs: `zero_output_for_mask` (whether the output of a masked timestep is 0
            and not the previous output), `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: x, (batch, timesteps, features); any number of timesteps, also 0.
        initial_state: None for zeros, or h, (batch, units), or a list of it.
        mask: None, or booleans (batch, timesteps), or integers of which 0 is False:
            where False, the state is carried on, and the inputs are not looked at.
        training: True to apply dropout, False not to, or a scalar boolean tensor; None
            takes what the calling layer or model was told, or else False.

    Returns:
        The output, (batch, timesteps, units) or (batch, units); with `return_state`
        a tuple of the output and the last state, (batch, units).

    Weights, the gates in the order z, r, h:
        cell.kernel: (features, 3 * units).
        cell.recurrent_kernel: (units, 3 * units).
        cell.bias: (2, 3 * units); (3 * units,) without `reset_after`.

    Raises:
        ValueError: An argument is out of its range, or a shape at call time does not
            fit; the message names the argument, what was expected and what came.

    Reference:
        Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for
        Statistical Machine Translation" (https://arxiv.org/abs/1406.1078).

    Example:
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> layer = tf_gru_addon.GRU(4, return_sequences=True, return_state=True)
        >>> outputs, state = layer(tf.ones([2, 10, 3]))
        >>> outputs.shape, state.shape
        (TensorShape([2, 10, 4]), TensorShape([2, 4]))
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        *,
        implementation: int | None = None,
        engine: str = "auto",
        **kwargs,
    ):
        if kwargs.pop("time_major", False):
            raise ValueError(
                "time_major=True is not supported (nor is it by Keras 3): transpose "
                "the inputs to (batch, timesteps, features), and the outputs back."
            )
        if not isinstance(use_cudnn, bool) and use_cudnn != "auto":
            raise ValueError(
                f'use_cudnn must be "auto", True or False; received: {use_cudnn!r}.'
            )
        engines.check_name(engine)
        if "zero_output_for_mask" in kwargs:
            name = "zero_output_for_mask"
            kwargs[name] = arguments.boolean(name, kwargs[name])
        if implementation is None:
            implementation = 1 if recurrent_dropout else 2
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            implementation=implementation,
            reset_after=reset_after,
            seed=seed,
            name="gru_cell",
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
        )
        super().__init__(
            cell,
            return_sequences=arguments.boolean("return_sequences", return_sequences),
            return_state=arguments.boolean("return_state", return_state),
            go_backwards=arguments.boolean("go_backwards", go_backwards),
            stateful=arguments.boolean("stateful", stateful),
            unroll=arguments.boolean("unroll", unroll),
            activity_regularizer=part("activity_regularizer", activity_regularizer),
            **kwargs,
        )
        self._set_engine(use_cudnn, engine)

    units = _of_cell("units")
    activation = _of_cell("activation")
    recurrent_activation = _of_cell("recurrent_activation")
    use_bias = _of_cell("use_bias")
    kernel_initializer = _of_cell("kernel_initializer")
    recurrent_initializer = _of_cell("recurrent_initializer")
    bias_initializer = _of_cell("bias_initializer")
    kernel_regularizer = _of_cell("kernel_regularizer")
    recurrent_regularizer = _of_cell("recurrent_regularizer")
    bias_regularizer = _of_cell("bias_regularizer")
    kernel_constraint = _of_cell("kernel_constraint")
    recurrent_constraint = _of_cell("recurrent_constraint")
    bias_constraint = _of_cell("bias_constraint")
    dropout = _of_cell("dropout")
    recurrent_dropout = _of_cell("recurrent_dropout")
    seed = _of_cell("seed")
    reset_after = _of_cell("reset_after")
    implementation = _of_cell("implementation")

    @tf.autograph.experimental.do_not_convert  # which takes longer than to trace it
    def __call__(self, *args, **kwargs):
        """Calls the layer; a TypeError where a layer of Keras 2 is calling."""
        refuse_legacy_keras("tf_gru_addon.GRU", (args, kwargs))
        return super().__call__(*args, **kwargs)

    def build(self, sequences_shape, initial_state_shape=None):
        """Creates the weights for sequences of (batch, timesteps, features)."""
        if len(sequences_shape) != 3 or sequences_shape[2] is None:
            raise ValueError(
                f"sequences of {self.name} must have the shape (batch, timesteps, "
                f"features), the features known; received {tuple(sequences_shape)}. A "
                "recurrent layer in front of it needs return_sequences=True."
            )
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences, initial_state=None, mask=None, training=None):
        """Runs the sequences; see the class."""
        sequences = real(f"sequences of {self.name}", sequences, self.compute_dtype)
        self._check_inputs(sequences.shape)
        h0 = self._initial_state(sequences, initial_state)
        mask = timestep_mask(f"mask of {self.name}", mask, sequences.shape[:2])
        training = resolve_training(training)

        if sequences.shape[1] == 0:
            output, state, stores_state = self._no_timesteps(h0), h0, True
        else:
            kernel, recurrent_kernel, bias = self.cell.tensors()
            call = self._call(
                training,
                inputs=sequences,
                initial_state=h0,
                kernel=kernel,
                recurrent_kernel=recurrent_kernel,
                bias=bias,
                mask=mask,
                input_masks=self._dropout_masks(
                    self.dropout, sequences[:, 0], training
                ),
                recurrent_masks=self._dropout_masks(
                    self.recurrent_dropout, h0, training
                ),
                resumes=self.stateful and initial_state is None,
            )
            engine = engines.choose(self.engine, call)
            output, state = engine.run(call)
            stores_state = engine.stores_state
        if self.stateful and stores_state:
            self.states[0].assign(tf.cast(state, self.states[0].dtype))
        return (output, state) if self.return_state else output

    def explain(
        self, sequences: tf.Tensor | None = None, training: bool | None = None
    ) -> engines.Explanation:
        """Returns the engine that a call here and now would take, and why no other.

        Args:
            sequences: The inputs of the call. They are not run; what decides is the
                layer, its dtype, and where the call stands: inside XLA, an export, a
                device scope or `use_engine`.
            training: As in a call.

        Raises:
            ValueError: The layer's engine cannot run; the message has every reason.

        Example:
            >>> import tf_gru_addon
            >>> layer = tf_gru_addon.GRU(4, activation="selu")
            >>> layer.explain().engine
            'portable'
            >>> layer.explain().reasons["native"][-1]
            'it lacks the activation selu'
        """
        if sequences is not None:
            shape = getattr(sequences, "shape", None)
            if shape is None or len(shape) != 3:
                received = repr(sequences) if shape is None else tuple(shape)
                raise ValueError(
                    f"sequences of {self.name} must have the shape (batch, timesteps, "
                    f"features); received {received}."
                )
        return engines.explain(
            self.engine, self._described_call(resolve_training(training))
        )

    def _set_engine(self, use_cudnn, engine) -> None:
        self.use_cudnn = use_cudnn
        self.engine = engine
        # Keras compiles a model by itself where every layer allows it, and cuDNN, which
        # is faster, cannot be compiled.
        cudnn = engines.ENGINES["cudnn"]
        self.supports_jit = engine == "portable" or bool(
            cudnn.why_not(self._described_call(True))
        )

    def _call(self, training: bool | tf.Tensor, **tensors: Any) -> Call:
        return Call(
            **tensors,
            reset_after=self.reset_after,
            activation=self.activation,
            recurrent_activation=self.recurrent_activation,
            zero_output_for_mask=self.zero_output_for_mask,
            go_backwards=self.go_backwards,
            return_sequences=self.return_sequences,
            unroll=self.unroll,
            training=training is True,
            use_cudnn=self.use_cudnn,
            layer=self,
        )

    def _described_call(self, training: bool | tf.Tensor) -> Call:
        """Returns a call as far as it is known without inputs and weights."""
        tensor = tf.TensorSpec(None, self.compute_dtype)

        def masks(rate: float) -> list[tf.TensorSpec] | None:
            drops = rate and training is not False
            return [tensor] * self.cell.mask_count if drops else None

        return self._call(
            training,
            inputs=tensor,
            initial_state=tensor,
            kernel=tensor,
            recurrent_kernel=tensor,
            bias=tensor if self.use_bias else None,
            input_masks=masks(self.dropout),
            recurrent_masks=masks(self.recurrent_dropout),
        )

    def _dropout_masks(self, rate, inputs, training):
        """Masks of this batch; made here, so that they are outside of every loop."""
        if rate == 0 or training is False:
            return None
        return dropout_masks(
            self.cell.seed_generator.next(),
            tf.shape(inputs),
            rate,
            self.cell.mask_count,
            inputs.dtype,
            training,
        )

    def _initial_state(self, sequences, initial_state):
        if isinstance(initial_state, list | tuple):
            if len(initial_state) != 1:
                raise ValueError(
                    f"initial_state of {self.name} must hold one tensor; received "
                    f"{len(initial_state)}."
                )
            initial_state = initial_state[0]
        if initial_state is None and self.stateful:
            initial_state = self.states[0]
        if initial_state is None:
            batch = sequences.shape[0]
            batch = tf.shape(sequences)[0] if batch is None else batch
            return self.cell.get_initial_state(batch_size=batch)
        h0 = real(f"initial_state of {self.name}", initial_state, self.compute_dtype)
        expected = [sequences.shape[0], self.units]
        if not h0.shape.is_compatible_with(expected):
            cause = (
                " A stateful layer keeps the batch size that it was built with."
                if self.stateful
                else ""
            )
            raise ValueError(
                f"initial_state of {self.name} must have the shape (batch, units), "
                f"here {tuple(expected)}; received {tuple(h0.shape)}.{cause}"
            )
        return h0

    def _check_inputs(self, sequences: tf.TensorShape) -> None:
        features = self.cell.kernel.shape[0]
        if sequences.rank != 3 or sequences[2] not in (None, features):
            raise ValueError(
                f"sequences of {self.name} must have the shape (batch, timesteps, "
                f"features), here (batch, timesteps, {features}); received "
                f"{tuple(sequences)}."
            )
        if self.unroll and sequences[1] is None:
            raise ValueError(
                f"{self.name} cannot unroll an unknown number of timesteps: the shape "
                f"of sequences is {tuple(sequences)}. Give the timesteps in "
                "keras.Input(shape=(timesteps, features)), or pass unroll=False."
            )

    def _no_timesteps(self, h0):
        if not self.return_sequences:
            return tf.zeros_like(h0)
        return tf.zeros_like(h0)[:, tf.newaxis][:, :0]

    def get_initial_state(self, batch_size: int | tf.Tensor) -> list[tf.Tensor]:
        """Returns a list of one state of zeros, (batch, units)."""
        # Keras before 3.8 cannot make the variable of a stateful layer from another
        # dtype than the variable's.
        return [self.cell.get_initial_state(None, batch_size, self.variable_dtype)]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments from which `from_config` makes the same layer."""
        config = super().get_config()
        del config["cell"]
        arguments = {
            **self.cell.get_config(),
            **config,
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
            "use_cudnn": self.use_cudnn,
            "engine": self.engine,
        }
        rest = {name: config[name] for name in config if name not in _ARGUMENTS}
        return {**rest, **{name: arguments[name] for name in _ARGUMENTS}}

    @classmethod
    def from_cell(cls, cell: GRUCell, **kwargs) -> "GRU":
        """Returns a layer that runs the sequences of a cell, with the cell's weights.

        It takes the place of `keras.layers.RNN(cell, **kwargs)`: same weights, same
        numbers, but an engine runs the sequences.

        Args:
            cell: The cell, which the layer holds from then on: weights are shared.
            **kwargs: Arguments of `GRU` that are not the cell's: `return_sequences`,
                `return_state`, `go_backwards`, `stateful`, `unroll`, `engine`, ...

        Raises:
            TypeError: `cell` is no `tf_gru_addon.GRUCell`, or an argument is the
                cell's to say.

        Example:
            >>> import tensorflow as tf
            >>> import tf_gru_addon
            >>> cell = tf_gru_addon.GRUCell(4)
            >>> layer = tf_gru_addon.GRU.from_cell(cell, return_sequences=True)
            >>> layer(tf.ones([2, 10, 3])).shape
            TensorShape([2, 10, 4])
            >>> layer.cell is cell
            True
        """
        if not isinstance(cell, GRUCell):
            raise TypeError(
                "cell must be a tf_gru_addon.GRUCell; received a "
                f"{type(cell).__module__}.{type(cell).__name__}."
            )
        config = cell.get_config()
        for name in ("name", "trainable"):
            del config[name]
        if given := sorted(set(config) & set(kwargs)):
            raise TypeError(
                f"{given[0]} is the cell's to say; leave it out of from_cell."
            )
        layer = cls(**config, trainable=cell.trainable, **kwargs)
        del layer.cell
        layer.cell = cell
        return layer

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GRU":
        """Returns the layer of a config, of this class or of `keras.layers.GRU`."""
        config = written_by_keras(config)
        if config.get("implementation") == 0:
            config["implementation"] = 1  # what Keras 2's layer makes of it
        return cls(**config)


_ARGUMENTS = tuple(inspect.signature(GRU.__init__).parameters)[1:-1]
