"""Computes an ONNX graph once, where nothing can come of it: run as a script, in a process of its own.

The graph comes over standard input. What it is asked, and what it answered, are files that the request names. A graph
that crashes the library, never ends or wants all memory does so here.
"""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
try:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (request["most_memory"], request["most_memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):  # a system that cannot: the time is bounded all the same
    pass

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

onnxruntime.set_default_logger_severity(4)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = request["threads"]
options.inter_op_num_threads = 1
for name, value in request["settings"].items():
    options.add_session_config_entry(name, value)
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
with np.load(request["asked"]) as asked:
    answers = {name: session.run([request["output"]], {request["input"]: asked[name]})[0] for name in asked.files}
np.savez(request["answered"], **answers)
