"""What is installed, and is it what was declared? Distributions in; their list and every difference out.

Versions are compared as `pip check` does it: a local part ("2.13.0+cpu") does not count where the requirement has none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

PROJECT = "leukocyte-harness"
PYPROJECT = "pyproject.toml"
METADATA = "the installed metadata"
CONSTRAINTS = "constraints.txt"
MLFLOW_CONSTRAINTS = "constraints-mlflow.txt"  # mlflow holds others back: with it, these versions were tried together
UNREADABLE = "(a requirement that cannot be read)"
LICENCE_CLASSIFIER = "License :: "
LONGEST_LICENCE = 80  # some packages put the whole text of their licence where its name belongs


@dataclass(frozen=True, slots=True)
class Package:
    """One installed distribution, as its own metadata states it.

    expression: an SPDX licence expression. licences: names, where there is none.
    """

    name: str
    version: str
    expression: str | None = None
    licences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """One requirement, and what is installed of it.

    by:        what declares it, such as "torchvision 0.28.0".
    needed:    without environment marker or address, such as "torch==2.13.0".
    extra:     the extra that it belongs to; None where it is always required.
    installed: version, or None.
    """

    by: str
    needed: str
    extra: str | None
    installed: str | None

    @property
    def satisfied(self) -> bool:
        """What only an extra needs may be absent; where it is there, its version counts."""
        return self.extra is not None if self.installed is None else _meets(self.installed, self.needed)

    def __str__(self) -> str:
        of = f" (extra {self.extra})" if self.extra else ""
        return f"{self.by}{of} needs {self.needed}, installed is {self.installed or 'nothing of it'}"


@dataclass(frozen=True, slots=True)
class Packages:
    """What was installed when the run began, against what was declared.

    installed:    every distribution but the harness itself, sorted by name.
    declared_in:  where the harness's own requirements stand; None where nothing declares them.
    requirements: the harness's own, extras included.
    tried_in:     the file of versions that were tried together; None outside a checkout.
    untried:      its pins of which another version is installed. unlisted: what is installed and not in it.
    conflicts:    requirements of other installed distributions that are not met.
    """

    installed: tuple[Package, ...]
    declared_in: str | None = None
    requirements: tuple[Declared, ...] = ()
    tried_in: str | None = None
    untried: tuple[Declared, ...] = ()
    unlisted: tuple[str, ...] = ()
    conflicts: tuple[Declared, ...] = ()

    @property
    def unsatisfied(self) -> tuple[Declared, ...]:
        """Every requirement that is not met, the harness's own first."""
        return (*(each for each in self.requirements if not each.satisfied), *self.conflicts)


def packages_here(source: Path) -> Packages:
    """What this process can import, against what the checkout `source`, or else the installed harness, declares."""
    found = _found()
    installed = tuple(_package(each) for _, each in sorted(found.items()))
    versions = _versions(installed)
    declared_in, needed = declarations(source)
    tried_in, pins = tried_together(source, with_mlflow="mlflow" in versions)
    others = (
        each
        for name, said in found.items()
        for each in _declared(f"{name} {versions[name]}", ((text, None) for text in said.requires), versions)
    )
    return settled(
        Packages(
            installed=installed,
            declared_in=declared_in,
            requirements=tuple(_declared(PROJECT, needed, versions)),
            tried_in=tried_in,
            untried=tuple(_declared(tried_in or "", ((pin, None) for pin in pins), versions)),
            unlisted=tuple(sorted(versions.keys() - {_name(pin) for pin in pins})) if tried_in else (),
            conflicts=tuple(sorted(others, key=lambda each: (each.by, each.needed))),
        )
    )


def settled(packages: Packages) -> Packages:
    """The same declarations against its own `installed`; of pins and others' requirements only what is not met."""
    versions = _versions(packages.installed)

    def again(listed: Iterable[Declared]) -> tuple[Declared, ...]:
        return tuple(replace(each, installed=versions.get(_name(each.needed))) for each in listed)

    return replace(
        packages,
        requirements=again(packages.requirements),
        # A pin asks for nothing that is not there.
        untried=tuple(each for each in again(packages.untried) if each.installed and not each.satisfied),
        unlisted=tuple(name for name in packages.unlisted if name in versions),
        conflicts=tuple(each for each in again(packages.conflicts) if not each.satisfied),
    )


