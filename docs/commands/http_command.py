"""A service on this machine as a command: `python http_command.py http://127.0.0.1:8000`.

The service answers GET /classes with {"classes": [...], "version": "..."}, and POST /classify, whose body is the RGB
bytes of n images and whose headers are their shape, with {"probabilities": [[...], ...]}.
"""

import json
import sys
from urllib.request import ProxyHandler, Request, build_opener

from answering import answer

service = sys.argv[1]
opened = build_opener(ProxyHandler({})).open  # past any proxy: the service is on this machine


def classify(images):
    shape = dict(zip(("X-N", "X-Height", "X-Width"), map(str, images.shape), strict=False))
    asked = Request(f"{service}/classify", images.tobytes(), {"Content-Type": "application/octet-stream", **shape})
    with opened(asked, timeout=60) as said:
        return json.load(said)["probabilities"]


if __name__ == "__main__":
    with opened(f"{service}/classes", timeout=60) as said:
        known = json.load(said)
    answer(classify, classes=known["classes"], name=service, model_version=known["version"])
