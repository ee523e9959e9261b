"""The properties in suites/test_split_properties.py hold for the split in use, and catch one that breaks them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]
SUITE = ROOT / "suites" / "test_split_properties.py"

# The manifest, the protocol and the plugin's state are all that the suite asks a session for.
CONFTEST = """
from types import SimpleNamespace
import pytest
import harness.plugin
from harness.data.manifest import read_manifest
from harness.protocol.datasets import SplitPlan

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")

def pytest_configure(config):
    config.addinivalue_line("markers", "criteria(question, *metrics)")
    harness.plugin.run_state = lambda config: SimpleNamespace(verdicts={})

@pytest.fixture(scope="session")
def manifest():
    return read_manifest(CELLS, name="dataset", classes=CLASSES, workers=2)

@pytest.fixture(scope="session")
def protocol():
    return SimpleNamespace(split=SplitPlan(train=0.7, validation=0.15, test=0.15, seed=42))
"""
BROKEN = {
    "order": """
def split_stratified(manifest, plan, sound=split.split_stratified):
    made = sound(manifest, plan)
    first = manifest.images[0]
    parts = {p: tuple(i for i in made.part(p) if i.sha256 != first.sha256) for p in split.PARTS}
    parts["test"] += (first,)
    return split.Split(**parts, origin="broken")
""",
    "name": """
def split_stratified(manifest, plan, sound=split.split_stratified):
    made = sound(manifest, plan)
    first = min(manifest.images, key=lambda image: image.path)
    parts = {p: tuple(i for i in made.part(p) if i.sha256 != first.sha256) for p in split.PARTS}
    parts["test"] += (first,)
    return split.Split(**parts, origin="broken")
""",
    "size": """
def split_stratified(manifest, plan, sound=split.split_stratified):
    made = sound(manifest, plan)
    return split.Split(made.train[3:], made.validation, made.test + made.train[:3], "broken")
""",
    "patient": """
def split_stratified(manifest, plan, sound=split.split_stratified):
    cells = tuple(split.replace(image, patient=None, slide=None) for image in manifest.images)
    made = sound(split.replace(manifest, images=cells), plan)
    grouped = {image.sha256: image for image in manifest.images}
    return split.Split(*(tuple(grouped[i.sha256] for i in made.part(p)) for p in split.PARTS), "broken")
""",
}


@pytest.fixture
def session(pytester: pytest.Pytester, smears: Path):
    """Runs the suite in a process of its own, with a split that is `broken` as told."""

    def run(broken: str) -> pytest.RunResult:
        swap = f"import harness.data.split as split\n{broken}\nsplit.split_stratified = split_stratified\n"
        cells = f"CELLS = __import__('pathlib').Path({str(smears)!r})\n"
        pytester.makeconftest((swap if broken else "") + cells + CONFTEST)
        shutil.copy(SUITE, pytester.path / SUITE.name)
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:benchmark", SUITE.name)

    return run


def test_every_property_holds_for_the_split_in_use(session):
    session("").assert_outcomes(passed=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "caught", "named"),
    [
        ("order", "test_no_order_of_the_listing_moves_an_image", "Draw 2 (order)"),
        ("name", "test_no_name_of_a_file_moves_an_image", "Draw 2 (names)"),
        ("size", "test_every_size_is_within_one_of_the_plan", "Draw 1 (sizes)"),
        ("patient", "test_no_patient_is_divided", "Draw 1 (listing)"),
    ],
)
def test_a_broken_split_is_caught_with_the_smallest_set_that_shows_it(session, broken, caught, named):
    result = session(BROKEN[broken])
    assert any(line.startswith("FAILED") and caught in line for line in result.outlines), result.outlines
    assert named in result.stdout.str()
