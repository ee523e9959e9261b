"""Opens a classifier and scores the images that a request names, one at a time. Run as a script, isolated."""

import contextlib
import json
import os
import sys
import warnings
from pathlib import Path

if __name__ == "__main__":
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path.insert(0, request["home"])
    warnings.simplefilter("ignore")

from harness.core.progress import silent
from harness.data.records import CellImage
from harness.model.classifier import Classifier, Machine
from harness.model.images import images_of
from harness.protocol.file import read_protocol


def opened(asked: dict, protocol: Path, machine: Machine) -> Classifier:  # type: ignore[type-arg]
    """The classifier of a training's folder, of a file, or behind a command."""
    if "trained" in asked:
        from harness.model.trained import open_trained

        return open_trained(Path(asked["trained"]), machine)
    if "command" in asked:
        from harness.model.command import read_command
        from harness.model.records import CommandLimits

        os.chdir(request["cwd"])  # a command line may name files of the folder that it was given in
        limits = CommandLimits(**asked["limits"])
        return read_command(asked["command"], read_protocol(protocol), limits=limits).open(machine)
    from harness.model.model_file import read_model

    return read_model(Path(asked["model"]), read_protocol(protocol), trusted=tuple(asked["trusted"])).open(machine)


def answered(request: dict) -> list[list[float]]:  # type: ignore[type-arg]
    machine = Machine("cpu", batch_size=1, workers=1, progress=silent)
    classifier = opened(request["classifier"], Path(request["protocol"]), machine)
    rows = []
    for each in request["cells"]:
        cell = CellImage(each["path"], "", each["sha256"], 0)
        shown = images_of([cell], Path(each["root"]), formats=each["formats"])
        rows.append([float(value) for value in classifier.predict_proba(shown)[0]])
    return rows


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints is no answer
        found = answered(request)
    print(json.dumps({"probabilities": found}))