def declarations(source: Path) -> tuple[str | None, list[tuple[str, str | None]]]:
    """(where they stand, (requirement, extra) of each that the harness has).

    A checkout's own file goes first: the metadata of an editable installation is as old as the installation.
    """
    try:
        project = tomllib.loads((source / PYPROJECT).read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError:
        project = {}
    if project.get("name") == PROJECT:
        extras = project.get("optional-dependencies", {})
        optional = [(text, extra) for extra, texts in extras.items() for text in texts]
        return PYPROJECT, [*((text, None) for text in project.get("dependencies", ())), *optional]
    try:
        said = _read_once(distribution(PROJECT))
    except PackageNotFoundError:
        said = None
    return (None, []) if said is None else (METADATA, list(_every(said)))


def tried_together(source: Path, *, with_mlflow: bool) -> tuple[str | None, list[str]]:
    """(file, its pins); None outside a checkout."""
    wanted = (MLFLOW_CONSTRAINTS, CONSTRAINTS) if with_mlflow else (CONSTRAINTS,)
    for name in wanted:
        if (source / name).is_file():
            lines = (source / name).read_text(encoding="utf-8").splitlines()
            return name, [pin for line in lines if (pin := line.partition("#")[0].strip())]
    return None, []


@dataclass(frozen=True, slots=True)
class _Said:
    """What a distribution says of itself, read once: a `Distribution` parses its file at every question."""

    about: PackageMetadata
    requires: tuple[str, ...]


def _read_once(found: Distribution) -> _Said | None:
    """None of a folder that an interrupted installation left."""
    try:
        about = found.metadata
    except FileNotFoundError:  # raised by the backport importlib_metadata alone, which answers wherever it is imported
        return None
    return _Said(about, tuple(about.get_all("Requires-Dist") or found.requires or ()))  # an egg says it elsewhere


def _found() -> dict[str, _Said]:
    """Normalised name -> what it says of itself; the first on the path, which is the one that an import takes."""
    found: dict[str, _Said] = {}
    for each in map(_read_once, distributions()):
        if each is not None and (name := _field(each, "Name")):
            found.setdefault(canonicalize_name(name), each)
    found.pop(PROJECT, None)  # the list is of what it needs
    return found


def _package(said: _Said) -> Package:
    name, version = said.about["Name"], said.about["Version"]
    if expression := _field(said, "License-Expression"):
        return Package(name, version, expression=expression)
    stated = (_field(said, "License") or "").strip()
    if stated and stated != "UNKNOWN" and len(stated) <= LONGEST_LICENCE and "\n" not in stated:
        return Package(name, version, licences=(stated,))
    classifiers = (each for each in said.about.get_all("Classifier") or () if each.startswith(LICENCE_CLASSIFIER))
    return Package(name, version, licences=tuple(dict.fromkeys(c.rpartition(" :: ")[2] for c in classifiers)))


def _field(said: _Said, name: str) -> str | None:
    # Not [name]: where the backport importlib_metadata is imported it answers, and raises KeyError.
    return next(iter(said.about.get_all(name) or ()), None)


def _versions(installed: Iterable[Package]) -> dict[str, str]:
    return {canonicalize_name(each.name): each.version for each in installed}


def _every(said: _Said) -> Iterator[tuple[str, str | None]]:
    """A distribution's requirements, those of its extras under their names."""
    extras = said.about.get_all("Provides-Extra") or ()
    for text in said.requires:
        marker = _read(text).marker if _read(text) is not None else None  # type: ignore[union-attr]
        if marker is None or marker.evaluate({"extra": ""}):
            yield text, None
        else:
            yield from ((text, extra) for extra in extras if marker.evaluate({"extra": extra}))


def _declared(by: str, needed: Iterable[tuple[str, str | None]], versions: Mapping[str, str]) -> Iterator[Declared]:
    """The requirements that hold on this machine."""
    for text, extra in needed:
        asked = _read(text)
        if asked is None:
            yield Declared(by, UNREADABLE, None, None)
        elif asked.marker is None or asked.marker.evaluate({"extra": extra or ""}):
            extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
            # An address may be a path of this machine: it stays out.
            plain = f"{asked.name}{extras}{asked.specifier}"
            yield Declared(by, plain, extra, versions.get(canonicalize_name(asked.name)))


def _read(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _name(needed: str) -> str:
    asked = _read(needed)
    return UNREADABLE if asked is None else canonicalize_name(asked.name)


def _meets(installed: str, needed: str) -> bool:
    asked = _read(needed)
    return asked is not None and asked.specifier.contains(installed, prereleases=True)
