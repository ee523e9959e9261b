"""A classifier that answers over pipes, for --model-command: `python onnx_command.py classifier.onnx`.

It knows nothing of the harness but the documented helper, and does with a run's export what a user's program would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "commands"))

from answering import answer


def main(file: str) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    says = json.loads(session.get_modelmeta().custom_metadata_map["classifier"])
    mean, deviation = (np.array(says[name], np.float32) for name in ("mean", "deviation"))

    def classify(images: np.ndarray) -> np.ndarray:
        light = (images.astype(np.float32) / np.float32(255) - mean) / deviation
        (logits,) = session.run(None, {session.get_inputs()[0].name: light.transpose(0, 3, 1, 2)})
        raised = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
        return raised / raised.sum(axis=1, keepdims=True)

    shown = {"size_px": says["image_size_px"], "resize": says["resize"]}
    answer(classify, classes=says["classes"], name="exported network", shown=shown)


if __name__ == "__main__":
    main(sys.argv[1])
