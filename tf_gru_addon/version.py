"""The one source of the version and of the supported TensorFlow and Keras ranges."""

__version__ = "0.1.0"

#: The oldest TensorFlow and Keras that the tests run on.
MIN_TENSORFLOW = "2.16"
MIN_KERAS = "3.3.3"
