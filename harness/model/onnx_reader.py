"""Opens a classifier.onnx as a stranger would: with onnxruntime, NumPy and Pillow alone. Run as a script, isolated.

It knows neither torch nor this project: how an image is prepared it takes from the file's own metadata. The graph comes
over standard input, the images and where to write the answers in the request.
"""

import io
import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
for absent in ("torch", "harness"):
    sys.modules[absent] = None  # type: ignore[assignment]  # the file must answer without them
warnings.simplefilter("ignore")  # what is odd about an image is said by others

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from PIL import Image  # noqa: E402

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = request["threads"]
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
graph = sys.stdin.buffer.read()
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
said = json.loads(session.get_modelmeta().custom_metadata_map["classifier"])
if (said["layout"], said["outputs"], said["channels"]) != ("NCHW", "logits", "RGB"):
    sys.exit(f"this reader is for logits of RGB images, channels first; the file says {said}")


def prepared(path: str, formats: list[str]) -> np.ndarray:
    """The image as the graph takes it."""
    side = round(said["image_size_px"] / said["crop"])
    with Image.open(io.BytesIO(Path(path).read_bytes()), formats=formats) as opened:
        image = opened.convert("RGB")
    if said["resize"] == "crop":  # the longer side loses what is beyond a square around the centre
        width, height = image.size
        square = int(min(width, height) / side * side)  # as fastai rounds it: at times one pixel less
        left, top = (width - square) // 2, (height - square) // 2
        image = image.crop((left, top, left + square, top + square))
    resized = image.resize((side, side), Image.Resampling[said["filter"].upper()])
    start = (side - said["image_size_px"]) // 2
    levels = np.array(resized)[start : start + said["image_size_px"], start : start + said["image_size_px"]]
    darkest, brightest = said["value_range"]
    light = levels.astype(np.float32) / np.float32(255) * np.float32(brightest - darkest) + np.float32(darkest)
    scaled = (light - np.array(said["mean"], np.float32)) / np.array(said["deviation"], np.float32)
    return scaled.transpose(2, 0, 1)


def probabilities(paths: list[str], formats: list[str]) -> np.ndarray:
    """Softmax of the logits, batch by batch; threads decode while the graph is busy."""
    rows = [np.empty((0, len(said["classes"])))]
    with ThreadPoolExecutor(request["threads"]) as pool:
        for start in range(0, len(paths), request["batch_size"]):
            some = paths[start : start + request["batch_size"]]
            batch = np.stack(list(pool.map(prepared, some, [formats] * len(some))))
            logits = session.run(["logits"], {"images": batch})[0].astype(np.float64)
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows.append(raised / raised.sum(axis=1, keepdims=True))
    return np.concatenate(rows)


answers = {f"set {each['name']}": probabilities(each["paths"], each["formats"]) for each in request["sets"]}
np.savez(request["answered"], classes=np.array(said["classes"]), **answers)  # type: ignore[arg-type]
