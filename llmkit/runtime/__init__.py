"""ONNX Runtime: sessions with weights from elsewhere, recurrent steps, sampling. Imports neither torch nor onnx."""
