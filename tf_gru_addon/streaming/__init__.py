"""Sequences that arrive frame by frame: a model that carries its states along."""

from tf_gru_addon.streaming.stream import Stream as Stream
from tf_gru_addon.streaming.streaming_model import StreamingModel as StreamingModel
