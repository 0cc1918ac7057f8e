"""The activations that the native kernels implement, as Keras functions."""

import keras

from tf_gru_addon import activations

FUNCTIONS = {
    "sigmoid": keras.activations.sigmoid,
    "hard_sigmoid": activations.hard_sigmoid,
    "keras_hard_sigmoid": keras.activations.hard_sigmoid,
    "tanh": keras.activations.tanh,
    "relu": keras.activations.relu,
    "linear": keras.activations.linear,
}
