"""Does any file, however broken, get more out of a reader than an answer or a refusal in words?

    python benchmarks/fuzz.py image|protocol|claims|audit|pack [--seconds N] [--corpus DIR] [--seed N]

A coverage-guided fuzzer changes a few small valid files again and again, keeps what reaches code that nothing reached
before, and gives each to the reader as a run would:

- image: `facts_of`, and what it finds no fault with is opened and turned into RGB by `open_picture`;
- protocol: `read_protocol`, with what is extended beside the file;
- claims: `read_report` as Markdown, HTML and TOML; audit: the same, and what its numbers leave open;
- pack: `verify_pack` of a small pack of which one file was changed and SHA256SUMS mended.

A finding is an exception that is not a HarnessError (of `facts_of`: any), a HarnessError without text, more than 2 s of
CPU time or 1 GiB for one input, or the end of the process. The input of each finding is kept in DIR/findings, once for
each place in the code. Prints executions, coverage and findings; exits 1 if there are any.

The fuzzer is atheris (Apache-2.0), which is not a dependency of the harness and runs under Linux and macOS:

    pip install atheris==3.0.0

It sees which Python code an input reaches, in the harness and in what it reads with; of Pillow's C code it sees
nothing. With --corpus what was found to reach new code is kept, and the next call starts from it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

MOST_SECONDS = 2.0
MOST_MEGABYTES = 1024
# Where the reader does not return at all, libFuzzer ends the process, and with it the run.
HANGING_AFTER_S, PROCESS_MEGABYTES = 30, 4096

Attempt = Callable[[bytes], None]
Mutate = Callable[[bytes], bytes]
Mutator = Callable[[bytes, random.Random, Mutate], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """One reader under attack.

    watched:  packages whose code is watched for what an input reaches.
    prepared: given an empty folder, the function that reads one input.
    seeds:    the valid files to start from. words: what else the files are made of.
    mutator:  makes one input of another; it is given the fuzzer's own way, which knows of bytes only.
    most:     bytes of an input.
    """

    watched: tuple[str, ...]
    prepared: Callable[[Path], Attempt]
    seeds: Callable[[], list[bytes]]
    words: Callable[[], Iterable[bytes]]
    mutator: Mutator
    most: int


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=180, help="how long (default: 180)")
    parser.add_argument("--corpus", type=Path, help="folder of inputs to start from and add to (default: a new one)")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer (default: 1)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # the process that may die
    asked = parser.parse_args()
    if asked.inside:
        return fuzz(TARGETS[asked.target], asked.corpus, seconds=asked.seconds, seed=asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        return watch(asked.target, asked.corpus or Path(folder), seconds=asked.seconds, seed=asked.seed)


# --- the process that watches -----------------------------------------------------------------


def watch(target: str, corpus: Path, *, seconds: int, seed: int) -> int:
    """Run the fuzzer in a process of its own, which a finding may end, and sum up what it said."""
    (corpus / "findings").mkdir(parents=True, exist_ok=True)
    before = set((corpus / "findings").iterdir())
    command = [sys.executable, str(Path(__file__)), target, "--inside", f"--corpus={corpus}"]
    done = subprocess.run(
        [*command, f"--seconds={seconds}", f"--seed={seed}"], stderr=subprocess.PIPE, text=True, errors="replace"
    )
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    begun = re.search(r"INITED cov: (\d+)", done.stderr)
    executed = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
    if not reached or begun is None or executed is None:
        print(done.stderr[-4_000:], file=sys.stderr)
        print(f"the fuzzer ended with {done.returncode} before it could count: its last words are above")
        return 1
    new = set((corpus / "findings").iterdir()) - before
    found = sorted(file for file in new if file.with_suffix(".txt") not in new - {file})  # one line for each
    covered, features, kept = reached[-1]
    print(
        f"{target}: {int(executed[1]):,} executions in {seconds} s, {covered} edges and {features} features of the "
        f"code reached ({begun[1]} edges by what it started from), {kept} inputs kept, {len(found)} findings"
    )
    for file in found:
        print(f"  {file.name}: {file.stat().st_size} bytes")
        if file.suffix == ".txt":
            print("    " + file.read_text(errors="replace").rstrip().replace("\n", "\n    "))
    if done.returncode:
        print(done.stderr[-2_000:], file=sys.stderr)
    return 1 if found or done.returncode else 0


# --- the process that fuzzes ------------------------------------------------------------------


def fuzz(target: Target, corpus: Path, *, seconds: int, seed: int) -> int:
    import atheris

    with tempfile.TemporaryDirectory() as place:
        with atheris.instrument_imports(include=list(target.watched)):
            attempt = target.prepared(Path(place))
        for content in target.seeds():
            (corpus / hashlib.sha1(content).hexdigest()).write_bytes(content)
        words = Path(place).with_suffix(".words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in sorted(set(target.words()))))

        def mutator(content: bytes, most: int, number: int) -> bytes:
            made = target.mutator(content, random.Random(number), lambda old: atheris.Mutate(old, most))
            return made[:most]

        options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={target.most}", f"-dict={words}"]
        options += [f"-timeout={HANGING_AFTER_S}", f"-rss_limit_mb={PROCESS_MEGABYTES}", "-print_final_stats=1"]
        options += [f"-artifact_prefix={corpus / 'findings'}/"]
        atheris.Setup(
            [sys.argv[0], *options, str(corpus)], Judged(attempt, corpus / "findings"), custom_mutator=mutator
        )
        atheris.Fuzz()  # ends the process
    return 0


def _escaped(word: bytes) -> str:
    return "".join(chr(b) if 32 < b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word)


class Judged:
    """Reads one input after the other, and keeps the first of every kind that should not have been possible."""

    def __init__(self, attempt: Attempt, findings: Path) -> None:
        from harness.core.errors import HarnessError

        self.attempt, self.findings, self.known, self.refusal = attempt, findings, set[str](), HarnessError
        self.megabytes = _peak_megabytes()

    def __call__(self, content: bytes) -> None:
        began = time.process_time()
        try:
            self.attempt(content)
        except self.refusal as refused:
            if not str(refused).strip():
                self.keep(content, f"{type(refused).__name__} says nothing", refused)
        except Exception as error:
            self.keep(content, f"{type(error).__name__}: {error}", error)
        if (seconds := time.process_time() - began) > MOST_SECONDS:
            self.keep(content, f"takes {seconds:.1f} s of CPU time", None)
        if (megabytes := _peak_megabytes() - self.megabytes) > MOST_MEGABYTES:
            self.keep(content, f"takes {megabytes:.0f} MB", None)
            self.megabytes += megabytes

    def keep(self, content: bytes, what: str, error: Exception | None) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-4:] if error is not None else []
        places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        kind = f"{type(error).__name__} at {places[-1]}" if places else what.partition(" ")[0]
        if kind not in self.known:
            self.known.add(kind)
            name = hashlib.sha1(content).hexdigest()[:12]
            (self.findings / name).write_bytes(content)
            (self.findings / f"{name}.txt").write_text(
                "\n".join([what[:1_000], *places]), encoding="utf-8", errors="backslashreplace"
            )


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


# --- images -----------------------------------------------------------------------------------


def prepare_images(place: Path) -> Attempt:
    import warnings

    from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401

    from harness.data.decoding import facts_of, open_picture, strict_pillow
    from harness.protocol.datasets import ImageRules

    Image.preinit()
    rules = ImageRules(formats=("JPEG", "PNG", "BMP", "TIFF"), min_side_px=1, max_side_px=375)

    def attempt(content: bytes) -> None:
        with warnings.catch_warnings():
            strict_pillow()
            try:
                facts = facts_of(content, path="x", rules=rules)
            except Exception as error:
                raise AssertionError(f"facts_of raised {type(error).__name__}: {error}") from error
            if facts.error is None:
                open_picture(content, formats=rules.formats).convert("RGB")

    return attempt


def images() -> list[bytes]:
    import numpy as np
    from PIL import Image

    from fixtures.laboratories import HOME
    from fixtures.smears import draw_cell, stored_png

    pixels = draw_cell("monocyte", laboratory=HOME, size_px=32, rng=np.random.default_rng(1))
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010E] = "a cell"
    forms: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("JPEG", picture, {"exif": exif, "dpi": (72, 72)}),
        ("JPEG", picture, {"progressive": True, "quality": 60}),
        ("JPEG", picture.convert("L"), {}),
        ("JPEG", picture.convert("CMYK"), {}),
        ("PNG", picture, {"exif": exif}),
        ("PNG", picture.convert("P"), {"transparency": 3}),
        ("PNG", picture.convert("1"), {}),
        ("PNG", picture.convert("I;16"), {}),
        ("BMP", picture, {}),
        ("TIFF", picture, {}),
        ("TIFF", picture, {"compression": "tiff_lzw"}),
        ("TIFF", picture, {"compression": "jpeg"}),
    ]
    made = [stored_png(pixels)]
    for form, image, options in forms:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        made.append(buffer.getvalue())
    return made


def image_words() -> list[bytes]:
    chunks = ["IHDR", "PLTE", "IDAT", "IEND", "tRNS", "zTXt", "iTXt", "tEXt", "iCCP", "eXIf", "acTL", "fcTL", "fdAT"]
    markers = [bytes((0xFF, code)) for code in (*range(0xC0, 0xD0), *range(0xD8, 0xF0), 0xFE)]
    return [
        *(name.encode() for name in chunks),
        *markers,
        b"Exif\0\0",
        b"MPF\0",
        b"ICC_PROFILE\0",
        b"Adobe\0",
        b"JFIF\0",
    ]


def mutate_image(content: bytes, dice: random.Random, bytewise: Mutate) -> bytes:
    """Bytes; of a PNG mostly with its checksums mended, or no parser would look behind the first."""
    made = bytewise(content)
    return mended_png(made) if made.startswith(b"\x89PNG\r\n\x1a\n") and dice.random() < 0.9 else made


def mended_png(content: bytes) -> bytes:
    made, at = bytearray(content), 8
    while at + 12 <= len(made):
        end = at + 8 + int.from_bytes(made[at : at + 4], "big")
        if end + 4 > len(made):
            break
        made[end : end + 4] = struct.pack(">I", zlib.crc32(made[at + 4 : end]))
        at = end + 4
    return bytes(made)


# --- protocols --------------------------------------------------------------------------------

PROTOCOLS = ROOT / "suites" / "protocols"
PROTOCOL_FILES = ("embedded.toml", "base.toml", "leukocyte-base.toml", "leukocyte.toml", "leukocyte-gate.toml")


def prepare_protocols(place: Path) -> Attempt:
    from harness.protocol.file import read_protocol

    for name in ("base.toml", "leukocyte-base.toml"):
        (place / name).write_bytes((PROTOCOLS / name).read_bytes())
    file = place / "fuzzed.toml"

    def attempt(content: bytes) -> None:
        file.write_bytes(content)
        protocol = read_protocol(file)
        assert len(protocol.digest) == 64

    return attempt


def protocols() -> list[bytes]:
    return [(PROTOCOLS / name).read_bytes() for name in PROTOCOL_FILES]


def protocol_words() -> list[bytes]:
    found = re.findall(rb'\w+ = |"[^"\n]{1,24}"|\[\[?[\w.]+\]?\]', b"\n".join(protocols()))
    return [
        *found,
        b"nan",
        b"inf",
        b"-1",
        b"1e999",
        b"9" * 30,
        b"true",
        b"{}",
        b"[]",
        b"[{}]",
        b'"each"',
        b"1979-05-27",
    ]


def mutate_text(content: bytes, dice: random.Random, bytewise: Mutate) -> bytes:
    """Whole lines are dropped, doubled, moved or joined, as often as bytes are changed."""
    if dice.random() < 0.5:
        return bytewise(content)
    lines = content.split(b"\n")
    for _ in range(dice.randint(1, 3)):
        at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
        match dice.randrange(4):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                # The beginning of one line and the end of another, such as a key with a value of another key.
                separator = dice.choice([b" = ", b"|", b",", b" "])
                lines[at] = lines[at].partition(separator)[0] + separator + lines[other].rpartition(separator)[2]
    return b"\n".join(lines)


# --- reports ----------------------------------------------------------------------------------

MARKDOWN = """# Results

