"""What can go wrong, as types. Every message says what was wrong, where, and what to do."""

from __future__ import annotations


class HarnessError(Exception):
    """Base of every error the harness raises on purpose; its text is meant for a person."""


class ProtocolError(HarnessError, ValueError):
    """The protocol file does not say what a protocol must say."""


class DataError(HarnessError, ValueError):
    """The images or their manifest cannot be used as they are."""


class MissingData(DataError, FileNotFoundError):
    """A folder or file that the run was told to read is not there."""


class InvalidSplit(DataError):
    """A split that does not fit the images: leaked, missing, duplicated or foreign rows."""


class InvalidPredictions(HarnessError, ValueError):
    """Predictions that are not probabilities, or that do not fit the cells they speak of."""


class IncomparableSets(HarnessError, ValueError):
    """Two runs that cannot be compared: their cells, labels or classes differ."""


class UndefinedStatistic(HarnessError, ArithmeticError):
    """A number that does not exist for these counts, such as the recall of a class with no cells."""


class WeightsError(HarnessError, ValueError):
    """Pretrained weights or a model file that is absent, altered, unsafe or of the wrong shape."""


class CommandError(HarnessError, RuntimeError):
    """A command that was to be judged cannot be started, does not keep to the line protocol, or came to an end."""


class TrainingError(HarnessError, RuntimeError):
    """Training cannot start, or produced a loss that is not a number."""


class DeviceUnavailable(HarnessError, RuntimeError):
    """The device that was asked for does not exist on this machine."""


class EngineUnavailable(HarnessError, RuntimeError):
    """The engine that the protocol names is not installed, or does not compute this network on this device."""


class WorkersError(HarnessError, RuntimeError):
    """The workers of `--engine dask` cannot be reached, are not what this run is, or are gone."""


class StoreError(HarnessError, RuntimeError):
    """The folder of kept stage results cannot be used."""


class EvidenceError(HarnessError, RuntimeError):
    """An evidence pack cannot be written whole, or does not verify.

    file: the one of the pack that is at fault, where it is a single one.
    """

    file: str | None = None


class BrokenPromise(HarnessError, TypeError):
    """A metric gave an estimate that its entry in the table of metrics does not allow."""


class InvalidCard(HarnessError, ValueError):
    """A model card that contradicts itself, or a classifier that does not do what its card says."""


class NotApplicable(HarnessError, LookupError):
    """Something was asked of a classifier that it cannot do, and that nobody need ask of it."""
