"""The pages for people: all of them listed, every link led somewhere, every command one that the programs take."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import re
import tomllib
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from documents import DECISIONS, DOCS, INDEX, Shown, anchors, commands, links, name_of, pages
from example_run import example_run
from PIL import Image

import harness
from benchmarks.__main__ import measurements
from harness import cli
from harness.claims import audit
from harness.claims.arguments import add_arguments
from harness.core.places import PROJECT
from harness.jobs import common
from harness.judge.verdicts import Outcome
from harness.metrics.adaptation import Adapted
from harness.model.exports import CLASSIFIER, EXPORT
from harness.model.onnx_writing import ONNX
from harness.options import add_options
from harness.pack.contents import FIELDS, FILES, PREDICTION_COLUMNS, contents_page
from harness.pack.files import UNLISTED
from harness.pack.further import further_predictions
from harness.pack.tables import confusion_csv, documents, evidence, predictions_csv
from harness.report.pictures import KINDS
from harness.report.sections import ORDER
from harness.run.results import RunResults
from harness.session import Exit

README = PROJECT / "README.md"
PARSERS = next(a for a in cli.parser_of_jobs()._actions if isinstance(a, argparse._SubParsersAction)).choices
JOBS = tuple(each.__name__.removeprefix("register_") for each in cli.JOBS)
PACKS = [
    PROJECT / "reports" / "reference",
    PROJECT / "reports" / "leukocyte-reference",
    PROJECT / "reports" / "leukocyte-efficientnet-128",
    PROJECT / "tests" / "packs" / "schema-3",
]
# What a reader's own machine has; the words behind these are not ours.
OF_A_SHELL = (
    "cd",
    "cp",
    "dask",
    "git",
    "head",
    "HARNESS_KEY_PASSPHRASE",
    "ls",
    "mkdir",
    "model_signing",
    "python3",
    "read",
    "sort",
)


# --- pages and links ---


def test_the_index_has_every_page_once():
    listed = [INDEX.parent / target for target in links(INDEX)]
    assert len(set(listed)) == len(listed)
    assert {DECISIONS if each.is_dir() else each for each in listed} == {*pages(), DECISIONS} - {README, INDEX}


@pytest.mark.parametrize("page", [*pages(), *sorted(DECISIONS.glob("*.md")), PROJECT / "CHANGELOG.md"], ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    gone = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            gone.append(target)
    assert gone == []


def test_every_page_that_code_and_protocols_name_is_there():
    rooms = ("harness", "suites", "fixtures", "benchmarks", "docs/ci", "docs/commands")
    files = [file for room in rooms for file in (PROJECT / room).rglob("*") if file.suffix in (".py", ".toml", ".yml")]
    named = {
        (name, file) for file in files for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|py)", file.read_text("utf-8"))
    }
    assert len(named) > 10
    assert [(name, name_of(file)) for name, file in sorted(named) if not (PROJECT / name).exists()] == []


def test_the_readme_is_read_in_three_minutes_and_shows_the_first_screen():
    assert len(README.read_text("utf-8").split()) <= 900
    [picture] = [PROJECT / target for target in links(README) if target.endswith(".png")]
    assert picture.stat().st_size < 150_000
    with Image.open(picture) as image:
        assert image.size == (1440, 1000)


# --- commands ---


class Options(argparse.ArgumentParser):
    """The options of a run, and those of pytest that the pages use; argparse reads them as pytest does."""

    addoption = argparse.ArgumentParser.add_argument

    def __init__(self) -> None:
        super().__init__(prog="pytest", allow_abbrev=False)
        add_options(self)  # type: ignore[arg-type]
        self.add_argument("places", nargs="*")
        for option in ("-k", "-p"):
            self.add_argument(option)
        for switch in ("-s", "--all"):
            self.add_argument(switch, action="store_true")


def takes(parser: argparse.ArgumentParser, words: tuple[str, ...], *, inline: bool) -> argparse.Namespace | None:
    """What a parser makes of them; None where a sentence names a command without what it is about."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parser.parse_args(words)
    except SystemExit as ended:
        if ended.code == 0 or (inline and "arguments are required" in said.getvalue()):
            return None
        raise AssertionError(said.getvalue()) from None


