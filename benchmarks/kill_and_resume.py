"""Does a run that is killed at any moment complete to the same bits, when the same command is given again?

    python benchmarks/kill_and_resume.py [--scenarios N] [--begin N] [--kills N] [--protocol FILE] [--place DIR]
        [--seed N]

One uninterrupted run comes first, and tells how long a run takes and when it writes its pack. Each scenario then has a
reports folder of its own: the run is started, its whole process group is killed by SIGKILL, and the same command is
given again until it ends by itself. Moments come from a seeded generator, one in each of as many equal parts of the
run as there are scenarios; a fifth of the scenarios is killed while the pack is written. With --kills 3 the resumed run
is killed again, three times in all, unless it ends before.

What is compared with the uninterrupted run: the exit code, the digest of the weights, every file of the pack that holds
no time (split, predictions of every set, metrics, figures, weights), and evidence.json with evaluations, verdicts and
looks, less what was measured by a clock. Beside it: epochs that were whole before the kill are not trained again, the
ledger has one number for all looks at the same predictions, and the pack verifies. Exits 1 if anything differs.

Threads decide how sums round: give all runs the same, such as by OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.judge.ledger import read_ledger
from harness.pack.verify import verify_pack

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_260
SHARE_IN_PACK = 0.2
LONGEST_RUN_S = 3600.0
MOST_TRIES = 5
# Files of a pack that say when the run was, or list those that do.
OF_THIS_RUN = ("index.html", "evidence.json", "junit.xml", "ledger.jsonl", "claims.json", "SHA256SUMS")
CLOCKED = ("run", "timings", "stages", "ledger")  # the ledger's entries are compared one by one
COLUMNS = ("kill", "after", "in", "exit", "weights", "split", "predictions", "verdicts", "rest", "epochs", "looks")
WIDTHS = (5, 8, 44, 4, 7, 5, 11, 8, 5, 6, 20)


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended by itself. seconds: how long; pack_s: from when to when it wrote its pack."""

    code: int
    reports: Path
    seconds: float
    pack_s: tuple[float, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=20, help="how often a run is killed and resumed (default: 20)")
    parser.add_argument("--begin", type=int, default=1, help="number of the first scenario, where others ran before")
    parser.add_argument("--kills", type=int, default=1, help="kills in one scenario (default: 1)")
    parser.add_argument("--protocol", type=Path, help="default: the embedded protocol")
    parser.add_argument("--place", type=Path, help="folder for the reports (default: a temporary one)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the moments (default: {SEED})")
    asked = parser.parse_args()
    if asked.place is not None:
        asked.place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.place) as folder:
        numbers = range(asked.begin - 1, asked.scenarios)
        return play(Path(folder), asked.protocol, numbers, n=asked.scenarios, n_kills=asked.kills, seed=asked.seed)


def play(place: Path, protocol: Path | None, numbers: range, *, n: int, n_kills: int, seed: int) -> int:
    """Kill and resume in a folder for each of `numbers` of `n`; print a line for each kill; return the exit code."""
    whole = finish(place / "whole", protocol)
    begins, ends = whole.pack_s
    print(
        f"uninterrupted: exit {whole.code}, {whole.seconds:.1f} s, its pack is written from {begins:.1f} s to "
        f"{ends:.1f} s; seed {seed}, {torch.get_num_threads()} threads"
    )
    if not packs(whole.reports):
        print(f"the uninterrupted run left no pack; its words:\n{(whole.reports / 'terminal.txt').read_text()[-2000:]}")
        return 1
    print("  ".join(title.ljust(width) for title, width in zip(COLUMNS, WIDTHS, strict=True)), flush=True)
    n_in_pack = round(n * SHARE_IN_PACK)
    wrong, lasts_s = 0, whole.seconds
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")  # of its own: a study may be gone on with
        reports = place / f"scenario-{number + 1}"
        rows = []
        for kill in range(n_kills):
            in_pack = kill == 0 and number >= n - n_in_pack
            # The first kills are spread evenly over the run, later ones fall anywhere into what is left to do.
            share = (number + rng.random()) / (n - n_in_pack) if kill == 0 else rng.random()
            moment = None
            for _ in range(MOST_TRIES):
                due = while_writing(reports, rng.random() * (ends - begins)) if in_pack else after(share * lasts_s)
                moment, took_s = interrupt(reports, protocol, due)
                if moment is not None or kill > 0:
                    break
                lasts_s = took_s  # it ended before: the machine has become quicker, and the run begins anew
                shutil.rmtree(reports)
            if moment is None:
                break
            rows.append((f"{number + 1}.{kill + 1}", f"{moment:.2f} s", where(reports)))
        before, trained = looks_by_set(reports), epochs(reports)
        resumed = finish(reports, protocol)
        found = compare(whole, resumed, trained)
        for row in rows[:-1]:
            print("  ".join(text.ljust(width) for text, width in zip(row, WIDTHS[:3], strict=True)))
        last = rows[-1] if rows else (f"{number + 1}.0", "", "ended before it could be killed")
        looked = "/".join(f"{before[name]}>{n_looks}" for name, n_looks in looks_by_set(reports).items())
        cells = (*last, *found.values(), looked)
        print("  ".join(text.ljust(width) for text, width in zip(cells, WIDTHS, strict=True)), flush=True)
        if set(found.values()) - {"same"} or not rows:
            wrong += 1
            kept = place.parent / f"{place.name}-{reports.name}"
            print(f"      kept: {shutil.copytree(reports, kept, symlinks=True)}")
        shutil.rmtree(reports)
    print(f"{len(numbers) - wrong} of {len(numbers)} scenarios ended as the uninterrupted run did")
    print("looks: entries of the ledger for each set, before and after the resumed run; its number is in `rest`")
    return 1 if wrong else 0


