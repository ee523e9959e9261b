"""Which classifier answers: the one of a training, or the one that was given. Both doors are opened here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.model.classifier import Classifier, Machine, refuse_wrong_card
from harness.model.engines import answered_by
from harness.model.given import GivenClassifier
from harness.model.records import ModelCard
from harness.model.trained import card_of, open_trained

# What opens and asks a given file of any format: the recipes import no format. What a command answers is never kept.
OPENS = ("harness.model.model_file",)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A classifier that is opened when it is first asked for an answer.

    found: the folder of its training, or the classifier that was given.
    """

    found: Path | GivenClassifier
    machine: Machine

    @property
    def card(self) -> ModelCard:
        card = card_of(self.found) if isinstance(self.found, Path) else self.found.card
        return answered_by(card, self.machine)

    def open(self) -> Classifier:
        """
        Raises:
            InvalidCard: it does not offer what its card says.
            EngineUnavailable: the protocol's engine does not compute it here.
        """
        found, machine = self.found, self.machine
        opened: Classifier = open_trained(found, machine) if isinstance(found, Path) else found.open(machine)
        refuse_wrong_card(opened)
        return opened
