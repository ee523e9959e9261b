"""Jobs on a protocol: metrics, schema, init, plan, pin."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.jobs.common import DOES_NOT_HOLD, HOLDS, PROGRAM, RUN, print_line, program

if TYPE_CHECKING:
    from harness.jobs.common import Parsers


def register_metrics(jobs: Parsers) -> None:
    parser = jobs.add_parser("metrics", help="which metrics can a criterion be on? (the text of docs/metrics.md)")
    parser.set_defaults(run=_run_metrics)


def _run_metrics(asked: argparse.Namespace) -> int:
    from harness.metrics.documentation import metrics_page

    print_line(metrics_page().rstrip("\n"))
    return HOLDS


def register_init(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "init",
        help="draft a protocol for a folder of images, and say what the images cannot tell",
        description="Looks at a folder with one sub-folder for each class, or with train, validation and test folders "
        "above those. Writes a commented protocol; where the folders' names do not say it all, the protocol does. "
        "Changes nothing in the folder.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the images")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the protocol (default: NAME-OF-DIR.toml here)")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run_init)


def _run_init(asked: argparse.Namespace) -> int:
    from harness.core.places import INSTALLED
    from harness.core.threads import available_cores
    from harness.data.survey import survey
    from harness.drafting import CELLS_ARE, TOO_FEW, draft, out_of_reach, write_draft

    found = survey(asked.folder, workers=available_cores())
    out: Path = asked.out or Path(f"{found.root.resolve().name}.toml")
    made = draft(found, out=out)
    protocol, replaced = write_draft(made, out=out, force=asked.force)
    hopeless = out_of_reach(made, protocol)
    if asked.json:
        said = {
            "protocol": str(out),
            "replaced": replaced,
            "data": str(found.root),
            "counts": found.counts,
            "criteria": len(protocol.criteria),
            "unknown": made.unknown,
            "cannot_pass": hopeless,
        }
        print_line(json.dumps(said, indent=2))
        return HOLDS
    print_line(f"{found.root}: {len(found.images):,} images of {len(found.classes)} classes")
    print_line(f"protocol: {out}, {len(protocol.criteria)} criteria")
    if replaced:
        print_line(f"replaced: {out}, which was there before")
    print_line("What the images could not tell, and you are to state or know:")
    for each in made.unknown:
        print_line(f"- {each}")
    if hopeless:
        print_line(TOO_FEW)
        for each in (*hopeless, CELLS_ARE):
            print_line(f"- {each}")
    options = f"--protocol={shlex.quote(str(out))} --data={shlex.quote(str(found.root))}"
    print_line(f"next: {PROGRAM if INSTALLED else program()} {RUN} {options}")
    return HOLDS


def register_plan(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "plan",
        help="what are the chances of passing, before anything is trained, and what cannot pass?",
        description="At the truth that the protocol hopes for ([plan]): the chance of each criterion that rests on a "
        "confusion matrix, of all required ones together, and the number of cells for 80 %. Names what cannot pass and "
        "what has no model. 1: a required criterion cannot pass, whatever the classifier does.",
    )
    parser.add_argument("protocol", type=Path, metavar="PROTOCOL", help="TOML file, or the name of a shipped protocol")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="as a run takes it; without it, as many cells as the protocol states"
    )
    parser.add_argument(
        "--as-listed",
        action="store_true",
        help="count every file of --data and decode none: copies, of which a run counts one, are not searched for",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=_run_plan)


def _run_plan(asked: argparse.Namespace) -> int:
    from harness.core.progress import TerminalProgress
    from harness.core.threads import available_cores
    from harness.planning import as_record, lines, plan
    from harness.protocol.file import read_protocol

    protocol, told = read_protocol(asked.protocol), TerminalProgress(sys.stderr, live=sys.stderr.isatty())
    try:
        found = plan(
            protocol,
            asked.data,
            today=datetime.now(UTC).date(),
            workers=available_cores(),
            progress=told,
            once=not asked.as_listed,
        )
    finally:
        told.close()
    if asked.json:
        print_line(json.dumps(as_record(found), indent=2))
    else:
        for line in lines(found):
            print_line(line)
    return DOES_NOT_HOLD if found.hopeless else HOLDS


def register_pin(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "pin",
        help="which digest pins these images and labels, and which of them differ from those of a pack?",
        description="Prints what `digest` of [dataset] and of each [[external]] set has to say so that a run on other "
        "images or labels fails. File names and locations do not matter. 1: the protocol pins another digest, "
        "or images differ from those of the pack.",
    )
    parser.add_argument("protocol", type=Path, metavar="PROTOCOL", help="TOML file, or the name of a shipped protocol")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="as a run takes it")
    parser.add_argument(
        "--external", action="append", default=[], metavar="NAME=DIR", help="a set that lies elsewhere (repeatable)"
    )
    parser.add_argument("--against", type=Path, metavar="PACK", help="names every image that differs from this pack's")
    parser.add_argument("--json", action="store_true", help="print the pins as JSON, with every difference")
    parser.set_defaults(run=_run_pin)


def _run_pin(asked: argparse.Namespace) -> int:
    from harness.core.threads import available_cores
    from harness.pinning import as_record, lines, pins
    from harness.protocol.file import read_protocol

    elsewhere = {name: Path(folder) for name, _, folder in (each.partition("=") for each in asked.external)}
    found = pins(read_protocol(asked.protocol), asked.data, elsewhere, against=asked.against, workers=available_cores())
    if asked.json:
        print_line(json.dumps(as_record(found), indent=2))
    else:
        for line in lines(found):
            print_line(line)
    return HOLDS if all(each.holds for each in found) else DOES_NOT_HOLD


def register_schema(jobs: Parsers) -> None:
    parser = jobs.add_parser("schema", help="which keys can a protocol have? (a JSON Schema for editors)")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--page", action="store_true", help="print docs/protocol-keys.md, the same for people")
    either.add_argument("--pack", action="store_true", help="print docs/pack-schema.md: what an evidence pack holds")
    parser.set_defaults(run=_run_schema)


def _run_schema(asked: argparse.Namespace) -> int:
    if asked.pack:
        from harness.pack.contents import contents_page

        print_line(contents_page().rstrip("\n"))
        return HOLDS
    from harness.protocol.schema import keys_page, protocol_schema

    print_line(keys_page().rstrip("\n") if asked.page else json.dumps(protocol_schema(), indent=2))
    return HOLDS
