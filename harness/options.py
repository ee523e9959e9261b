"""What may be said on the command line of `pytest suites/`, and how each word of it is read."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import cast

import pytest

from harness.core.places import INSTALLED, PROJECT
from harness.core.threads import available_cores
from harness.model.records import CommandLimits
from harness.protocol.questions import DEVICES

# Of an installed harness, the folder in which somebody works; nobody looks for packs among installed packages.
DEFAULT_REPORTS = Path("reports") if INSTALLED else PROJECT / "reports"


def add_options(group: pytest.OptionGroup) -> None:
    """What may stand behind `pytest suites/`."""
    group.addoption(
        "--protocol",
        metavar="FILE",
        type=Path,
        help="protocol TOML, or the name of a shipped one such as leukocyte-quick (default: embedded)",
    )
    group.addoption(
        "--data", metavar="DIR", type=Path, help="folder with one sub-folder per class, or a manifest or split CSV"
    )
    group.addoption("--split", metavar="FILE", type=Path, help="use this data_split.csv instead of drawing a split")
    group.addoption(
        "--external",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="an external set (repeatable); else looked for in the folder NAME beside the data folder",
    )
    group.addoption(
        "--unknown",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="cells of classes that the classifier does not know, loose or one sub-folder per kind (repeatable): how "
        "many are confidently called one that it knows; else looked for as an external set is",
    )
    group.addoption(
        "--masks",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help='masks of the cells of "dataset" or of another set, 0 beside the cell, each under the path of its image '
        "(repeatable): how much of a saliency map lies within the cell is then on the page",
    )
    group.addoption(
        "--model",
        metavar="FILE",
        type=Path,
        help="judge this classifier (.safetensors, .pth, .pt, .ckpt, .bin, .pth.tar, .onnx; .pkl of fastai if trusted) "
        "instead of training one; --split then names the split that it was trained with",
    )
    group.addoption(
        "--predictions",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help="judge these predictions (CSV or Parquet: path or sha256, a probability per class) instead of a "
        "classifier; NAME= those of an external set (repeatable); without --split every cell is judged as test",
    )
    group.addoption(
        "--trust-model",
        metavar="SHA256",
        type=_digest,
        action="append",
        default=[],
        help="open the --model pickle that has this digest, which runs the code in it (repeatable)",
    )
    group.addoption(
        "--model-command",
        metavar="CMD",
        type=_command,
        help="judge what this command answers over its pipes instead of training a classifier "
        "(docs/judging-a-command.md); no shell reads it",
    )
    group.addoption(
        "--command-limit",
        metavar="NAME=NUMBER",
        type=_command_limit,
        action="append",
        default=[],
        help="what --model-command may take: start_s, answer_s, total_s, memory_gib (repeatable)",
    )
    group.addoption(
        "--baseline",
        metavar="PACK",
        help="compare with this run: its folder, a zip of it, or models:/NAME@ALIAS of the registry",
    )
    group.addoption(
        "--baseline-key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="refuse a --baseline unless this public key (PEM), or one of this trust file (TOML), signed it "
        "(repeatable)",
    )
    group.addoption(
        "--ledger", metavar="FILE", type=Path, help="where looks are recorded (default: ledger.jsonl in --reports)"
    )
    group.addoption(
        "--ledger-head",
        metavar="HASH",
        type=_digest,
        action="append",
        default=[],
        help="the head of the ledger as a job knew it last: a ledger that does not continue it judges nothing "
        "(repeatable; the terminal tells it after each run)",
    )
    group.addoption(
        "--mlflow",
        action="store_true",
        help="index the run in MLflow (extra [mlflow]): MLFLOW_TRACKING_URI, else mlflow.db in --reports",
    )
    group.addoption(
        "--every-gate",
        action="store_true",
        help="judge what lies behind a gate that stayed closed too; the run does not pass all the same",
    )
    group.addoption(
        "--sign-key",
        metavar="FILE",
        type=Path,
        help="sign the pack with this key (PEM, ed25519 or ECDSA; HARNESS_KEY_PASSPHRASE opens an encrypted one)",
    )
    group.addoption("--device", choices=("auto", *DEVICES), default="auto", help=f"default: {', '.join(DEVICES)}")
    group.addoption("--reports", metavar="DIR", type=Path, default=DEFAULT_REPORTS, help="where packs are written")
    group.addoption("--fresh", action="store_true", help="make every stage anew instead of reusing kept results")
    group.addoption(
        "--engine",
        choices=("local", "dask"),
        default="local",
        help="what spreads the work of each image over machines: this process, or the workers of the scheduler that "
        "DASK_SCHEDULER_ADDRESS names (extra [dask]; docs/scale.md). Which library computes a network is another "
        "question: engine in [prediction] of the protocol",
    )
    group.addoption(
        "--workers", type=_positive, default=available_cores(), help="threads that decode (default: one per core)"
    )


def option_names() -> tuple[str, ...]:
    """Every option of a run by its name, without those of pytest."""
    names: list[str] = []

    class Recorder:
        def addoption(self, name: str, **_: object) -> None:
            names.append(name)

    add_options(cast(pytest.OptionGroup, Recorder()))
    return tuple(names)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1; leave it away for all cores")
    return int(text)


def _command(text: str) -> str:
    """A command line that a shell would read too, though none does."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a command line ({error})") from None
    if not words or not words[0]:
        raise argparse.ArgumentTypeError("it names no program")
    return text


def _command_limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    names = [each.name for each in fields(CommandLimits)]
    try:
        value = float(number)
        CommandLimits(**{name: value})
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=NUMBER with a number above 0 and one of {', '.join(names)}"
        ) from None
    return name, value


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a SHA-256 digest of 64 hexadecimal digits; `sha256sum FILE` prints it"
        )
    return text.lower()
