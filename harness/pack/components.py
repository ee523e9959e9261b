"""How is what is installed written for other programs? Packages, and the model, as a CycloneDX 1.6 list; and back.

Standard library only: the list has three fields a component, and the libraries that could write it bring eight to
twenty-one more distributions into it. The tests hold it to the official schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from packaging.utils import canonicalize_name

from harness.core.errors import EvidenceError
from harness.metrics.estimates import Evaluation
from harness.model.records import ModelCard
from harness.run.packages import PROJECT, Package

COMPONENTS = "sbom.cdx.json"
MODEL = "machine-learning-model"


def components(
    installed: tuple[Package, ...], *, harness: str, model: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The content of sbom.cdx.json. harness: its version, which is the thing that the list is of.

    Without serial number and time: equal installations and models give equal bytes.

    Args:
        model: the component that `model_component` made, of the classifier that was judged.
    """
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": PROJECT,
                "name": PROJECT,
                "version": harness,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": [*(_component(each) for each in installed), *([] if model is None else [model])],
    }


def model_component(card: ModelCard, evaluations: Iterable[Evaluation]) -> dict[str, object]:
    """The judged classifier as a component: what identifies it, what it takes and gives, and its accuracy by set.

    Args:
        evaluations: of the sets that training must not know.
    """
    how = card.preprocessing
    taken = "an image" if how is None else f"an image of {how.size_px} x {how.size_px} px, {how.channels}"
    parameters: dict[str, object] = {
        "task": "image classification",
        "inputs": [{"format": taken}],
        "outputs": [{"format": f"probability of {name}"} for name in card.classes],
    }
    if card.architecture is not None:
        parameters["modelArchitecture"] = card.architecture
    component: dict[str, object] = {
        "type": MODEL,
        "bom-ref": f"model:{card.digest}",
        "name": card.name,
        "version": card.digest,
        "properties": [{"name": f"{PROJECT}:door", "value": card.door}],
        "modelCard": {
            "modelParameters": parameters,
            "quantitativeAnalysis": {"performanceMetrics": [_accuracy(each) for each in evaluations]},
        },
    }
    if card.file_sha256 is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": card.file_sha256}]
    return component


def _accuracy(found: Evaluation) -> dict[str, object]:
    """Accuracy of one set as counts, which are the same to the last bit on every machine."""
    return {"type": "accuracy", "value": f"{found.n_correct}/{found.n}", "slice": found.set}


def _component(package: Package) -> dict[str, object]:
    purl = f"pkg:pypi/{canonicalize_name(package.name)}@{quote(package.version, safe='.-_~')}"
    about: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    }
    if package.expression is not None:
        about["licenses"] = [{"expression": package.expression}]
    elif package.licences:
        about["licenses"] = [{"license": {"name": name}} for name in package.licences]
    return about


def read_components(content: object) -> tuple[Package, ...]:
    """The packages of such a list.

    Raises:
        EvidenceError: it is none that `components` made.
    """
    listed = content.get("components") if isinstance(content, Mapping) else None
    if not isinstance(listed, list):
        raise EvidenceError(f"{COMPONENTS} holds no list of components")
    packages = (each for each in listed if not (isinstance(each, Mapping) and each.get("type") == MODEL))
    return tuple(_package(each, f"{COMPONENTS}, component {n}") for n, each in enumerate(packages))


def _package(component: object, where: str) -> Package:
    try:
        name, version = component["name"], component["version"]  # type: ignore[index]
        licences = component.get("licenses", [])  # type: ignore[attr-defined]
        expression = next((each["expression"] for each in licences if "expression" in each), None)
        names = tuple(each["license"]["name"] for each in licences if "license" in each)
    except (TypeError, LookupError, AttributeError):
        raise EvidenceError(f"{where} has no name and version, or licences of another form") from None
    if not all(isinstance(each, str) for each in (name, version, expression or "", *names)):
        raise EvidenceError(f"{where} has a name, version or licence that is not text")
    return Package(name, version, expression, names)