def check_run(words: tuple[str, ...], *, inline: bool) -> None:
    asked = takes(Options(), words, inline=inline)
    assert asked is not None
    assert asked.device and all((PROJECT / place.removeprefix("HARNESS/")).exists() for place in asked.places)


def check_benchmark(name: str, words: tuple[str, ...]) -> None:
    assert name in measurements(), f"no measurement is called {name}"
    source = (PROJECT / "benchmarks" / f"{name}.py").read_text("utf-8")
    own = words[: words.index("--")] if "--" in words else words
    options = [word.partition("=")[0] for word in own if word.startswith("--")]
    assert [option for option in options if f'"{option}"' not in source] == []


def check_install(words: tuple[str, ...]) -> None:
    about = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    for word in words:
        if (extras := re.fullmatch(r"(?:\.|leukocyte-harness)\[([\w,]+)\]", word)) is not None:
            assert set(extras[1].split(",")) <= set(about["optional-dependencies"])
        elif word.endswith(".whl"):
            assert word == f"leukocyte_harness-{harness.__version__}-py3-none-any.whl"
        elif word.startswith("constraints"):
            assert (PROJECT / word).is_file()


def check(shown: Shown) -> None:
    program, *rest = shown.words
    match program, *rest:
        case ["pytest", *_] | ["leukocyte-harness", "run", *_] | ["python", "-m", "harness", "run", *_]:
            check_run(shown.words[{"pytest": 1, "leukocyte-harness": 2}.get(program, 4) :], inline=shown.inline)
        case ["python", "-m", "harness", "JOB"] | ["leukocyte-harness", "JOB"]:
            assert shown.inline
        case ["python", "-m", "harness", *given] | ["leukocyte-harness", *given]:
            takes(cli.parser_of_jobs(), tuple(given), inline=shown.inline)
        case ["python", "-m", "harness.claims", *given]:
            add_arguments(alone := argparse.ArgumentParser())
            takes(alone, tuple(given), inline=shown.inline)
        case ["python", "-m", "benchmarks"]:
            pass
        case ["python", "-m", "benchmarks", name, *given]:
            check_benchmark(name, tuple(given))
        case ["python", "-m", "pip", *given] | ["pip", *given]:
            check_install(tuple(given))
        case ["python", "-m", module, *given] if module.startswith("benchmarks."):
            check_benchmark(module.removeprefix("benchmarks."), tuple(given))
        case ["python", "-c", code]:
            compile(code, shown.page, "exec")
        case ["python", "-"]:
            pass  # a here-document
        case ["python", script, *given] if script.startswith("benchmarks/"):
            check_benchmark(Path(script).stem, tuple(given))
        case ["python", script, *_]:
            told = f"<!-- file: {script} -->"
            assert (PROJECT / script).is_file() or any(told in page.read_text("utf-8") for page in pages())
        case ["tox", "-e", environment, *_]:
            tox = ConfigParser(interpolation=None)
            tox.read(PROJECT / "tox.ini")
            assert f"testenv:{environment}" in tox
        case _:
            assert program in OF_A_SHELL, f"nothing here knows {program}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_command_is_one_that_its_program_takes(page: Path):
    wrong = []
    for shown in commands(page):
        try:
            check(shown)
        except AssertionError as error:
            wrong.append(f"{shown}\n  {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "words",
    [
        ["pytest", "suites/", "--modell=x"],
        ["pytest", "suits/"],
        ["pytest", "suites/", "--device=tpu"],
        ["python", "-m", "harness", "verfy", "PACK"],
        ["python", "-m", "harness", "verify"],
        ["leukocyte-harness", "claims", "REPORT", "--lenientt"],
        ["python", "-m", "benchmarks", "nothing"],
        ["python", "-m", "benchmarks", "estimates", "--none"],
        ["python", "-c", "print("],
        ["python", "gone.py"],
        ["tox", "-e", "nothing"],
        ["pip", "install", "leukocyte-harness[nothing]"],
        ["python", "-m", "pip", "install", "leukocyte_harness-9.9-py3-none-any.whl"],
        ["nobody", "knows"],
    ],
)
def test_a_command_that_no_program_takes_is_found(words: list[str]):
    with pytest.raises((AssertionError, SyntaxError)):
        check(Shown("a page", tuple(words)))


