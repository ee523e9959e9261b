"""Is the file that is handed on the classifier that was judged?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("export")
def test_the_exported_file_says_what_was_judged(verdict):
    """F8: classifier.onnx, opened without torch, predicts every judged cell alike."""
    assert verdict.passed, explain(verdict)