All 2,500 images were split 70/15/15: 1,750 / 375 / 375.

Accuracy on the test set: **99.47 %** (373/375).

| Class | Precision | Recall | F1-score | Support |
|---|---|---|---|---|
| **basophil** | 1.0000 | 0.9867 | 0.9933 | 75 |
| eosinophil | 0.9868 | 1.00 | 0.99 | 75 |
| macro avg | 0.99 | 0.99 | 0.99 | 375 |

| true \\ predicted | basophil | eosinophil |
|---|---|---|
| basophil | 74 | 1 |
| eosinophil | 0 | 75 |

On the external set 9 of 9 monocytes were right; 2 images were misclassified. Trained with torch==2.13.0.
See [the split](data_split.csv) and ![matrix](confusion_matrix_test.png).
```text
              precision    recall  f1-score   support
    basophil       1.00      0.99      0.99        75
    accuracy                           0.99       375
```
"""
HTML = """<!doctype html><html><head><title>Results</title></head><body><h2>Test set</h2>
<p>Accuracy: 98.0&nbsp;% (49/50)</p>
<table><caption>test</caption><tr><th>Class<th>Precision<th>Recall<th colspan=2>F1</tr>
<tr><td rowspan="2">basophil</td><td>0.98</td><td>1.00</td><td>0.99</td><td>25</td></tr>
<tr><td>monocyte</td><td>1.00</td><td>0.96</td><td>0.98</td></tr></table>
<ul><li>1 error<li>50 images</ul><!-- no more --><img src="a.png" alt="x"><a href="data_split.csv">split</a>
</body></html>
"""
TOML = """classes = ["basophil", "monocyte"]
[sets.test]
size = 50
supports = { basophil = 25, monocyte = 25 }
accuracy = "0.98"
errors = 1
matrix = [[25, 0], [1, 24]]
[sets.test.classes.basophil]
precision = "0.96"
recall = "1.00"
f1 = "0.98"
support = 25
"""


def prepare_reports(place: Path) -> Attempt:
    from harness.claims.reading import read_report

    def attempt(content: bytes) -> None:
        read_report(written_report(content, place))

    return attempt


def prepare_audits(place: Path) -> Attempt:
    from harness.claims.audit import audit
    from harness.claims.printing import as_json
    from harness.claims.reading import beside, read_report

    def attempt(content: bytes) -> None:
        file = written_report(content, place)
        json.dumps(as_json(audit(read_report(file), rounding="nearest", exists=beside(file))))

    return attempt


def written_report(content: bytes, place: Path) -> Path:
    """The first line of an input says what kind of file the rest is."""
    kind, _, text = content.partition(b"\n")
    file = place / f"report.{kind.decode() if kind in (b'html', b'toml') else 'md'}"
    file.write_bytes(text)
    return file


def reports() -> list[bytes]:
    return [f"md\n{MARKDOWN}".encode(), f"html\n{HTML}".encode(), f"toml\n{TOML}".encode()]


def report_words() -> list[bytes]:
    words = re.findall(rb"[A-Za-z_=\[\]]{2,20}|<[^>\n]{1,20}>|[\d.,]+ ?%?", b"\n".join(reports()))
    return [
        *words,
        b"|---|",
        b"rowspan=9",
        b"&#1114112;",
        b"&nbsp;",
        "½".encode(),
        "\u0661".encode(),
        b"9" * 30,
        b"1e999",
    ]


# --- packs ------------------------------------------------------------------------------------

FILES = ("evidence.json", "predictions/test.csv", "manifest.csv", "data_split.csv", "ledger.jsonl", "index.html")


def small_pack(place: Path) -> Path:
    """The pack of the hand-made run that the tests use, its looks on a ledger."""
    from example_run import example_picture, example_run, write_example_dataset
    from test_verify import looked_at, pack_of

    data = write_example_dataset(place / "data")
    alone = replace(example_run(content=example_picture), baseline=None, comparisons={})  # bounds that take their time
    run = looked_at(alone, data, place / "ledger.jsonl")
    return pack_of(run, data, place / "reports")


def prepare_packs(place: Path) -> Attempt:
    from harness.pack.verify import verify_pack
    from harness.report import page as report

    report._environment = cache(report._environment)  # to compile the page's templates takes half of the time
    pack = small_pack(place)
    sums = dict(reversed(line.split("  ")) for line in (pack / "SHA256SUMS").read_text().splitlines())
    originals = {name: (pack / name).read_bytes() for name in FILES}
    assert verify_pack(pack).holds

    def attempt(content: bytes) -> None:
        head, _, altered = content.partition(b"\n")
        name = head.decode("ascii", "replace")
        if name not in originals:
            return
        mended = sums | {name: hashlib.sha256(altered).hexdigest()}
        (pack / name).write_bytes(altered)
        (pack / "SHA256SUMS").write_text("".join(f"{digest}  {file}\n" for file, digest in mended.items()))
        found = verify_pack(pack)
        (pack / name).write_bytes(originals[name])
        assert not found.holds or altered == originals[name] or name == "evidence.json", "an altered file holds"
        assert all(each.message for each in found.discrepancies)

    return attempt


def packs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as place:
        pack = small_pack(Path(place))
        return [name.encode() + b"\n" + (pack / name).read_bytes() for name in FILES]


def mutate_pack(content: bytes, dice: random.Random, bytewise: Mutate) -> bytes:
    """A value of a JSON, a cell of a CSV, a line of a page; few changed bytes would leave a file that can be read."""
    head, _, text = content.partition(b"\n")
    if dice.random() < 0.05:
        return head + b"\n" + bytewise(text)
    try:
        if head.endswith(b".json"):
            tree = json.loads(text)
            for _ in range(dice.randint(1, 2)):
                mutate_tree(tree, dice)
            return head + b"\n" + json.dumps(tree, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if head.endswith(b".csv"):
            rows = list(csv.reader(io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")))
            row = dice.choice(rows)
            if row:
                row[dice.randrange(len(row))] = str(dice.choice(ODD))
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="\n").writerows(rows)
            return head + b"\n" + buffer.getvalue().encode("utf-8", "surrogateescape")
    except (ValueError, IndexError, csv.Error, RecursionError):
        pass
    return head + b"\n" + mutate_text(text, dice, bytewise)


ODD: Sequence[Any] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**53,
        10**400,
        0.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "\ud800",
        "\0",
    ),
    *("nan", "=1+1", "../x", "2026-13-45", [], [[]], {}, {"": None}, [None], "a" * 5_000, "test", "passed", "monocyte"),
)


def mutate_tree(tree: Any, dice: random.Random) -> None:
    """Walk down at random, and change what is there: drop, double, move, rename, or put something odd in its place."""
    holder = tree
    while True:
        if not isinstance(holder, dict | list) or not holder:
            return
        key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if not isinstance(holder[key], dict | list) or not holder[key] or dice.random() < 0.12:
            break
        holder = holder[key]
    match dice.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(0, holder[key])
        case 1:
            holder[f"{key}_"] = holder.pop(key)
        case 2:
            other = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            holder[key], holder[other] = holder[other], holder[key]
        case _:
            holder[key] = dice.choice(ODD)


def pack_words() -> list[bytes]:
    return [b"null", b"true", b"NaN", b"1e999", b"{}", b"[]", b'""']


TARGETS: Mapping[str, Target] = {
    "image": Target(
        ("harness.data", "harness.core.files", "PIL"), prepare_images, images, image_words, mutate_image, 16_384
    ),
    "protocol": Target(
        ("harness.protocol", "harness.protocol.file", "harness.core.files", "tomllib"),
        *(prepare_protocols, protocols, protocol_words, mutate_text, 24_576),
    ),
    "claims": Target(
        ("harness.claims", "html", "_markupbase", "tomllib"),
        *(prepare_reports, reports, report_words, mutate_text, 8_192),
    ),
    "audit": Target(("harness.claims", "harness.judge"), *(prepare_audits, reports, report_words, mutate_text, 8_192)),
    "pack": Target(
        ("harness.pack", "harness.judge.ledger"),
        *(prepare_packs, packs, pack_words, mutate_pack, 1 << 20),
    ),
}

if __name__ == "__main__":
    sys.exit(main())