# --- running and killing ----------------------------------------------------------------------


def start(reports: Path, protocol: Path | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", str(ROOT / "suites"), f"--reports={reports}", "-q"]
    command += [f"--protocol={protocol.resolve()}"] if protocol is not None else []
    reports.mkdir(parents=True, exist_ok=True)
    with (reports / "terminal.txt").open("ab") as terminal:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            stdout=terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that the processes that it starts are killed with it
        )


def finish(reports: Path, protocol: Path | None) -> Finished:
    """Let the run end by itself."""
    started, process = time.monotonic(), start(reports, protocol)
    begins = ends = 0.0
    while process.poll() is None:
        now = time.monotonic() - started
        if now > LONGEST_RUN_S:
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError(f"the run in {reports} takes more than {LONGEST_RUN_S:g} s")
        if is_writing(reports):
            begins, ends = begins or now, now
        time.sleep(0.01)
    return Finished(process.returncode, reports, time.monotonic() - started, (begins, ends))


def interrupt(reports: Path, protocol: Path | None, due: Callable[[float], bool]) -> tuple[float | None, float]:
    """Start the run and kill it once `due(seconds since)`.

    Returns:
        After how many seconds it was killed, None if it ended by itself before; how many seconds it ran.
    """
    started, process = time.monotonic(), start(reports, protocol)
    while not due(time.monotonic() - started):
        if process.poll() is not None:
            return None, time.monotonic() - started
        time.sleep(0.001)
    moment = time.monotonic() - started
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return moment if process.wait() == -signal.SIGKILL else None, moment


def after(moment_s: float) -> Callable[[float], bool]:
    return lambda running_s: running_s >= moment_s


def while_writing(reports: Path, delay_s: float) -> Callable[[float], bool]:
    """So long after the run began to write its pack."""
    begun: list[float] = []

    def due(running_s: float) -> bool:
        if not begun and is_writing(reports):
            begun.append(running_s)
        return bool(begun) and running_s - begun[0] >= delay_s

    return due


# --- what lies in a reports folder ------------------------------------------------------------


def is_writing(reports: Path) -> bool:
    return next(reports.glob(".*Z-*.writing"), None) is not None


def packs(reports: Path) -> list[Path]:
    return [path for path in reports.glob("[0-9]*Z-*") if path.is_dir()]


def where(reports: Path) -> str:
    """The stage in which a run was killed, as its reports folder shows it."""
    if packs(reports):
        return "after the pack had its name"
    if is_writing(reports):
        n_files = sum(1 for path in reports.glob(".*Z-*.writing/**/*") if path.is_file())
        return f"writing the pack, {n_files} files there"
    stages = [folder for folder in (reports / ".stages").glob("*/*") if folder.is_dir()]
    unsealed = sorted(folder.parent.name for folder in stages if not (folder / "stage.json").exists())
    if "training" in unsealed:
        whole = ", ".join(f"{len(found)} of {phase}" for phase, found in epochs(reports).items())
        return f"training, whole epochs: {whole or 'none'}"
    if unsealed:
        return ", ".join(unsealed)
    sealed = sorted((folder / "stage.json" for folder in stages), key=lambda seal: seal.stat().st_mtime)
    return f"between stages, after {sealed[-1].parent.parent.name}" if sealed else "before the first stage"


