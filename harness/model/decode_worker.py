"""Decodes image files for another process of ours: `python -m harness.model.decode_worker`, asked by `decoders.py`.

A line of JSON asks: [how, [[path, formats, sha256], ...]]. A line of JSON answers: {"error": null}, followed by the
pixels of all of them, or {"error": why one of them cannot be had}. It ends when its input does.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import IO, Any

from harness.core.errors import DataError
from harness.model.fitting import fitted_picture
from harness.model.images import ImageFile, read_picture
from harness.model.records import Preprocessing


def answer(asked: IO[bytes], answered: IO[bytes]) -> None:
    for line in asked:
        said, files = json.loads(line)
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
        how = Preprocessing(**given)
        try:
            pixels = [
                fitted_picture(read_picture(ImageFile(Path(path), tuple(formats), sha256)), how)
                for path, formats, sha256 in files
            ]
        except DataError as error:
            answered.write(json.dumps({"error": str(error)}).encode() + b"\n")
        else:
            answered.write(json.dumps({"error": None}).encode() + b"\n")
            for each in pixels:
                answered.write(each.tobytes())
        answered.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what is odd about a file is integrity's to say, not Pillow's
    answer(sys.stdin.buffer, sys.stdout.buffer)
