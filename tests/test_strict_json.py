"""JSON from outside is read in one way only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.strict_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=VALUES)
def test_what_json_writes_is_read_back(value):
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": 1, "a": 1}', "the key 'a' is there twice"),
        ('[{"b": {"a": 1, "a": 2}}]', "the key 'a' is there twice"),
        ("[NaN]", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("[" * 100_000, "nested too deep"),
        (b"\xff", "utf-8"),
        ('"a"'.encode("utf-16"), "utf-8"),
        ("", "Expecting value"),
        ("[1] 2", "Extra data"),
    ],
)
def test_a_text_with_two_meanings_or_none_is_refused(content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(content)
