"""Opens an export.pkl as a stranger would: fastai and torch, nothing of this project. Run as a script, isolated.

The pickle comes over standard input: what is opened are the bytes that were hashed, wherever the file is by now.
"""

import io
import json
import runpy
import sys
import warnings
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
sys.modules["harness"] = None  # type: ignore[assignment]  # the file must open without us
warnings.simplefilter("ignore")  # fastai warns, rightly, that a pickle runs code; this one is trusted
# Where torchvision's operators do not load, no fastai program runs at all; the remedy is torch's, not ours.
runpy.run_path(str(Path(__file__).with_name("torchvision_compat.py")))["make_torchvision_importable"]()

import numpy as np  # noqa: E402
from fastai.learner import load_learner  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

learner = load_learner(io.BytesIO(sys.stdin.buffer.read()))
answer = {"vocabulary": np.array([str(name) for name in learner.dls.vocab])}
if request["images"]:
    loader = learner.dls.test_dl([Path(image) for image in request["images"]], num_workers=0)
    probabilities, _ = learner.get_preds(dl=loader)
    answer["probabilities"] = probabilities.double().numpy()
np.savez(request["answer"], **answer)  # type: ignore[arg-type]  # its stub takes any keyword for allow_pickle
if request["weights"]:
    save_file(
        {name: each.detach().contiguous() for name, each in learner.model.state_dict().items()}, request["weights"]
    )
