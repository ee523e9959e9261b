"""Small real inputs that several test modules share: drawn cells, a plan that trains in seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import effort
import pytest
from drawn import CLASSES
from filelock import FileLock
from hypothesis import settings
from order import longest_first
from tiny_run import TINY, Pytest, run_pytest

import harness.model.torchvision_compat  # noqa: F401
from fixtures.laboratories import HOME
from fixtures.smears import write_smears
from harness.core.places import SUITES
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.protocol.training import AugmentationPlan, PhasePlan, TrainingPlan, WeightsPlan

SAID = "said.json"
# How long an example takes says how busy the machine is; no test asserts a time.
settings.register_profile("all", deadline=None)  # Hypothesis's own 100 examples
settings.register_profile("share", deadline=None, max_examples=effort.USUAL)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="the slow tests too, as CI does: another twenty minutes")
    parser.addoption(
        "--all",
        action="store_true",
        help="with --runslow, every random example and every planted failure, not a share of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    effort.EVERYTHING = config.getoption("--all")
    settings.load_profile("all" if effort.EVERYTHING else "share")
    config.addinivalue_line(
        "markers",
        "slow(but_one_in=None): only with --runslow, as in CI, or with --all; of many cases one in so many always",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    return None if _everything(config) else "slow tests are left out (CI runs them): --runslow"


@pytest.hookimpl(trylast=True)  # what -k and -m leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _everything(config):
        items[:], left_out = effort.quick(items)
        config.hook.pytest_deselected(items=left_out)
    items[:] = longest_first(items)


def pytest_itemcollected(item: pytest.Item) -> None:
    """What asks for `tiny` makes a run at every call."""
    if "tiny" in getattr(item, "fixturenames", ()):
        item.add_marker("slow")


def _everything(config: pytest.Config) -> bool:
    """Whether slow tests run: also for whoever names a test, or says with -m which of them to run."""
    named = any("::" in each for each in config.args) or "slow" in config.getoption("markexpr")
    return bool(named or config.getoption("--runslow") or config.getoption("--all"))


@pytest.fixture(scope="session")
def smears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve 48 px cells per class."""
    root = tmp_path_factory.mktemp("smears") / "dataset"
    write_smears(root, images_per_class=dict.fromkeys(CLASSES, 12), laboratory=HOME, size_px=48, seed=7)
    return root


@pytest.fixture(scope="session")
def manifest(smears: Path) -> Manifest:
    return read_manifest(smears, name="dataset", classes=CLASSES, workers=2)


@pytest.fixture(scope="session")
def small_plan() -> TrainingPlan:
    """Both phases, all augmentations, two epochs each, at 32 px."""
    return TrainingPlan(
        architecture="resnet18",
        weights=WeightsPlan(source="none"),
        image_size_px=32,
        resize="squish",
        batch_size=8,
        seed=42,
        precision="float32",
        weight_decay=0.01,
        lr_finder=None,
        augmentation=AugmentationPlan(
            flips=True,
            max_rotate_deg=180.0,
            min_scale=0.75,
            max_warp=0.2,
            max_lighting=0.2,
            max_hue=0.1,
            max_saturation=0.2,
            p_affine=0.75,
            p_lighting=0.75,
            p_colour=0.75,
        ),
        phases=(
            PhasePlan(name="phase1", trains="head", learning_rate=1e-3, schedule="one-cycle", max_epochs=2, patience=3),
            PhasePlan(name="phase2", trains="all", learning_rate=1e-3, schedule="one-cycle", max_epochs=2, patience=3),
        ),
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real image sets that lie beside the checkout on the maintainers' machines."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real image sets are not on this machine (../shared/data)")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where a module's runs write: up to a gigabyte, which goes with the module unless one of its tests failed."""
    folder, failed = tmp_path_factory.mktemp("place"), request.session.testsfailed
    (folder / "tiny.toml").write_text(TINY)
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tiny(place: Path) -> Pytest:
    def run(*arguments: str, suites: str = str(SUITES), **options: object) -> subprocess.CompletedProcess[str]:
        reports = place / "reports"
        protocol = f"--protocol={place / 'tiny.toml'}"
        return run_pytest(suites, protocol, f"--reports={reports}", *arguments, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run of the whole path, from nothing: `reports`, `tiny.toml` and what the process said.

    Made once, by the worker that first asks; those beside it wait for it.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "first-run"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / SAID).exists():
            folder.mkdir()
            (folder / "tiny.toml").write_text(TINY)
            done = run_pytest(str(SUITES), f"--protocol={folder / 'tiny.toml'}", f"--reports={folder / 'reports'}")
            (folder / SAID).write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return folder


@pytest.fixture(scope="module")
def cold(first_run: Path, place: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The whole path, from nothing: terminal and pack. A copy for each module, which goes on where it ended."""
    reports = place / "reports"
    assert not reports.exists(), "ask for `cold` before the first `tiny` of a module"
    shutil.copytree(first_run / "reports", reports, symlinks=True)
    code, *said = json.loads((first_run / SAID).read_text())
    stdout, stderr = (text.replace(str(first_run), str(place)) for text in said)
    return subprocess.CompletedProcess(["pytest"], code, stdout, stderr), (reports / "latest").resolve()
