"""Answers the harness over standard input and output. Copy this file beside your program, and call `answer`."""

import json
import os
import sys
import traceback

import numpy as np


def answer(classify, *, classes, name, model_version="", shown=None):
    """Answer until the harness closes the pipe.

    classify: (n, height, width, 3) uint8 RGB -> (n, n_classes), each row probabilities that sum to 1.
    classes:  what each column stands for, in the words of the protocol.
    shown:    such as {"size_px": 224, "resize": "squish"}; None for images in the size that they have.
    """
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to standard error: the answers have this pipe to themselves
    greeting = {"protocol": "classifier-command", "version": 1, "classes": list(classes), "name": name}
    greeting |= {"model_version": model_version, "shown": shown}
    while line := questions.readline():
        asked = json.loads(line)
        content = questions.read(asked["bytes"])
        if asked["ask"] == "hello":
            said = greeting
        elif asked["ask"] == "ping":
            said = {"pong": len(content)}
        else:
            images = np.frombuffer(content, np.uint8).reshape(asked["n"], asked["height"], asked["width"], 3)
            try:
                said = {"probabilities": np.asarray(classify(images), dtype=np.float64).tolist()}
            except Exception as error:  # whatever it is, the harness is told, and the traceback is in its report
                traceback.print_exc()
                said = {"error": repr(error)}
        answers.write(json.dumps({"id": asked["id"], **said}).encode() + b"\n")
        answers.flush()
