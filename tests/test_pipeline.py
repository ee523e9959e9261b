"""The fixtures' own work: where the sets come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.pipeline import _drawn
from harness.core.progress import silent
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.datasets import SyntheticPlan
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.store import Store


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    whole = read_protocol(DEFAULT_PROTOCOL)
    few = whole.dataset.model_copy(update={"synthetic": SyntheticPlan(seed=1, images_per_class=2, size_px=32)})
    return whole.model_copy(update={"dataset": few})


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.png")}


def test_a_run_that_is_killed_while_it_draws_goes_on_with_the_set_it_was_at(protocol: Protocol, tmp_path: Path):
    class Killed(BaseException):
        pass

    def progress(label: str, done: int, total: int, detail: str) -> None:
        if done == 1:  # the dataset is drawn, the first external set is next
            raise Killed

    whole = _drawn(protocol, Store(tmp_path / "whole", fresh=False), 1, silent, {})
    with pytest.raises(Killed):
        _drawn(protocol, Store(tmp_path / "killed", fresh=False), 1, progress, {})
    resumed = _drawn(protocol, Store(tmp_path / "killed", fresh=False), 1, silent, {})
    assert files(resumed.data.parent) == files(whole.data.parent)
    assert resumed.synthetic == {"dataset", "second_laboratory", "nine_monocytes"}


def test_two_external_sets_never_show_the_same_cells(protocol: Protocol, tmp_path: Path):
    places = _drawn(protocol, Store(tmp_path, fresh=False), 1, silent, {})
    sets = [set(files(folder).values()) for folder in (places.data, *places.external.values())]
    assert sum(map(len, sets)) == len(set().union(*sets))


def test_a_set_that_the_command_line_names_takes_the_place_of_the_drawn_one(protocol: Protocol, tmp_path: Path):
    named = {"nine_monocytes": tmp_path / "mine"}
    places = _drawn(protocol, Store(tmp_path / "store", fresh=False), 1, silent, named)
    assert places.external["nine_monocytes"] == tmp_path / "mine"
    assert "nine_monocytes" not in places.synthetic
