"""What is in an evidence pack? Every file and every field of evidence.json in words: docs/pack-schema.md.

What a field's entries hold is read off the records that are written there; tests hold the rest to packs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pkgutil import resolve_name

from harness.data.split import COLUMNS as SPLIT_COLUMNS
from harness.pack.tables import MANIFEST_COLUMNS, SCHEMA

PREDICTION_COLUMNS = ("sha256", "path", "label", "predicted", "p_<class>, one for each class")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a pack, or many of one kind.

    path:    in the pack; what stands in <> is a name.
    what:    is in it, and where it is missing from a pack, why.
    columns: of a CSV file.
    """

    path: str
    what: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field at the top of evidence.json.

    kind: of its value.
    keys: what the value, or each entry of it, holds: names, or the record "module:name" whose fields they are.
    """

    name: str
    kind: str
    what: str
    keys: str | tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """The keys by name."""
        return tuple(each.name for each in fields(resolve_name(self.keys))) if isinstance(self.keys, str) else self.keys


FILES = (
    File("index.html", "the report: one file, no script, nothing loaded from outside"),
    File("summary.md", "the same in a few lines, for the page of a CI job"),
    File("evidence.json", "every verdict with what it rests on, and the identity of all that was used: see below"),
    File("junit.xml", "a test case for each verdict; a failure or an error exactly where it blocks the run"),
    File(
        "manifest.csv",
        "every image of the dataset, and a column for each `[dataset.columns.slices]`; missing where the run stopped "
        "before it was listed",
        MANIFEST_COLUMNS,
    ),
    File("data_split.csv", "which image is in which part; a later run takes it with `--split`", SPLIT_COLUMNS),
    File("predictions/<set>.csv", "every probability at full precision, one row for each cell", PREDICTION_COLUMNS),
    File(
        "predictions/seeds/test_<seed>.csv",
        "the test part by the classifier of each training seed, where there are several",
        PREDICTION_COLUMNS,
    ),
    File(
        "predictions/corrupted/<kind>.csv",
        "the test part with this corruption at its agreed severity",
        PREDICTION_COLUMNS,
    ),
    File(
        "predictions/adapted/<set>.csv",
        "an external set by the classifier that was adapted to it, without the cells that it was adapted with",
        PREDICTION_COLUMNS,
    ),
    File(
        "predictions/drawn/<set>.csv",
        "the cells that it was adapted with, by the classifier before",
        PREDICTION_COLUMNS,
    ),
    File(
        "predictions/unknown/<set>.csv",
        "cells of classes that the classifier does not know; a column of zeros for each kind of them",
        PREDICTION_COLUMNS,
    ),
    File("predictions/baseline/<set>.csv", "the baseline's, of each set that was compared", PREDICTION_COLUMNS),
    File(
        "predictions/baseline/corrupted/<kind>.csv",
        "the baseline's, of the test part with this corruption",
        PREDICTION_COLUMNS,
    ),
    File("predictions/given/<file>", "each file of `--predictions` as it was read"),
    File("metrics/metrics_<set>.json", "every metric of the set with k, n and bounds; what is undefined is null"),
    File(
        "metrics/confusion_matrix_<set>.csv",
        "counts, a row for each reference label",
        ("reference \\ predicted", "<class>, one for each class"),
    ),
    File("metrics/classification_report_<set>.txt", "the table that scikit-learn's users know"),
    File(
        "label_suspects.csv",
        "labels that somebody should look at again, worst first in each set; none is removed",
        ("set", "rank", "path", "sha256", "label", "suggested", "confident", "p_label", "p_suggested"),
    ),
    File(
        "ledger.jsonl", "every recorded look, a line each, chained by hashes; missing where nothing was ever looked at"
    ),
    File("claims.json", "what the claims audit says of this very report"),
    File("sbom.cdx.json", "what was installed, and the model, as CycloneDX 1.6"),
    File("figures/<figure>.png", "the report's drawings; none with `[report] figures = false`"),
    File("figures/<figure>.webp", "the report's figures that show photographs; none where no picture may be shown"),
    File("models/best_model_<phase>.pth", "the weights of each phase of the training; none where nothing was trained"),
    File("models/classifier.safetensors", "the trained classifier: tensors and text, which can run nothing"),
    File("models/classifier.onnx", "the trained classifier as a graph that says of itself how it is asked"),
    File("models/export.pkl", "the trained classifier for fastai's `load_learner`: a pickle, see above"),
    File("SHA256SUMS", "the digest of every other file but the signatures, as `sha256sum -c` reads it"),
    File("signature.dsse.json", "signs `SHA256SUMS`; only in a pack that was signed"),
    File("test-result.dsse.json", "an in-toto test result, signed; only in a pack that was signed"),
    File("model.sig", "signs `models/` for model_signing; only where an ECDSA key signed a pack that holds models"),
)

STATED = ("digest", "n")
COMPARED = (
    *("baseline", "table", "n_changed", "relabelled", "mcnemar_p", "mcnemar_mid_p", "accuracy_difference"),
    *("recall_difference", "brier_difference", "discordant", "predictions"),
)
FIELDS = (
    Field("schema", "text", f"the version of this form: `{SCHEMA}`"),
    Field(
        "run",
        "table",
        "which run this is, and whether it passed; `stopped_because` is the error that ended it early, or null",
        ("id", "started_at", "seconds", "command", "passed", "stopped_because"),
    ),
    Field("protocol", "table", "the protocol with all that it extends, and its digest", ("digest", "content")),
    Field("environment", "table: name to text", "versions, commit, processor, device, thread count and the like"),
    Field(
        "packages",
        "table",
        "what was declared, and what of it was installed otherwise",
        ("declared_in", "requirements", "tried_in", "untried", "unlisted", "conflicts", "unsatisfied"),
    ),
    Field(
        "proof", "table", "what became of the planted faults, where somebody planted them", "harness.judge.proofs:Proof"
    ),
    Field("signed_with", "text", "the id of the key that signs the pack as it is written; null for a draft"),
    Field("sets", "list of tables", "each dataset and external set, absent ones too", "harness.run.results:SetSummary"),
    Field(
        "integrity",
        "table",
        "what was found about the images",
        ("checked", "findings", "undecodable", "expectations"),
    ),
    Field("ignored", "list of text", "files beside the images, which were not read"),
    Field("split", "table", "where the split is from, and its sizes", ("digest", "origin", "source", "sizes")),
    Field("training", "table", "how the classifier was trained", "harness.model.records:TrainingRecord"),
    Field("model", "table", "the classifier that existed and was judged", "harness.model.records:JudgedModel"),
    Field(
        "given",
        "table",
        "the predictions that existed and were judged",
        "harness.data.prediction_records:GivenPredictions",
    ),
    Field("parity", "table", "what `classifier.onnx` says of judged cells", "harness.metrics.parity:Parity"),
    Field(
        "reproducibility",
        "list of tables",
        "digests of the same short training in several processes",
        "harness.metrics.reproducibility:ProcessDigests",
    ),
    Field("predictions", "table by set", "which file of predictions it is", (*STATED, "groups", "columns")),
    Field("metrics", "list of text", "metrics that are reported of every set beside the usual ones"),
    Field(
        "evaluations",
        "table by set",
        "what stands in `metrics/metrics_<set>.json`",
        ("n", "independence", "classes", "confusion", "accuracy", "macro_f1", "summary", "per_class", "reported"),
    ),
    Field("timings", "list of tables", "each timed scenario, sample by sample", "harness.model.records:Timing"),
    Field(
        "stages",
        "list of tables",
        "what the run was made of, and what was kept from before",
        "harness.run.store:StageRecord",
    ),
    Field(
        "verdicts",
        "list of tables",
        "one for each criterion",
        (
            *("criterion", "outcome", "required", "reason", "n_to_decide", "power", "assumed", "gate", "look"),
            *("not_asked", "unavailable", "waiver", "estimate"),
        ),
    ),
    Field("cannot_pass", "table: criterion to text", "why it could not pass whatever the classifier does"),
    Field(
        "chances",
        "table",
        "how likely a pass was at the truth that `[plan]` hopes for",
        "harness.judge.chances:Chances",
    ),
    Field("rules", "table", "by which the judge judged", "harness.judge.rules:Rules"),
    Field(
        "uncompared",
        "list of tables",
        "pictures too small or smooth to be compared but by their pixels",
        "harness.data.leakage:ListedImage",
    ),
    Field(
        "duplicates",
        "list of tables",
        "pictures that are in two places; null where nobody looked",
        "harness.data.leakage:DuplicatePair",
    ),
    Field(
        "shortcuts",
        "table",
        "what can be guessed of a class without seeing the cell",
        "harness.metrics.shortcuts:ShortcutReport",
    ),
    Field(
        "provenance",
        "table by set",
        "where each external set is from, beside the dataset",
        "harness.metrics.provenance_records:Provenance",
    ),
    Field(
        "explanations",
        "table",
        "of the cells that the page pictures: saliency, and the nearest training cells",
        "harness.metrics.explanations:Explanations",
    ),
    Field("robustness", "table", "disturbed, turned and empty pictures", "harness.metrics.stability:Robustness"),
    Field("fits", "list of tables", "everything that was fitted, and on which cells", "harness.metrics.fits:Fit"),
    Field("looks", "table: set to number", "the number of this look at the set"),
    Field("ledger", "table", "how long the ledger was, and its last hash", ("entries", "head")),
    Field("custody", "table", "what could have had a hand in the run", "harness.run.custody:Custody"),
    Field(
        "rescored", "table", "a few judged cells, scored again when the run ended", "harness.judge.rescored:Rescored"
    ),
    Field("contradictions", "list of text", "each of these that got another answer"),
    Field(
        "known_chains",
        "list of tables",
        "chains of looks that the ledger had to continue",
        "harness.judge.continuity:KnownChain",
    ),
    Field(
        "dropped",
        "list of tables",
        "pictures of looks at drawn parts that are gone from the dataset",
        "harness.judge.dropped:Dropped",
    ),
    Field(
        "changes",
        "list of tables",
        "what moved in the protocol or in labels since the first look, declared or not",
        "harness.judge.amended:Change",
    ),
    Field(
        "relabelled",
        "list of tables",
        "cells whose label was another one before",
        "harness.judge.relabelled:Relabelled",
    ),
    Field(
        "seeds",
        "table by seed",
        "which file of predictions it is, and how many are right",
        ("predictions", "correct", "n"),
    ),
    Field(
        "baseline",
        "table",
        "the run that was compared with",
        ("run", "passed", "commit", "protocol", "sums", "check", "rest", "margins"),
    ),
    Field("comparisons", "table by set", "candidate and baseline, cell by cell", (*COMPARED, "groups")),
    Field(
        "adaptations",
        "table by set",
        "the classifier adapted to an external set",
        ("method", "scores", "notes", "adapted", "drawn"),
    ),
    Field("unknown", "table by set", "cells of classes that it does not know", (*STATED, "kinds", "groups", "columns")),
    Field("corrupted", "table by kind", "which file of predictions it is", STATED),
    Field("corrupted_comparisons", "table by kind", "candidate and baseline on corrupted cells", COMPARED),
    Field(
        "calibrations",
        "table by set",
        "temperature, calibration error, conformal sets, risk against coverage",
        "harness.metrics.calibration_records:CalibrationReport",
    ),
    Field("documents", "table: file to number", "in which form these files are written"),
    Field("page", "table by section", "numbers that the page prints and nothing else records"),
    Field("renderer", "table", "what printed the page", ("digest", "version")),
)

HEADER = """# The evidence pack