def test_ci_runs_what_the_readme_tells_to_run():
    script = (PROJECT / ".ci" / "run").read_text("utf-8")
    shown = [block for block in re.findall(r"```console\n(.*?)\n```", README.read_text("utf-8")) if "tox" in block]
    assert len(shown) == 2
    for block in shown:
        assert [step for step in block.split(" && ") if step not in script] == []


def test_the_page_of_the_command_line_has_every_option_and_every_job():
    page = (DOCS / "command-line.md").read_text("utf-8")
    options = re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)
    assert sorted(options) == sorted(re.findall(r"^  (--[\w-]+)", Options().format_help(), re.MULTILINE)[:-1])
    jobs = re.findall(r"^\| `(\w+)", page.partition("## Jobs")[2], re.MULTILINE)
    assert {*jobs, "keygen", cli.RUN} == set(JOBS)


# --- exit codes and outcomes ---


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_exit_codes_of_a_run_are_those_of_the_code():
    table = rows((DOCS / "exit-codes.md").read_text("utf-8"), "A run")
    of_pytest = {2: "INTERRUPTED", 3: "INTERNAL_ERROR", 4: "USAGE_ERROR", 5: "NO_TESTS_COLLECTED"}
    assert of_pytest == {each.value: each.name for each in pytest.ExitCode if 1 < each.value < 6}
    words = {code: f"pytest: {name.lower().replace('_', ' ')}" for code, name in of_pytest.items()}
    words |= {each.value: f"`{each.name}`" for each in Exit}
    assert [(int(code), name) for code, name, _ in table] == sorted(words.items())


def test_the_exit_codes_of_jobs_are_those_of_the_code():
    table = {
        job.strip("`"): (one, more)
        for job, one, more in rows((DOCS / "exit-codes.md").read_text("utf-8"), "Jobs without a run")
    }
    assert set(table) == set(JOBS) - {common.RUN}
    ends_with_1 = {job for job in table if "DOES_NOT_HOLD" in inspect.getsource(PARSERS[job].get_default("run"))}
    assert {job for job, (one, _) in table.items() if one} == ends_with_1 | {"claims"}
    assert (common.HOLDS, common.DOES_NOT_HOLD, common.WRONG_CALL, cli.CUT_OFF) == (0, 1, 2, 141)
    assert (audit.HOLDS, audit.CANNOT_HOLD, audit.UNREADABLE, audit.NOT_CHECKED) == (0, 1, 2, 3)
    assert [job for job, (_, more) in table.items() if more] == ["claims"]


