"""What is installed against what was declared: a difference is named where an auditor looks, the list is valid."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema._res import BOM_JSON, JSF, SPDX_JSON
from cyclonedx.schema.schema import SchemaVersion
from example_run import A_FIGURE, example_packages, example_run, limits_in, page_of, unread_run, write_example_dataset
from jsonschema import Draft7Validator
from packageurl import PackageURL
from referencing import Registry, Resource
from test_comparing import pack_of as whole_pack
from test_comparing import run_named

import harness.claims.pages  # noqa: F401  (imported by whoever verifies a page: too late where no path leads to bs4)
from harness.core.errors import EvidenceError
from harness.core.places import PROJECT as CHECKOUT
from harness.model.records import ModelCard, Preprocessing
from harness.pack.components import components, model_component, read_components
from harness.pack.tables import as_json, components_of
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.run.packages import (
    CONSTRAINTS,
    METADATA,
    MLFLOW_CONSTRAINTS,
    PROJECT,
    UNREADABLE,
    Declared,
    Package,
    Packages,
    declarations,
    packages_here,
    settled,
    tried_together,
)
from harness.run.results import RunResults

PYPROJECT = """
[project]
name = "leukocyte-harness"
dependencies = ["torch==2.13.0", "torchvision==0.28.0"]
[project.optional-dependencies]
mlflow = ["mlflow>=3"]
dev = ["ruff>=0.14; python_version >= '3'", "pywin32>=300; sys_platform == 'never'"]
"""


class Site:
    """A folder of installed distributions that stands for site-packages, and a checkout beside it."""

    def __init__(self, root: Path) -> None:
        self.installed, self.checkout = root / "site", root / "checkout"
        self.installed.mkdir()
        self.checkout.mkdir()

    def install(self, name: str, number: str, *lines: str, folder: str | None = None) -> None:
        about = self.installed / f"{folder or name.replace('-', '_')}-{number}.dist-info"
        about.mkdir()
        text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {number}", *lines, "", "Text."])
        (about / "METADATA").write_text(text)

    def declare(self, pyproject: str = PYPROJECT, **files: str) -> None:
        (self.checkout / "pyproject.toml").write_text(pyproject)
        for name, content in files.items():
            (self.checkout / f"{name.replace('_', '-')}.txt").write_text(content)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(sys, "path", [str(made.installed)])
    return made


# --- installed against declared -------------------------------------------------------------------


def test_what_is_installed_as_declared_is_no_finding(site):
    site.declare(constraints="# tried\ntorch==2.13.0\ntorchvision==0.28.0\nnumpy==2.4.6\n")
    site.install("torch", "2.13.0+cpu")
    site.install("torchvision", "0.28.0", "Requires-Dist: torch==2.13.0")
    found = packages_here(site.checkout)
    assert (found.declared_in, found.tried_in) == ("pyproject.toml", "constraints.txt")
    assert found.unsatisfied == ()
    assert found.untried == ()
    assert found.unlisted == ()
    # The marker that is false here is not a requirement; the extras that nobody installed may be absent.
    assert [(each.needed, each.extra, each.installed) for each in found.requirements] == [
        ("torch==2.13.0", None, "2.13.0+cpu"),
        ("torchvision==0.28.0", None, "0.28.0"),
        ("mlflow>=3", "mlflow", None),
        ("ruff>=0.14", "dev", None),
    ]


@pytest.fixture
def published_pins(site) -> Packages:
    """S1: the versions that the published project names, which nothing can install together."""
    site.declare(constraints="torch==2.13.0\ntorchvision==0.28.0\n")
    site.install("torch", "2.9.1")
    site.install("torchvision", "0.14.1", "Requires-Dist: numpy", "Requires-Dist: torch (==1.13.1)")
    site.install("numpy", "2.4.6")
    return packages_here(site.checkout)


def test_versions_that_nobody_declared_and_that_cannot_work_together_are_named(published_pins):
    assert [str(each) for each in published_pins.unsatisfied] == [
        "leukocyte-harness needs torch==2.13.0, installed is 2.9.1",
        "leukocyte-harness needs torchvision==0.28.0, installed is 0.14.1",
        "torchvision 0.14.1 needs torch==1.13.1, installed is 2.9.1",
    ]
    assert [(each.needed, each.installed) for each in published_pins.untried] == [
        ("torch==2.13.0", "2.9.1"),
        ("torchvision==0.28.0", "0.14.1"),
    ]
    assert published_pins.unlisted == ("numpy",)


def test_they_are_a_limit_of_the_report_and_stand_in_its_environment(published_pins):
    run = dataclasses.replace(unread_run(), packages=published_pins)
    said = limits_in(run)
    assert any("not what was declared: " in each and "torchvision 0.14.1 needs torch==1.13.1" in each for each in said)
    assert any("another version than was tried together: " in each and "2.9.1" in each for each in said)
    page = page_of(run)
    environment = page[page.index("<caption>Environment") :]
    assert "Declared and not met:" in environment
    assert "torchvision 0.14.1 needs torch==1.13.1, installed is 2.9.1" in environment


def test_a_clean_installation_is_no_limit():
    clean, faulty = (
        set(limits_in(dataclasses.replace(unread_run(), packages=packages))) for packages in (example_packages(), None)
    )
    assert not [each for each in clean if "declared" in each or "tried together" in each]
    assert [each for each in faulty if "Nothing recorded what the harness declares" in each]


def test_many_differences_are_counted_where_they_are_not_all_named():
    wrong = tuple(Declared(f"a{n}", "torch==1", None, "2") for n in range(11))
    run = dataclasses.replace(unread_run(), packages=dataclasses.replace(example_packages(), conflicts=wrong))
    assert any("a7 needs torch==1, installed is 2; and 3 more." in limit for limit in limits_in(run))


def test_an_extra_may_be_absent_and_not_of_another_version(site):
    site.declare()
    site.install("torch", "2.13.0")
    site.install("torchvision", "0.28.0")
    site.install("mlflow", "2.1")
    (wrong,) = packages_here(site.checkout).unsatisfied
    assert str(wrong) == "leukocyte-harness (extra mlflow) needs mlflow>=3, installed is 2.1"


def test_what_is_always_needed_and_absent_is_named(site):
    site.declare()
    assert [str(each) for each in packages_here(site.checkout).unsatisfied] == [
        "leukocyte-harness needs torch==2.13.0, installed is nothing of it",
        "leukocyte-harness needs torchvision==0.28.0, installed is nothing of it",
    ]


def test_a_requirement_that_cannot_be_read_is_not_taken_for_one_that_is_met(site):
    site.declare('[project]\nname = "leukocyte-harness"\ndependencies = []\n')
    site.install("odd", "1.0", "Requires-Dist: torch at least 2")
    (wrong,) = packages_here(site.checkout).conflicts
    assert (wrong.by, wrong.needed) == ("odd 1.0", UNREADABLE)


def test_a_version_that_is_none_meets_nothing(site):
    site.declare('[project]\nname = "leukocyte-harness"\ndependencies = ["odd>=1"]\n')
    site.install("odd", "unknown")
    (wrong,) = packages_here(site.checkout).unsatisfied
    assert wrong.installed == "unknown"


def test_an_address_of_this_machine_stays_out(site):
    site.declare('[project]\nname = "leukocyte-harness"\ndependencies = ["odd @ file:///home/ada/odd"]\n')
    site.install("odd", "1.0", "Requires-Dist: even @ file:///home/ada/even")
    found = packages_here(site.checkout)
    assert "ada" not in str(found)
    assert [str(each) for each in found.unsatisfied] == ["odd 1.0 needs even, installed is nothing of it"]


def test_of_two_of_one_name_the_one_that_an_import_takes_counts(site, tmp_path, monkeypatch):
    (tmp_path / "first").mkdir()
    first = Site(tmp_path / "first")
    site.install("Some_Thing", "1.0")
    first.install("some-thing", "2.0")
    monkeypatch.setattr(sys, "path", [str(first.installed), str(site.installed)])
    assert [(each.name, each.version) for each in packages_here(site.checkout).installed] == [("some-thing", "2.0")]


def test_a_folder_that_an_interrupted_installation_left_is_no_distribution(site):
    (site.installed / "left-1.0.dist-info").mkdir()
    site.install("whole", "1.0")
    assert [each.name for each in packages_here(site.checkout).installed] == ["whole"]


def test_nor_is_it_where_the_backport_of_the_library_answers(site, monkeypatch):
    class Left:
        @property
        def metadata(self):
            raise FileNotFoundError("No package metadata was found.")

    monkeypatch.setattr("harness.run.packages.distributions", lambda: [Left()])
    assert packages_here(site.checkout).installed == ()


# --- where it is declared -------------------------------------------------------------------------


def test_without_a_checkout_the_installed_metadata_declare_and_nothing_was_tried(site):
    site.install(
        PROJECT,
        "0.1.0",
        "Requires-Dist: torch==2.13.0",
        "Requires-Dist: mlflow>=3; extra == 'mlflow'",
        "Provides-Extra: mlflow",
    )
    found = packages_here(site.checkout)
    assert (found.declared_in, found.tried_in, found.unlisted) == (METADATA, None, ())
    assert [(each.needed, each.extra) for each in found.requirements] == [
        ("torch==2.13.0", None),
        ("mlflow>=3", "mlflow"),
    ]
    assert found.installed == ()  # it does not list itself


def test_a_checkout_counts_before_metadata_that_may_be_older(site):
    site.install(PROJECT, "0.1.0", "Requires-Dist: torch==1.0")
    site.declare()
    assert declarations(site.checkout)[0] == "pyproject.toml"
    site.declare('[project]\nname = "another"\ndependencies = []\n')
    assert declarations(site.checkout) == (METADATA, [("torch==1.0", None)])


def test_nothing_that_declares_is_a_limit_and_not_a_clean_bill(site):
    found = packages_here(site.checkout)
    assert (found.declared_in, found.requirements) == (None, ())
    run = dataclasses.replace(unread_run(), packages=found)
    assert any("Nothing recorded what the harness declares" in limit for limit in limits_in(run))


def test_with_mlflow_the_versions_tried_with_it_count(site):
    site.declare(constraints="cachetools==8\n", constraints_mlflow="cachetools==7 # mlflow\n")
    assert tried_together(site.checkout, with_mlflow=False) == (CONSTRAINTS, ["cachetools==8"])
    assert tried_together(site.checkout, with_mlflow=True) == (MLFLOW_CONSTRAINTS, ["cachetools==7"])


def test_this_very_environment_is_read_whole():
    found = packages_here(CHECKOUT)
    versions = {each.name.lower(): each.version for each in found.installed}
    assert {name: versions[name] for name in ("torch", "numpy", "pytest")} == {
        name: version(name) for name in ("torch", "numpy", "pytest")
    }
    assert next(each.installed for each in found.requirements if each.needed.startswith("torch<")) == version("torch")
    assert found.tried_in in (CONSTRAINTS, MLFLOW_CONSTRAINTS)


# --- the list of components -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """CycloneDX 1.6 as its own project publishes it."""
    names = {"bom-1.6": BOM_JSON[SchemaVersion.V1_6], "spdx": SPDX_JSON, "jsf-0.82": JSF}
    schemas = {name: json.loads(Path(path).read_text(encoding="utf-8")) for name, path in names.items()}
    known = [
        (f"http://cyclonedx.org/schema/{name}.{end}", Resource.from_contents(schema))
        for name, schema in schemas.items()
        for end in ("schema.json", "SNAPSHOT.schema.json")
    ]
    return Draft7Validator(schemas["bom-1.6"], registry=Registry().with_resources(known))


def problems(official: Draft7Validator, listed: object) -> list[str]:
    return [error.message for error in official.iter_errors(json.loads(as_json(listed)))]


def test_the_list_of_this_environment_is_valid_and_names_no_place(official):
    listed = components(packages_here(CHECKOUT).installed, harness="0.1.0")
    assert problems(official, listed) == []
    text = as_json(listed).decode()
    places = {str(Path(place).resolve()) for place in (sys.prefix, Path.cwd(), Path.home(), __file__)}
    assert not [place for place in places if place in text]
    assert "file:" not in text


def test_the_schema_would_see_a_fault(official):
    listed: Any = components(example_packages().installed, harness="0.1.0")
    for break_it in (
        lambda each: each.update(licenses=[{"expression": "MIT"}, {"expression": "BSD"}]),
        lambda each: each.update(type="packet"),
        lambda each: each.pop("name"),
        lambda each: each.update(path="somewhere"),
    ):
        broken = json.loads(as_json(listed))
        break_it(broken["components"][0])
        assert problems(official, broken) != []


def test_a_component_says_what_its_metadata_say(site):
    site.install("Typing_Extensions.X", "1.0+cpu", "License-Expression: PSF-2.0")
    site.install("named", "1", "License: MIT", "Classifier: License :: OSI Approved :: BSD License")
    site.install("classified", "1", "License: UNKNOWN", "Classifier: License :: OSI Approved :: BSD License")
    site.install("wordy", "1", "License: " + "Permission is hereby granted " * 9)
    site.install("silent", "1")
    listed: Any = components(packages_here(site.checkout).installed, harness="0.1.0")["components"]
    assert {each["name"]: each.get("licenses") for each in listed} == {
        "classified": [{"license": {"name": "BSD License"}}],
        "named": [{"license": {"name": "MIT"}}],
        "silent": None,
        "Typing_Extensions.X": [{"expression": "PSF-2.0"}],
        "wordy": None,
    }
    assert [each["name"] for each in listed] == ["classified", "named", "silent", "Typing_Extensions.X", "wordy"]
    text = next(each["purl"] for each in listed if each["name"].startswith("Typing"))
    assert text == "pkg:pypi/typing-extensions-x@1.0%2Bcpu"
    purl = PackageURL.from_string(text)
    assert (purl.type, purl.name, purl.version) == ("pypi", "typing-extensions-x", "1.0+cpu")


def test_the_backport_of_importlib_metadata_says_the_same():
    """Dask imports it on Python 3.11, and from then on it answers for the standard library in that process."""
    told = (
        "from harness.core.places import PROJECT; from harness.run.packages import packages_here; "
        "found = packages_here(PROJECT); print(len(found.installed), found)"
    )
    alone, beside = (
        subprocess.run([sys.executable, "-c", first + told], capture_output=True, text=True, check=True).stdout
        for first in ("", "import importlib_metadata; ")
    )
    assert int(alone.partition(" ")[0]) > 50
    assert beside == alone


def test_the_list_reads_back_and_equal_installations_give_equal_bytes():
    installed = packages_here(CHECKOUT).installed
    first, second = (as_json(components(installed, harness="0.1.0")) for _ in range(2))
    assert first == second
    assert read_components(json.loads(first)) == installed


@pytest.mark.parametrize("content", [[], {}, {"components": [1]}, {"components": [{"name": "a", "version": 1}]}])
def test_what_is_no_list_is_refused(content):
    with pytest.raises(EvidenceError, match=r"sbom\.cdx\.json"):
        read_components(content)


# --- in a pack ------------------------------------------------------------------------------------


def pack_of(run: RunResults, reports: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=reports, manifest=None, models={}, formats=("PNG",))


@pytest.mark.parametrize("faulty", [False, True], ids=["as declared", "as published"])
def test_a_pack_with_its_list_verifies(tmp_path, published_pins, faulty):
    packages = published_pins if faulty else example_packages()
    run = dataclasses.replace(unread_run(), packages=packages, environment={**unread_run().environment})
    run.environment.update({each.name: each.version for each in packages.installed})
    pack = pack_of(run, tmp_path / "reports")
    assert [str(each) for each in verify_pack(pack).discrepancies] == []
    told = json.loads((pack / "evidence.json").read_text())["packages"]
    assert told["unsatisfied"] == [str(each) for each in packages.unsatisfied]
    assert len(told["unsatisfied"]) == (3 if faulty else 0)


def edit_json(pack: Path, name: str, edit: Callable[[Any], object]) -> None:
    """Whoever alters a file, in its own spelling, and mends the sums."""
    content = json.loads((pack / name).read_text())
    edit(content)
    (pack / name).write_bytes(as_json(content))
    sums = (pack / "SHA256SUMS").read_text()
    digest = hashlib.sha256((pack / name).read_bytes()).hexdigest()
    (pack / "SHA256SUMS").write_text(re.sub(rf"^[0-9a-f]{{64}}(?=  {re.escape(name)}$)", digest, sums, flags=re.M))


def forget(content: Any) -> None:
    content["packages"].update(unsatisfied=[], conflicts=[])
    for each in content["packages"]["requirements"]:
        each["installed"] = each["needed"].partition("==")[2]


@pytest.mark.parametrize(
    ("name", "edit", "where"),
    [
        ("sbom.cdx.json", lambda c: c["components"][1].update(version="2.13.0"), "packages > "),
        ("sbom.cdx.json", lambda c: c["components"][1].update(version="2.13.0"), "torch"),
        ("sbom.cdx.json", lambda c: c["components"][1].update(purl="pkg:pypi/torch@1"), "components > 1 > purl"),
        ("sbom.cdx.json", lambda c: c.update(serialNumber="urn:uuid:0"), "serialNumber"),
        ("sbom.cdx.json", lambda c: c.update(components=7), ""),
        ("evidence.json", forget, "packages > requirements"),
        ("evidence.json", lambda c: c["packages"].update(unsatisfied=[]), "packages > unsatisfied"),
        ("evidence.json", lambda c: c["packages"]["untried"][0].update(installed="2.13.0"), "packages > untried"),
    ],
)
def test_a_list_or_a_comparison_that_was_altered_is_found(tmp_path, published_pins, name, edit, where):
    run = dataclasses.replace(unread_run(), packages=published_pins)
    run.environment.update(torch="2.9.1")
    pack = pack_of(run, tmp_path / "reports")
    assert verify_pack(pack).holds
    edit_json(pack, name, edit)
    found = verify_pack(pack).discrepancies
    assert [each for each in found if each.field.startswith(where)], [str(each) for each in found]


def test_a_pack_without_its_list_does_not_verify(tmp_path):
    pack = pack_of(unread_run(), tmp_path / "reports")
    (pack / "sbom.cdx.json").unlink()
    assert [each.file for each in verify_pack(pack).discrepancies] == ["sbom.cdx.json"]


def test_settling_keeps_only_what_is_not_met():
    met = Declared("a 1", "torch", None, None)
    listed = dataclasses.replace(example_packages(), conflicts=(met,), untried=(met,), unlisted=("gone", "numpy"))
    found = settled(listed)
    assert (found.conflicts, found.untried, found.unlisted) == ((), (), ("numpy",))
    assert found.requirements == example_packages().requirements
    assert settled(Packages((Package("numpy", "1"),))).installed == (Package("numpy", "1"),)


# --- the model among the components ---------------------------------------------------------------


def test_the_judged_model_is_a_component_of_the_official_form(official):
    run = example_run()
    card = dataclasses.replace(trained_card(), file_sha256="ab" * 32, architecture="resnet18")
    model: Any = model_component(card, [run.evaluations["test"]])
    listed = components(example_packages().installed, harness="0.1.0", model=model)
    assert problems(official, listed) == []
    assert model["type"] == "machine-learning-model"
    assert model["version"] == card.digest
    assert model["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert [each["format"] for each in model["modelCard"]["modelParameters"]["outputs"]] == [
        f"probability of {name}" for name in card.classes
    ]
    (metric,) = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert metric == {"type": "accuracy", "value": "27/30", "slice": "test"}
    model["type"] = "model"
    assert problems(official, listed) != []


def test_the_model_is_no_package():
    model = model_component(trained_card(), [])
    listed = components(example_packages().installed, harness="0.1.0", model=model)
    assert read_components(listed) == example_packages().installed


def trained_card() -> ModelCard:
    return ModelCard(
        door="trained here",
        name="resnet18",
        digest="cd" * 32,
        classes=("a", "b"),
        preprocessing=Preprocessing(size_px=224, resize="crop"),
        abilities=("probabilities",),
        corruptions_act_on="RGB frames",
    )


def with_a_model() -> RunResults:
    run = example_run()
    assert run.training is not None
    return dataclasses.replace(run, training=dataclasses.replace(run.training, card=trained_card()))


def test_the_components_of_a_run_name_what_it_judged_and_earlier_packs_do_not():
    run = with_a_model()
    written = json.loads(components_of(run))
    model = written["components"][-1]
    assert (model["name"], model["version"]) == ("resnet18", "cd" * 32)
    told = {each["slice"]: each["value"] for each in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert told == {"test": "27/30", "second-laboratory": "109/140", "nine-monocytes": "9/9"}
    formerly = json.loads(components_of(run, formerly=True))
    assert formerly["components"] == written["components"][:-1]


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.update(version="00" * 32),
        lambda model: model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0].update(value="30/30"),
        lambda model: model.clear(),
    ],
    ids=["another model", "another accuracy", "no model"],
)
def test_an_altered_model_among_the_components_is_found(pack_with_a_model, tmp_path, edit):
    pack = tmp_path / "pack"
    shutil.copytree(pack_with_a_model, pack)
    assert verify_pack(pack).holds
    edit_json(pack, "sbom.cdx.json", lambda content: edit(content["components"][-1]))
    assert "sbom.cdx.json" in {each.file for each in verify_pack(pack).discrepancies}


@pytest.fixture(scope="module")
def pack_with_a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("with-a-model")
    run = run_named("with-a-model", n_wrong=3)
    assert run.training is not None
    run = dataclasses.replace(run, training=dataclasses.replace(run.training, card=trained_card()))
    return whole_pack(run, write_example_dataset(place / "data"), place / "reports")