Made by `python -m harness schema --pack`; a test holds this page current, and holds it to packs.

A run writes `reports/<run>/` whole or not at all, and one run at a time writes to a `--reports` folder.
`reports/latest` points to the newest, `reports/index.html` tells of all. Three packs lie in the repository, without
their models: `reports/reference`, of the embedded run, and on real images `reports/leukocyte-reference`
([reference-run.md](reference-run.md)) and `reports/leukocyte-efficientnet-128`
([efficientnet-run.md](efficientnet-run.md)). `python -m harness verify PACK` takes a folder or a zip of it, makes every
number again that can be, and names the rest.

`export.pkl` opens with fastai's plain `load_learner` and holds no class of this project; it is a pickle, so open only
one whose digest you trust. `--model=reports/latest/models/classifier.safetensors` needs no trust.

Images, tables, protocols, packs and reports that come from others are treated as hostile:
[hostile-files.md](hostile-files.md).

## Files
"""
EVIDENCE_HEADER = """
## evidence.json

Strict JSON in UTF-8: a number that is not finite is null, and what cannot be seen is written as its escape. Fractions
are in 0 to 1, times in seconds. A field whose stage did not run is null or empty; packs of an older harness lack some,
and are read all the same. The last column names what the value holds, or each entry of it.
"""


def contents_page() -> str:
    """Markdown: every file of a pack, and every field at the top of its evidence.json."""
    parts = [HEADER, "| file | what is in it | columns |\n|---|---|---|"]
    parts += [f"| `{each.path}` | {each.what} | {_quoted(each.columns)} |" for each in FILES]
    parts += [EVIDENCE_HEADER, "| field | kind | what it says | holds |\n|---|---|---|---|"]
    parts += [f"| `{each.name}` | {each.kind} | {each.what} | {_quoted(each.held)} |" for each in FIELDS]
    return "\n".join(parts) + "\n"


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
