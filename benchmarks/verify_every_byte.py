"""Is a single altered byte of an evidence pack found, whichever it is?

    python benchmarks/verify_every_byte.py [PACK] [--changes N] [--mended N]

Without PACK, writes the pack of tests/example_run.py to a temporary folder. Changes one byte of a copy at a time, drawn
from a seeded generator: first a file, each as likely as any other, then a place in it and another value. After each
change the pack is verified as `python -m harness verify` does, and the byte is put back.

Two rounds: with SHA256SUMS as it was (every change must be found: exits 1 if one is not), and by somebody who mends the
sums after the change, so that only what is made again can tell. In the second round a change may go unseen where
nothing in the pack can tell it; these are listed. Also prints the seconds that the untouched pack takes.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from harness.pack.files import SUMS
from harness.pack.verify import Verification, verify_pack

SEED = 20_260
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pack", type=Path, nargs="?", help="folder of a pack; it is copied, never changed")
    parser.add_argument("--changes", type=int, default=1000, help="single bytes, sums left alone (default: 1000)")
    parser.add_argument("--mended", type=int, default=100, help="single bytes, sums mended (default: 100)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = asked.pack if asked.pack is not None else write_example(place)
        pack = Path(shutil.copytree(source.resolve(), place / "copy"))
        started = time.perf_counter()
        whole = verify_pack(pack)
        print(f"untouched: {'holds' if whole.holds else 'DOES NOT HOLD'}, {time.perf_counter() - started:.2f} s")
        for discrepancy in whole.discrepancies[:5]:
            print(f"  {discrepancy}")
        missed = play(pack, asked.changes, mended=False)
        play(pack, asked.mended, mended=True)
        return 0 if whole.holds and not missed else 1


def write_example(folder: Path) -> Path:
    sys.path.insert(0, str(ROOT / "tests"))
    from example_run import example_picture, example_run, write_example_dataset
    from test_verify import looked_at, pack_of

    manifest = write_example_dataset(folder / "data")
    return pack_of(looked_at(example_run(content=example_picture), manifest, folder / "ledger.jsonl"), manifest, folder)


def play(pack: Path, n: int, *, mended: bool) -> int:
    """Alter `n` single bytes, one at a time; print what found them and return how many nothing found."""
    rng = random.Random(SEED)
    files = sorted(file for file in pack.rglob("*") if file.is_file() and file.stat().st_size)
    if mended:  # whoever mends the sums does not alter them
        files = [file for file in files if file.name != SUMS]
    found_by: Counter[str] = Counter()
    missed = []
    started = time.perf_counter()
    for _ in range(n):
        file = rng.choice(files)
        before = file.read_bytes()
        at, value = rng.randrange(len(before)), rng.randrange(1, 256)
        file.write_bytes(before[:at] + bytes([before[at] ^ value]) + before[at + 1 :])
        sums = (pack / SUMS).read_bytes()
        if mended:
            mend(pack)
        result = verify_pack(pack)
        name = file.relative_to(pack).as_posix()
        if result.holds:
            context = before[max(0, at - 30) : at + 10].decode("utf-8", "replace")
            missed.append(f"{name}, byte {at}: ...{context!r}")
        else:
            found_by[check_of(result, name)] += 1
        file.write_bytes(before)
        if mended:
            (pack / SUMS).write_bytes(sums)
    how = "sums mended" if mended else "sums left alone"
    print(f"{how}: {n - len(missed)} of {n} found, {(time.perf_counter() - started) / max(1, n):.3f} s each")
    for check, count in found_by.most_common():
        print(f"  {count:5}  {check}")
    for each in missed:
        print(f"  not found: {each}")
    return len(missed)


def check_of(result: Verification, altered: str) -> str:
    """Which check spoke first, and whether it named the file that was altered."""
    names = {each.file for each in result.discrepancies}
    first = result.discrepancies[0]
    kind = "digest" if first.field == "SHA-256" else "index cannot be read" if result.run_id is None else "made again"
    if altered == SUMS:
        return f"{kind}: {SUMS} was altered"
    return f"{kind}, the file is named" if altered in names else f"{kind}, named is {first.file}"


def mend(pack: Path) -> None:
    files = sorted(file for file in pack.rglob("*") if file.is_file() and file.name != SUMS)
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(pack).as_posix()}\n" for f in files]
    (pack / SUMS).write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
