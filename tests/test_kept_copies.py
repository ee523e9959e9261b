"""The pairs that a search found come back from disk as they were; another picture, label or rule asks for another."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from harness.core.progress import silent
from harness.data.inspection import Inspected, hash_images, inspect_files
from harness.data.leakage import find_duplicates, unsearchable
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.protocol.datasets import ImageRules
from harness.run.recipes.copies import CopySearch, read_copies

RULES = ImageRules(formats=("PNG",), min_side_px=1, max_side_px=200)


@pytest.fixture(scope="module")
def sets(smears: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """The drawn cells, and elsewhere a turned one, a copy of one under another label and a blank one."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    first, second = sorted(smears.glob("basophil/*"))[:2]
    for label in ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"):
        (elsewhere / label).mkdir()
    Image.open(first).rotate(90).save(elsewhere / "basophil" / "turned.png")
    shutil.copy(second, elsewhere / "eosinophil" / "other label.png")
    Image.new("RGB", (48, 48), "white").save(elsewhere / "monocyte" / "blank.png")
    classes = tuple(sorted(folder.name for folder in elsewhere.iterdir()))
    return {
        name: read_manifest(root, name=name, classes=classes, workers=1)
        for name, root in (("dataset", smears), ("elsewhere", elsewhere))
    }


def search(sets: dict[str, Manifest], *, workers: int = 1) -> CopySearch:
    def look(name: str) -> tuple[Inspected, ...]:
        return inspect_files(sets[name].images, sets[name].root, rules=RULES, workers=workers)

    return CopySearch(sets, dict.fromkeys(sets, RULES), workers, look)


def test_what_was_kept_is_what_was_found(sets: dict[str, Manifest], tmp_path: Path):
    hashes = [
        hash_images(found.images, found.root, set_name=name, rules=RULES, workers=1, progress=silent)
        for name, found in sets.items()
    ]
    search(sets, workers=2).make(tmp_path, silent)
    kept = read_copies(tmp_path)
    assert kept.pairs == find_duplicates(hashes, workers=1)
    assert kept.unsearchable == unsearchable(hashes)
    assert {"turned.png", "other label.png"} <= {Path(pair.second.path).name for pair in kept.pairs}
    assert [Path(each.path).name for each in kept.unsearchable] == ["blank.png"]


def test_the_key_follows_content_place_label_and_rule_and_nothing_else(sets: dict[str, Manifest], tmp_path: Path):
    base, found = search(sets).made_of(), sets["elsewhere"]
    moved = replace(found, root=tmp_path)
    assert search({**sets, "elsewhere": moved}, workers=7).made_of() == base
    cell = found.images[0]
    others = [
        replace(found, images=(replace(cell, sha256="0" * 64), *found.images[1:])),
        replace(found, images=(replace(cell, label="monocyte"), *found.images[1:])),
        replace(found, images=(replace(cell, path="basophil/renamed.png"), *found.images[1:])),
        replace(found, images=found.images[1:]),
    ]
    keys = [search({**sets, "elsewhere": other}).made_of() for other in others]
    keys.append(search({"dataset": sets["dataset"], "another name": found}).made_of())
    keys.append(replace(search(sets), rules={**dict.fromkeys(sets, RULES), "elsewhere": replace_rules()}).made_of())
    assert all(key != base for key in keys)


def replace_rules() -> ImageRules:
    return RULES.model_copy(update={"max_side_px": 100})
