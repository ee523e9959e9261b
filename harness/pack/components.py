"""How is what is installed written for other programs? Packages as a CycloneDX 1.6 list of components, and back.

Standard library only: the list has three fields a component, and the libraries that could write it bring eight to
twenty-one more distributions into it. The tests hold it to the official schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from packaging.utils import canonicalize_name

from harness.core.errors import EvidenceError
from harness.run.packages import PROJECT, Package

COMPONENTS = "sbom.cdx.json"


def components(installed: tuple[Package, ...], *, harness: str) -> dict[str, object]:
    """The content of sbom.cdx.json. harness: its version, which is the thing that the list is of.

    Without serial number and time: equal installations give equal bytes.
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
        "components": [_component(each) for each in installed],
    }


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
    return tuple(_package(each, f"{COMPONENTS}, component {n}") for n, each in enumerate(listed))


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
