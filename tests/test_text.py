"""Text from outside is short and whole where it may be, and what was left out is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.core.text import brief, first_few, shortened


@given(text=st.text(max_size=40), most=st.integers(3, 40))
def test_a_shortened_text_is_the_text_or_its_beginning(text, most):
    short = shortened(text, most)
    assert len(short) <= most
    assert short == text if len(text) <= most else text.startswith(short.removesuffix("..."))


def test_a_brief_value_shows_what_it_is():
    assert brief("a" * 200) == "'" + "a" * 76 + "..."
    assert brief({"a": "\n"}) == r"{'a': '\n'}"


@given(items=st.lists(st.integers()), most=st.integers(1, 10))
def test_the_entries_shown_and_the_number_left_out_add_up(items, most):
    shown = first_few(items, most, more="and {n} more")
    listed = [each for each in shown if not each.startswith("and ")]
    n_left_out = int(shown[-1].split()[1]) if len(listed) < len(shown) else 0
    assert listed == [str(each) for each in items[:most]]
    assert len(listed) + n_left_out == len(items)
