"""ONNX Runtime: sessions with weights from elsewhere, recurrent steps, sampling. Imports neither torch nor onnx.

From version 1.32 on ONNX Runtime writes down when it is used, below ~/.cache, and sends that to its makers. It asks the
environment once, when it is imported: who wants to take part sets ORT_DISABLE_TELEMETRY=0 before.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its own function for that comes too late: the files are there
