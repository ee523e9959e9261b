"""Computes ONNX graphs with onnxruntime: in this process, or first on trial in one of its own."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from harness.core.errors import DeviceUnavailable, TrainingError, WeightsError
from harness.core.processes import run_isolated
from harness.model.devices import n_threads
from harness.model.onnx_graph import Ports
from harness.model.watchdog import Watchdog

# Bytes are an ONNX graph and nothing else, and a thread that waits sleeps, as in harness/core/threads.py.
SETTINGS = {"session.load_model_format": "ONNX", "session.intra_op.allow_spinning": "0"}
PROVIDERS: Mapping[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    # float32 without the inputs of convolutions rounded to ten bits (TF32), as torch networks are scored.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
TRIAL_TIMEOUT_S = 120
# Of one answer in this process, beside the trial's time: what an image may take on the slowest machine.
IMAGE_S = 10
MOST_MEMORY = 8 * 1024**3  # of addresses; the largest file that is read takes under half of it
READER_TIMEOUT_S = 600  # and a second for each image
# Where this onnxruntime's version is the matter, what is to be done; in the words that it uses.
TOO_NEW = re.compile(r"official(ly)? released onnx opset|Unsupported model IR version|is under development")
OLDER = "Export it for an older opset, such as torch.onnx.export(..., opset_version=18), or install a newer onnxruntime"
# Where in its own source something was noticed, which says nothing to others.
OWN_PLACE = re.compile(r"/\S+\.(?:h|cc):\d+ (?:.*\) )?(?=[A-Z])")
_WATCHDOG = Watchdog()
_TRIAL, _READER = (Path(__file__).with_name(name) for name in ("onnx_trial.py", "onnx_reader.py"))


def engine() -> str:
    return f"onnxruntime {version('onnxruntime')}"


class Session:
    """A graph that answers. It computes in float32 or what its file asks for, with as many threads as torch has."""

    def __init__(self, content: bytes, ports: Ports, *, device: str, where: str) -> None:
        """
        Raises:
            DeviceUnavailable: this onnxruntime does not compute on the device.
            WeightsError: the graph does not load.
        """
        import onnxruntime  # half a second, which a run without such a file does not spend

        onnxruntime.set_default_logger_severity(4)  # what is wrong is raised
        provider, settings = PROVIDERS.get(device, ("", {}))
        if provider not in onnxruntime.get_available_providers():
            raise DeviceUnavailable(
                f"{where}: {engine()} does not compute on {device}. Use --device cpu"
                + (", or install onnxruntime-gpu in its place." if device == "cuda" else ".")
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads()
        options.inter_op_num_threads = 1
        for name, value in SETTINGS.items():
            options.add_session_config_entry(name, value)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=[(provider, settings)])
        except Exception as error:  # whatever the library says of a graph that somebody else made
            raise WeightsError(f"{where}: onnxruntime does not load it: {_one_line(error)}.") from None
        if self._session.get_providers()[0] != provider:  # it falls back to the CPU, and only logs it
            raise DeviceUnavailable(f"{where}: onnxruntime could not use {device}. Use --device cpu.")
        self._signature, self._where = ports, where

    def __call__(self, given: np.ndarray) -> np.ndarray:
        """
        Raises:
            WeightsError: the graph does not take it, or does not end.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        within_s = TRIAL_TIMEOUT_S + IMAGE_S * len(given)
        try:
            with _WATCHDOG.within(within_s, lambda: setattr(options, "terminate", True)):
                (answer,) = self._session.run(
                    [self._signature.output.name], {self._signature.input.name: given}, options
                )
        except Exception as error:
            if options.terminate:
                raise WeightsError(
                    f"{self._where}: onnxruntime gave no answer to {len(given)} images in {within_s:g} s, as where a "
                    "loop in the graph ends for some images and not for others. Export it without."
                ) from None
            raise WeightsError(f"onnxruntime cannot compute {len(given)} images: {_one_line(error)}.") from None
        return np.asarray(answer)


def try_out(content: bytes, ports: Ports, asked: list[np.ndarray], *, where: str) -> list[np.ndarray]:
    """What a graph answers in a process of its own, which may crash, hang or want all memory.

    Args:
        asked: what it is given, one after another.
    Raises:
        WeightsError: it did not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        into, out = Path(folder) / "asked.npz", Path(folder) / "answered.npz"
        np.savez(into, **{str(place): each for place, each in enumerate(asked)})  # type: ignore[arg-type]
        request = {
            "asked": str(into),
            "answered": str(out),
            "input": ports.input.name,
            "output": ports.output.name,
            "threads": n_threads(),
            "settings": SETTINGS,
            "most_memory": MOST_MEMORY,
        }
        why = _failure(_TRIAL, request, content, folder, timeout_s=TRIAL_TIMEOUT_S)
        if why is not None:
            raise WeightsError(f"{where}: {why}. It was tried in a process of its own, and nothing was judged.")
        with np.load(out) as answered:
            return [answered[str(place)] for place in range(len(asked))]


@dataclass(frozen=True, slots=True)
class Files:
    """The images of a set. formats: Pillow's names of the decoders that may see them."""

    name: str
    paths: tuple[Path, ...]
    formats: tuple[str, ...]


def answers_elsewhere(
    content: bytes, sets: Sequence[Files], *, batch_size: int
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """What our own export says of these images in a fresh process that has neither torch nor this project.

    Returns:
        Its classes, and set -> (n_images, n_classes) float64.
    Raises:
        TrainingError: the process gave no answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answered.npz"
        request = {
            "answered": str(out),
            "threads": n_threads(),
            "batch_size": batch_size,
            "sets": [
                {"name": each.name, "paths": [str(path.resolve()) for path in each.paths], "formats": each.formats}
                for each in sets
            ],
        }
        timeout_s = READER_TIMEOUT_S + sum(len(each.paths) for each in sets)
        why = _failure(_READER, request, content, folder, timeout_s=timeout_s)
        if why is not None:
            raise TrainingError(f"the exported ONNX graph was opened in a fresh process, and {why}.")
        with np.load(out) as answered:
            classes = tuple(answered["classes"].tolist())
            return classes, {each.name: answered[f"set {each.name}"] for each in sets}


def _failure(
    script: Path, request: Mapping[str, object], content: bytes, folder: str, *, timeout_s: float
) -> str | None:
    """Run a script in a process of its own; why it gave no answer, None where it gave one."""
    try:
        done = run_isolated(script, request, content, folder=Path(folder), timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        return f"onnxruntime gave no answer to it in {timeout_s:g} s"
    if done.returncode < 0:
        return f"onnxruntime crashed over it (signal {-done.returncode})"
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word"]
        return f"onnxruntime does not compute it: {_in_short(said[-1])}"
    return None


def _one_line(error: BaseException) -> str:
    return _in_short(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _in_short(said: str) -> str:
    """What the library said, without its own files; and what to do, where its version is the matter."""
    told = OWN_PLACE.sub("", said)[:500].rstrip(".")
    return f"{told}. {OLDER}" if TOO_NEW.search(said) else told
