"""What an auditor asks of a study and no image answers: who uses it, whose cells they are, who labelled them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.protocol.record import NOT_FIXED, Record

Said = Annotated[str | None, NOT_FIXED, Field(min_length=3, exclude_if=lambda said: said is None)]


class StudyPlan(Record):
    """What the report tells of the study, in the protocol's own words, or says to be missing. It judges nothing.

    user:         who is meant to use the classifier, and for what decision.
    operator:     who takes and loads the images, and what they must know.
    exclusions:   which images, cells or patients it is not for.
    source:       where the images come from: laboratory, study, publication.
    licence:      under which licence or agreement they are used.
    collected:    when they were taken.
    device:       microscope, camera or analyser.
    stain:        stain and how the films were made.
    labelled_by:  who gave the reference labels.
    readers:      how many read each cell.
    blinding:     what the readers did not know.
    disagreement: how the readers' disagreement was settled.
    funding:      who paid, and which interests are declared.
    sign_off:     who answers for the report, by name and role.
    """

    user: Said = None
    operator: Said = None
    exclusions: Said = None
    source: Said = None
    licence: Said = None
    collected: Said = None
    device: Said = None
    stain: Said = None
    labelled_by: Said = None
    readers: Said = None
    blinding: Said = None
    disagreement: Said = None
    funding: Said = None
    sign_off: Said = None

    def said(self) -> dict[str, str]:
        """Key -> what is stated, of those that are."""
        return {key: text for key, text in self.model_dump().items() if text is not None}