@pytest.mark.parametrize("job", JOBS[1:])
def test_a_wrong_call_of_a_job_ends_with_2(job: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main([job, "--no-such-option"])
    assert ended.value.code == common.WRONG_CALL


@pytest.mark.parametrize(("page", "heading"), [("README.md", "Outcomes"), ("docs/verdicts.md", "Words")])
def test_the_outcomes_are_those_of_the_code(page: str, heading: str):
    table = rows((PROJECT / page).read_text("utf-8"), heading)
    assert {row[0].strip("`") for row in table} == {*(outcome.value for outcome in Outcome), "not asked"}
    codes = {row[0].strip("`"): int(row[-1].partition(" ")[0].rstrip(",")) for row in table}
    assert codes == {
        **{"passed": Exit.PASSED, "failed": Exit.FAILED, "inconclusive": Exit.INCONCLUSIVE},
        **{"not assessed": Exit.INCOMPLETE, "not judged": Exit.INCOMPLETE, "not asked": Exit.PASSED},
    }


# --- what a pack holds ---


@pytest.fixture(scope="module")
def run() -> RunResults:
    """With predictions of every kind."""
    made = example_run()
    test, names = made.predictions["test"], ("stain", "noise")
    return replace(
        made,
        baseline=replace(made.baseline, corrupted=dict.fromkeys(names, test)),
        adaptations={"elsewhere": Adapted("head", test, test)},
        unknown={"blasts": test},
        corrupted=dict.fromkeys(names, test),
        corrupted_comparisons=dict.fromkeys(names, made.comparisons["test"]),
    )


def _shape(path: str) -> re.Pattern[str]:
    return re.compile(
        "".join(r"[^/]+" if part.startswith("<") else re.escape(part) for part in re.split(r"(<\w+>)", path))
    )


def _kinds_of(path: str) -> list[str]:
    """The rows of the page that speak of a file."""
    return [each.path for each in FILES if _shape(each.path).fullmatch(path)]


def test_the_page_of_packs_is_current(capsys: pytest.CaptureFixture[str]):
    page = (DOCS / "pack-schema.md").read_text("utf-8")
    assert page == contents_page(), "write it again: python -m harness schema --pack > docs/pack-schema.md"
    assert cli.main(["schema", "--pack"]) == 0
    assert capsys.readouterr().out == page


def test_the_page_has_every_file_that_a_pack_can_hold_and_no_other(run: RunResults):
    files = {
        path
        for pack in PACKS
        for path in (file.relative_to(pack).as_posix() for file in pack.rglob("*") if file.is_file())
    }
    files |= {f"predictions/{name}.csv" for name, _ in further_predictions(run)} | {"predictions/given/test.csv"}
    files |= {f"figures/sample_images.{kind}" for kind in KINDS}
    files |= {f"models/{name}" for name in ("best_model_phase1.pth", CLASSIFIER, ONNX, EXPORT)} | UNLISTED
    found = {path: _kinds_of(path) for path in files}
    assert {path: kinds for path, kinds in found.items() if len(kinds) != 1} == {}
    assert {kind for kinds in found.values() for kind in kinds} == {each.path for each in FILES}


def test_the_columns_of_tables_are_those_that_are_written(run: RunResults):
    """Of the page's rows about CSV files: the first line of one that was written."""
    stated = {each.path: each.columns for each in FILES if each.columns}
    assert set(stated) == {each.path for each in FILES if each.path.endswith(".csv")}
    assert {each for path, each in stated.items() if path.startswith("predictions/")} == {PREDICTION_COLUMNS}
    classes = run.protocol.dataset.classes
    test = predictions_csv(run.predictions["test"]).decode().partition("\n")[0].split(",")
    assert test == [*PREDICTION_COLUMNS[:-1], *(f"p_{name}" for name in classes)]
    confusion = confusion_csv(run.evaluations["test"]).decode().partition("\n")[0].split(",")
    assert confusion == [stated["metrics/confusion_matrix_<set>.csv"][0], *classes]
    suspects = documents(run, None)["label_suspects.csv"].decode().partition("\n")[0].split(",")
    assert tuple(suspects) == stated["label_suspects.csv"]
    for pack in PACKS:
        assert (
            tuple((pack / "data_split.csv").read_text("utf-8").partition("\n")[0].split(","))
            == stated["data_split.csv"]
        )
        header = (pack / "manifest.csv").read_text("utf-8").partition("\n")[0].split(",")
        assert tuple(header) == stated["manifest.csv"]


def _entries(kind: str, value: Any) -> list[Any]:
    if not value:
        return []
    return value if kind.startswith("list") else list(value.values()) if " by " in kind else [value]


def test_every_field_of_the_evidence_stands_on_the_page_in_its_order(run: RunResults):
    written = evidence(run, None)
    assert list(written) == [each.name for each in FIELDS]
    checked = set()
    for field in FIELDS:
        for entry in _entries(field.kind, written[field.name]) if field.keys else ():
            optional = {"reported"} if field.name == "evaluations" else set()
            assert set(field.held) - optional <= set(entry) <= set(field.held), field.name
            checked.add(field.name)
    assert {each.name for each in FIELDS if isinstance(each.keys, tuple) and each.keys} <= checked


def test_what_committed_packs_hold_stands_on_the_page():
    """Older ones may lack what came later."""
    for pack in PACKS:
        content = json.loads((pack / "evidence.json").read_text("utf-8"))
        known = {each.name: each for each in FIELDS}
        assert set(content) <= set(known)
        for name, value in content.items():
            if known[name].keys and " by " not in known[name].kind:
                assert all(set(entry) <= set(known[name].held) for entry in _entries(known[name].kind, value)), name


def test_the_auditor_is_told_of_every_section_once_and_in_its_order():
    rows = re.findall(
        r"^\| [^|]+ \| \[`#(\w+)`\]\(\.\./harness/report/sections/(\w+)\) \|", (DOCS / "auditing.md").read_text(), re.M
    )
    assert [anchor for anchor, _ in rows] == [folder for _, folder in rows] == list(ORDER)
