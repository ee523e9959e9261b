"""Pictures of cells leave the building only where the protocol lets them: `[report] images`."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from example_run import A_FIGURE, example_pixels, example_run, unread_run
from test_figures import EVERY_FIGURE
from test_verify import mend_sums
from tiny_run import Pytest

from harness.cli import main
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.reporting import ReportPlan
from harness.report.figures import draw_figures, draw_thumbnails, images_to_show
from harness.run.results import RunResults

OF_ANY_CELL = {"sample_images", "correct_predictions_test", "disturbances"}
OF_ERRORS = {"incorrect_predictions_test"}


def showing(images: str) -> RunResults:
    run = example_run()
    return dataclasses.replace(run, protocol=run.protocol.model_copy(update={"report": ReportPlan(images=images)}))  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_pictures_no_cell_is_decoded_and_no_figure_is_made_of_cells():
    run, usual = showing("none"), showing("all")
    assert images_to_show(run) == ()
    pixels = example_pixels(images_to_show(usual))
    assert set(draw_figures(run, {})) == set(draw_figures(usual, pixels)) - OF_ANY_CELL - OF_ERRORS


@pytest.mark.slow
def test_errors_alone_are_those_that_the_page_names():
    run, usual = showing("errors"), showing("all")
    shown = images_to_show(run)
    assert set(shown) < set(images_to_show(usual))
    test = run.predictions["test"]
    right = {test.digests[row] for row in range(len(test.digests)) if test.correct[row]}
    suspected_or_discordant = set(draw_thumbnails(run, example_pixels(shown)))
    assert set(shown) & right <= suspected_or_discordant
    assert {each for each in test.digests if each not in right} <= set(shown)
    assert set(draw_figures(run, {})) == set(draw_figures(usual, {})) - OF_ANY_CELL


def test_a_protocol_that_says_nothing_keeps_its_digest():
    assert showing("all").protocol.digest == example_run().protocol.digest != showing("none").protocol.digest


def test_a_run_may_draw_nothing_and_says_so(cold: tuple[subprocess.CompletedProcess[str], Path]):
    pack = cold[1]
    assert not (pack / "figures").exists()
    page = (pack / "index.html").read_text()
    assert "[report] figures = false" in page
    assert 'class="thumb"' in page
    assert main(["verify", str(pack)]) == 0


@pytest.mark.parametrize("images", ["all", "none"])
def test_a_run_shows_what_its_protocol_allows_and_its_pack_holds(
    cold: tuple[subprocess.CompletedProcess[str], Path], place: Path, tiny: Pytest, images: str
):
    (place / "shown.toml").write_text(
        f'extends = "{place / "tiny.toml"}"\n[identity]\nid = "{images}"\n'
        f'[report]\nimages = "{images}"\nfigures = true\n'
    )
    done = tiny(f"--protocol={place / 'shown.toml'}")
    pack = (place / "reports" / "latest").resolve()
    page = (pack / "index.html").read_text()
    drawn = {each.stem for each in (pack / "figures").iterdir()}
    assert EVERY_FIGURE - drawn == (set() if images == "all" else (OF_ANY_CELL | OF_ERRORS) & EVERY_FIGURE)
    assert ('class="thumb"' in page) == (images == "all")
    said = f"[report] images = &#34;{images}&#34;" in page or f'[report] images = "{images}"' in page
    assert said == (images == "none"), done.stdout
    assert main(["verify", str(pack)]) == 0


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        ({"images": "all"}, set()),
        ({"images": "errors"}, {"sample_images"}),
        ({"images": "none"}, {"sample_images", "incorrect_predictions_test"}),
        ({"figures": False}, {"sample_images", "incorrect_predictions_test", "class_distribution"}),
    ],
)
def test_a_figure_that_the_protocol_lets_out_nowhere_is_found_in_a_pack(tmp_path, monkeypatch, plan, refused):
    names = ("sample_images", "incorrect_predictions_test", "class_distribution")
    monkeypatch.setattr(
        "harness.report.figures.draw_figures", lambda run, images: dict.fromkeys(names, b"\x89PNG\r\n\x1a\n")
    )
    run = unread_run()
    protocol = run.protocol.model_copy(update={"report": ReportPlan(**plan)})
    run = dataclasses.replace(run, protocol=protocol)
    pack = write_pack(run, reports=tmp_path, manifest=None, models={}, formats=("PNG",))
    found = {each.file for each in verify_pack(pack).discrepancies if "no file of this protocol" in each.message}
    assert found == {f"figures/{name}.png" for name in refused}


@pytest.mark.parametrize("images", ["all", "none"])
@pytest.mark.parametrize("name", ["a_face.png", "risk_coverage_of_nobody.webp", "training_loss_phase9.png"])
def test_a_figure_that_this_run_could_not_draw_is_found_whatever_it_is_called(tmp_path, images, name):
    pack = pack_with(tmp_path, images, {name: A_FIGURE["class_distribution"]})
    said = [each.message for each in verify_pack(pack).discrepancies if each.file == f"figures/{name}"]
    assert any("it was added after the run" in each for each in said), said


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("class_distribution.png", b"\x89PNG\r\n\x1a\n", False),
        ("class_distribution.webp", b"RIFF\0\0\0\0WEBP", False),
        ("class_distribution.png", b"RIFF\0\0\0\0WEBP", True),
        ("class_distribution.webp", b"%PDF-1.7", True),
    ],
)
def test_a_figure_is_what_its_name_ends_in(tmp_path, name, content, wrong):
    found = verify_pack(pack_with(tmp_path, "all", {name: content})).discrepancies
    assert any("as its name says" in each.message for each in found if each.file == f"figures/{name}") is wrong


def pack_with(reports: Path, images: str, figures: dict[str, bytes]) -> Path:
    """A pack of a run that read nothing, in which these files lie beside its figures, with their sums."""
    run = unread_run()
    protocol = run.protocol.model_copy(update={"report": ReportPlan(images=images)})  # type: ignore[arg-type]
    run = dataclasses.replace(run, protocol=protocol)
    pack = write_pack(run, reports=reports, manifest=None, models={}, formats=("PNG",))
    (pack / "figures").mkdir(exist_ok=True)
    for name, content in figures.items():
        (pack / "figures" / name).write_bytes(content)
    mend_sums(pack)
    return pack
