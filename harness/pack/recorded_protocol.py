"""By which protocol was a pack's run judged?"""

from __future__ import annotations

import json

from pydantic import ValidationError

from harness.core.errors import EvidenceError
from harness.pack.read import Pack, require_field
from harness.protocol.records import Protocol


def read_protocol_of(pack: Pack) -> Protocol:
    """The protocol that a pack's run was judged by."""
    content = require_field(pack, "protocol", "content", kind=dict)
    looks = content.get("looks", {})
    if isinstance(looks, dict):  # a pack that does not say how looks share the error is from when there was one rule
        content = {**content, "looks": {"correction": "look-number", **looks}}
    try:
        return Protocol.model_validate_json(json.dumps({**content, "source": "evidence.json"}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise EvidenceError(
            f"{pack.name}/evidence.json: its protocol is none that this version of the harness knows: {where}: "
            f"{first['msg']}. Read the pack with the version that wrote it."
        ) from None
