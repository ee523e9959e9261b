"""Did the training do what the protocol says, and is the exported model the one that it made?"""

import pytest

from harness.judge.criteria import explain


@pytest.mark.criteria("training")
def test_the_training_kept_to_the_protocol(verdict):
    """F1 frozen phase, F2 epochs, F3 patience, F4 learning rate, F5 export, F6 train-validation gap, F7 fits."""
    assert verdict.passed, explain(verdict)