def epochs(reports: Path) -> dict[str, list[float]]:
    """Phase -> the seconds that each whole epoch took: an epoch that is trained again takes others."""
    found: dict[str, list[float]] = {}
    for folder in (reports / ".stages" / "training").glob("*"):
        records = [folder / "phase1.json", folder / "phase2.json"]
        phases = [json.loads(record.read_bytes()) for record in records if record.exists()]
        if (folder / "training.json").exists():
            phases = json.loads((folder / "training.json").read_bytes())["phases"]
        elif (folder / "checkpoint.pt").exists():
            saved = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
            phases.append({"name": saved["phase"], "epochs": saved["state"]["epochs"]})
        found |= {phase["name"]: [epoch["seconds"] for epoch in phase["epochs"]] for phase in phases}
    return found


def looks_by_set(reports: Path) -> Counter[str]:
    return Counter(look.set for look in read_ledger(reports / "ledger.jsonl"))


# --- comparing --------------------------------------------------------------------------------


def compare(whole: Finished, resumed: Finished, trained: Mapping[str, list[float]]) -> dict[str, str]:
    """Column -> "same", or what differs."""
    found = dict.fromkeys(COLUMNS[3:-1], "same")
    if resumed.code != whole.code:
        found["exit"] = str(resumed.code)
    if not packs(resumed.reports):
        return found | {"rest": "no pack"}
    first, second = ((run.reports / "latest").resolve() for run in (whole, resumed))
    one, other = timeless(first), timeless(second)
    if one["training"]["weights_digest"] != other["training"]["weights_digest"]:
        found["weights"] = "DIFFER"
    if one["verdicts"] != other["verdicts"]:
        found["verdicts"] = "DIFFER"
    differing = sorted(name for name in {*one, *other} - {"verdicts"} if one.get(name) != other.get(name))
    for name in sorted({*files(first), *files(second)}):
        if files(first).get(name) != files(second).get(name):
            differing.append(name)
    if "data_split.csv" in differing:
        found["split"] = "DIFFER"
    if any(name.startswith("predictions") for name in differing):
        found["predictions"] = "DIFFER"
    problems = [*differing]
    if not verify_pack(second).holds:
        problems.append("does not verify")
    if is_writing(resumed.reports) or list(resumed.reports.glob(".*Z-*.latest")):
        problems.append("leftovers")
    judged: dict[str, set[str]] = {}
    for look in read_ledger(resumed.reports / "ledger.jsonl"):
        judged.setdefault(f"{look.set} {look.model} {look.role}", set()).add(look.predictions)
    if any(len(predictions) > 1 for predictions in judged.values()):
        problems.append("looks at other predictions")
    if problems:
        found["rest"] = "DIFFER: " + ", ".join(problems)
    now = epochs(resumed.reports)
    if any(now.get(phase, [])[: len(before)] != before for phase, before in trained.items()):
        found["epochs"] = "AGAIN"
    return found


def timeless(pack: Path) -> dict[str, Any]:
    """evidence.json less what a clock said; of a criterion on speed only which it is."""
    evidence: dict[str, Any] = json.loads((pack / "evidence.json").read_text(encoding="utf-8"))
    for name in CLOCKED:
        del evidence[name]
    for phase in evidence["training"]["phases"]:
        for epoch in phase["epochs"]:
            del epoch["seconds"]
    speed = {verdict["criterion"] for verdict in evidence["verdicts"] if verdict["gate"] == "speed"}
    evidence["verdicts"] = [
        verdict["criterion"] if verdict["criterion"] in speed else verdict for verdict in evidence["verdicts"]
    ]
    return evidence


def files(pack: Path) -> dict[str, bytes]:
    """Every file whose bytes must not depend on when, where and how often the run was started."""
    found = {path.relative_to(pack).as_posix(): path for path in pack.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name not in OF_THIS_RUN}


if __name__ == "__main__":
    sys.exit(main())
