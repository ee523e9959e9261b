"""Asks great-expectations about the table of images: in memory, without a project, a network or a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from harness.core.errors import DataError
from harness.data.expectations import Answer, Table
from harness.protocol.expectations import NUMBERS, Expectation

ROW_PLACES, OBSERVED = "unexpected_index_list", "observed_value"


def import_gx() -> Any:
    """Import great-expectations, which takes seconds: call it while something else keeps the other cores busy."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    with warnings.catch_warnings():
        # The import goes through Python's deprecated sre_* modules (GX 1.24.1 on Python 3.11).
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations
    return great_expectations


def answers(table: Table, expectations: Sequence[Expectation]) -> list[Answer]:
    """What great-expectations says of each expectation, in their order.

    Raises:
        DataError: it left one unanswered, or could not compute it.
    """
    gx = import_gx()
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig

    frame = pd.DataFrame(
        {name: pd.Series(values, dtype=float if name in NUMBERS else object) for name, values in table.items()}
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("manifest").add_dataframe_asset("images")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
    asked = [_asked(gx, each, number) for number, each in enumerate(expectations)]
    # With pyarrow installed, pandas would hand patterns to another engine, whose \w knows ASCII only. Where warnings
    # are errors, pandas' remark on a pattern with groups would end inside the library, which then names no row.
    with pd.option_context("mode.string_storage", "python"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        outcome = batch.validate(gx.ExpectationSuite(name="images", expectations=asked), result_format="COMPLETE")
    # Results come in an order of their own; `meta` carries the number of the question.
    by_number = {result.expectation_config.meta["number"]: result for result in outcome.results}
    if len(by_number) != len(expectations):
        raise DataError(
            f"great-expectations answered {len(by_number)} of {len(expectations)} expectations. "
            "Install the version that constraints.txt names."
        )
    return [_answer(by_number[number], each) for number, each in enumerate(expectations)]


def _asked(gx: Any, expectation: Expectation, number: int) -> Any:
    from great_expectations.expectations.row_conditions import Column

    name = "".join(step.capitalize() for step in expectation.type.split("_"))
    kwargs: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in expectation.kwargs.items()
    }
    if expectation.only is not None:
        kwargs["row_condition"] = Column(expectation.only.column) == expectation.only.value
    return getattr(gx.expectations, name)(**kwargs, meta={"number": number})


def _answer(result: Any, expectation: Expectation) -> Answer:
    if (result.exception_info or {}).get("raised_exception"):
        raise DataError(f"great-expectations cannot compute {expectation}: {result.exception_info}. Correct the suite.")
    found = result.result or {}
    if ROW_PLACES in found:
        return Answer(bool(result.success), tuple(sorted(found[ROW_PLACES] or ())))
    observed = found.get(OBSERVED)
    if "_distinct_values_" in expectation.type:
        observed = found.get("unexpected_count", 0) + found.get("missing_count", 0)
    return Answer(bool(result.success), observed=None if observed is None else float(observed))
