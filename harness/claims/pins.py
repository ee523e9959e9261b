"""Which versions does a report name that cannot be installed together? Only rules that are certain.

torch and torchvision: each torchvision release requires exactly one torch release. torch 2.x goes with torchvision
0.(x + 15), torch 1.x with 0.(x + 1) from 1.4 on (both series kept the rule without exception).
"""

from __future__ import annotations

import re

from harness.claims.records import Pin, Place

_PIN = re.compile(r"^\s*[-*]?\s*`?([A-Za-z][\w.\-]*)\s*==\s*(\d[\w.+]*)`?\s*(?:#.*)?$")
_EACH = re.compile(r"(?<![\w.\-])`?([A-Za-z][\w.\-]*)(?:\[[\w,]+\])?==(\d[\w+]*(?:\.[\w+]+)*)`?")
_AROUND = re.compile(r"[\W_]*(?:(?:\w+\s+-m\s+)?(?:uv\s+)?pip3?\s+install\b)?(?:\band\b|[^\w])*", re.IGNORECASE)
_PROSE = re.compile(
    r"\b(PyTorch|torch|torchvision|fastai|NumPy|pandas|scikit-learn)\s+(\d+\.\d+(?:\.\d+)?)\b", re.IGNORECASE
)
_NAMES = {"pytorch": "torch"}
# A version that is asked for, compared with or remembered need not be the one that was used.
_NOT_USED = re.compile(
    r"\b(?:requires?|newer|later|older|since|from|until|minimum|at least|supports?|supported|compatible|"
    r"upgrad\w*|previous\w*|original\w*|introduced|deprecated|instead|et al|paper|tested with|"
    r"either|or)\b|>=|<=|≥|≤|\d\+",
    re.IGNORECASE,
)


def read_pins(text: str, place: Place) -> tuple[Pin, ...]:
    """`name==version` alone or in a list on its line, or a known package's name right before its version."""
    match = _PIN.match(text)
    if match:
        return (Pin(_name(match[1]), match[2], place),)
    listed = tuple(Pin(_name(m[1]), m[2], place) for m in _EACH.finditer(text))
    if listed and _AROUND.fullmatch(_EACH.sub("", text)):
        return listed if len({pin.name for pin in listed}) == len(listed) else ()
    found = tuple(Pin(_name(m[1]), m[2], place) for m in _PROSE.finditer(text))
    if not found or _NOT_USED.search(text):
        return ()
    return found if len({pin.name for pin in found}) == len(found) else ()  # two versions in one line: a comparison


def partner_of_torch(version: str) -> str | None:
    """The torchvision series that a torch release goes with, such as "0.24" for "2.9.1"; None where not known.

    >>> partner_of_torch("2.9.1"), partner_of_torch("1.13.1"), partner_of_torch("0.4")
    ('0.24', '0.14', None)
    """
    match = re.match(r"([12])\.(\d+)(?!\d)", version)
    if match is None or (match[1] == "1" and int(match[2]) < 4):
        return None
    return f"0.{int(match[2]) + (15 if match[1] == '2' else 1)}"


def torch_of_partner(version: str) -> str | None:
    """The torch series that a torchvision release requires.

    >>> torch_of_partner("0.14.1"), torch_of_partner("0.24.1")
    ('1.13', '2.9')
    """
    match = re.match(r"0\.(\d+)(?!\d)", version)
    if match is None or int(match[1]) < 5:
        return None
    minor = int(match[1])
    return f"2.{minor - 15}" if minor >= 15 else f"1.{minor - 1}"


def clashing_pins(pins: tuple[Pin, ...]) -> list[tuple[str, tuple[Place, ...]]]:
    """(what clashes, where) of every pair of versions that cannot be installed together."""
    found = []
    by_name: dict[str, dict[str, list[Place]]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, {}).setdefault(_release(pin.version), []).append(pin.place)
    for name, versions in by_name.items():
        distinct = [v for v in versions if not any(o != v and o.startswith(v + ".") for o in versions)]
        if len(distinct) > 1:
            places = tuple(place for v in distinct for place in versions[v])
            found.append((f"{name} is named in versions {' and '.join(distinct)}; one environment has one", places))
    for torch in by_name.get("torch", {}):
        for vision in by_name.get("torchvision", {}):
            partner = partner_of_torch(torch)
            if partner is None or re.match(re.escape(partner) + r"(\.|$)", vision):
                continue
            places = tuple(by_name["torch"][torch] + by_name["torchvision"][vision])
            wants = torch_of_partner(vision)
            required = f"; torchvision {vision} requires torch {wants}" if wants else ""
            found.append((f"torch {torch} goes with torchvision {partner}, not {vision}{required}", places))
    return found


def _name(text: str) -> str:
    name = re.sub(r"[-_.]+", "-", text.lower())
    return _NAMES.get(name, name)


def _release(version: str) -> str:
    return version.split("+")[0]
