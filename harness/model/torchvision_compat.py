"""Lets torchvision be imported beside a torch build that its compiled operators were not linked for.

The registry's torchvision wheel is linked to CUDA. Beside a CPU build of torch its library does not load, and
`import torchvision` ends in "operator torchvision::nms does not exist", because it declares a meta kernel for an
operator that nobody registered. Nothing in this project calls `nms` or `qnms`: registering their schemas is enough for
the import, and everything written in Python (models, transforms) then works. What stays unavailable is honest about it:
the operators raise NotImplementedError and `torchvision.io` codecs fail to load.
"""

from __future__ import annotations

import importlib.util
import sys

_registration: object | None = None  # the schemas live as long as this object does


def make_torchvision_importable() -> None:
    """Import torchvision; on exactly the missing-operator error, register the schemas and import again.

    Does nothing where torchvision imports, or is not installed.
    """
    global _registration
    if _registration is not None or importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    else:
        return
    from torch.library import Library

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # the failed import left half of the package behind
    library = Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _registration = library
    import torchvision  # noqa: F401


make_torchvision_importable()  # importing this module is what the others do, before anything of torchvision
