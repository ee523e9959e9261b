"""Opens an export.pkl as a stranger would: fastai and torch, nothing of this project. Run as a script, isolated."""

import json
import runpy
import sys
import warnings
from pathlib import Path

request = json.loads(sys.argv[1])
sys.modules["harness"] = None  # type: ignore[assignment]  # the file must open without us
warnings.simplefilter("ignore")  # fastai warns, rightly, that a pickle runs code; this one was made a moment ago
# Where torchvision's operators do not load, no fastai program runs at all; the remedy is torch's, not ours.
runpy.run_path(str(Path(__file__).with_name("torchvision_compat.py")))["make_torchvision_importable"]()

import numpy as np  # noqa: E402
from fastai.learner import load_learner  # noqa: E402

learner = load_learner(request["export"])
loader = learner.dls.test_dl([Path(image) for image in request["images"]], num_workers=0)
probabilities, _ = learner.get_preds(dl=loader)
np.savez(request["answer"], vocabulary=np.array(list(learner.dls.vocab)), probabilities=probabilities.double().numpy())
