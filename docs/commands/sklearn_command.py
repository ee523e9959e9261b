"""A scikit-learn classifier as a command: `python sklearn_command.py MODEL.joblib`, which a training has written.

joblib files are pickles: opening one runs the code in it. This is your file, in your own process.
"""

import sys

import joblib
from answering import answer

GRID = 8


def features(images):
    """Mean colours of an 8 x 8 grid, as numbers from 0 to 1: what the classifier was trained on too."""
    n, side = len(images), images.shape[1] // GRID * GRID
    cells = images[:, :side, :side].reshape(n, GRID, side // GRID, GRID, side // GRID, 3)
    return cells.mean(axis=(2, 4)).reshape(n, -1) / 255


if __name__ == "__main__":
    model = joblib.load(sys.argv[1])
    answer(
        lambda images: model.predict_proba(features(images)),
        classes=model.classes_,
        name=type(model).__name__,
        shown={"size_px": 64},
    )
