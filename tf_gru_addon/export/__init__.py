"""Writes models for deployment, and compares each export with its model."""

from tf_gru_addon.errors import ExportError as ExportError
from tf_gru_addon.export.export_streaming import export_streaming as export_streaming
from tf_gru_addon.export.parity_report import ParityReport as ParityReport
from tf_gru_addon.export.targets.litert import export_litert as export_litert
from tf_gru_addon.export.targets.onnx import export_onnx as export_onnx
from tf_gru_addon.export.targets.saved_model import (
    export_saved_model as export_saved_model,
)
from tf_gru_addon.streaming import Stream as Stream
from tf_gru_addon.streaming import StreamingModel as StreamingModel
