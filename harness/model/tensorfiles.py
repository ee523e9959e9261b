"""Which named tensors does a file of unknown origin hold? Bytes in, tensors out; nothing that is in them is ever run.

The bytes are read once, so that what was hashed is what is loaded. Every size is checked before memory is given to it.
A pickle is only ever read by torch's weights-only unpickler; model_file.py says when a whole one is opened.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load
from torch import nn
from torch.torch_version import TorchVersion

from harness.core.errors import WeightsError
from harness.core.files import read_plain
from harness.core.kinds import kind_of
from harness.core.strict_json import parse_json
from harness.model.checkpoints import LEGACY, weights_in, why_not_loaded
from harness.model.named_classes import lists_in

MOST_BYTES = 768 * 1024**2  # a VGG-16 has 528 MiB, a ResNet-50 with its optimiser 290
MOST_HEADER_BYTES = 1024**2  # of .safetensors; a ResNet-50's has 40 kB
MOST_ENTRIES = 10_000  # of a zip
# CVE-2025-32434 (before 2.6) and CVE-2026-24747 (before 2.10) let a file run code in spite of weights_only.
SAFE_TORCH = "2.10"
TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar")  # of what torch.save writes
FORCED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
SAFER = "Save it as .safetensors, which can hold nothing but tensors."
# What torch.save writes, in one folder; TorchScript and torch.export put code and other archives beside it.
_ENTRY = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id)"
)


class Unwrapped(NamedTuple):
    """Named tensors, what was taken off to come to them, and the lists of class names that lay beside them."""

    tensors: dict[str, torch.Tensor]
    taken_off: tuple[str, ...]
    lists: tuple[tuple[str, ...], ...]


def read_whole(file: Path, *, follow_link: bool = False) -> bytes:
    """The bytes of a plain file, never more than `MOST_BYTES`.

    follow_link: whether `file` may be a link: only where the digest of what it holds was stated beforehand.

    Raises:
        WeightsError: it is not there, too large, or not a regular file.
    """
    try:
        return read_plain(file, most_bytes=MOST_BYTES, follow_link=follow_link)
    except OSError as error:
        said = "it is a link" if file.is_symlink() and not follow_link else error.strerror or error
        raise WeightsError(
            f"{file} cannot be read: {said}. Name a plain file of at most {MOST_BYTES >> 20} MiB that holds a model, "
            "not a link to one."
        ) from None


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tensors_of(content: bytes, *, suffix: str, where: str, legacy: bool = False) -> dict[str, torch.Tensor]:
    """As `unwrapped_of`, of tensors that are wrapped in nothing: whoever asks has no place to tell of it."""
    tensors, taken_off, _ = unwrapped_of(content, suffix=suffix, where=where, legacy=legacy)
    if taken_off:
        raise WeightsError(
            f"{where}: its tensors lie below {' and '.join(taken_off)}. Save them bare, as model.state_dict() has them."
        )
    return tensors


def unwrapped_of(content: bytes, *, suffix: str, where: str, legacy: bool = False) -> Unwrapped:
    """The named tensors in the bytes of a .safetensors, .npz or torch file, and what they were wrapped in.

    Args:
        suffix: of the file; bytes that are something else are refused.
        where: the file, for the error.
        legacy: whether a .pth may have the layout that torch wrote before 1.6, as torchvision's own files have; its
            sizes cannot be checked beforehand.
    Raises:
        WeightsError: the bytes are not such a file, hold anything but finite tensors, or claim to be larger than
            they are.
    """
    readers = {".safetensors": _safetensors, ".npz": _npz, **dict.fromkeys(TORCH_SUFFIXES, _pth)}
    if suffix not in readers:
        raise WeightsError(f"{where}: unknown kind of weights file {suffix!r}. Use .safetensors, .pth or .npz.")
    if readers[suffix] is _pth:
        refuse_unsafe_unpickler(version=str(torch.__version__), environment=os.environ)
    try:
        loaded = _legacy_pth(content) if _is_legacy(content, suffix, legacy) else readers[suffix](content)
        tensors, taken_off = weights_in(loaded)
    except WeightsError as error:
        raise WeightsError(f"{where}: cannot be read as weights: {error}") from None
    except Exception as error:  # whatever a parser says of bytes that somebody else chose
        said = why_not_loaded(error) or f"{_first_line(error)}. {SAFER}"
        raise WeightsError(f"{where}: cannot be read as weights: {said}") from None
    _refuse_odd(tensors, where)
    if readers[suffix] is not _npz:  # whose arrays may be compressed; their sizes were checked by the zip's own word
        n_bytes = sum(tensor.nbytes for tensor in tensors.values())
        if n_bytes > len(content):
            raise WeightsError(f"{where}: its tensors claim {n_bytes:,} bytes, the file has {len(content):,}. {SAFER}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{where}: {name!r} holds NaN or infinity. Its training diverged: take other weights.")
    return Unwrapped(tensors, taken_off, lists_in(loaded))


def metadata_of(content: bytes, *, where: str) -> dict[str, str]:
    """The free text fields of a .safetensors file that `tensors_of` has read."""
    try:
        header = parse_json(_header(content))
        found = header.get("__metadata__", {}) if isinstance(header, dict) else None
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
            return found
    except ValueError as error:
        raise WeightsError(f"{where}: its header cannot be read: {_first_line(error)}. Save the file again.") from None
    raise WeightsError(f"{where}: its metadata are not text. Save the file again.")


def refuse_unsafe_unpickler(*, version: str, environment: Mapping[str, str]) -> None:
    """Refuse to unpickle even tensors where torch's weights-only unpickler can be bypassed.

    Raises:
        WeightsError: torch is too old, or something in the environment or the process has widened what it loads.
    """
    if TorchVersion(version) < SAFE_TORCH:
        raise WeightsError(
            f"torch {version} may run code of a .pth file although it is told not to (CVE-2025-32434, CVE-2026-24747). "
            f"Install torch {SAFE_TORCH} or newer, or use .safetensors."
        )
    if environment.get(FORCED, "0").lower() not in ("", "0", "false", "no", "n", "off"):
        raise WeightsError(f"{FORCED} is set: it asks torch to run the code in model files. Unset it.")
    if added := [each for each in torch.serialization.get_safe_globals() if not _is_of_torch(each)]:
        raise WeightsError(
            f"something in this process lets torch load more than tensors, first {added[0]!r}. Remove its call of "
            "torch.serialization.add_safe_globals, or use .safetensors."
        )


def _is_of_torch(allowed: Any) -> bool:
    made = allowed[0] if isinstance(allowed, tuple) else allowed  # (object, the name that it has in a file)
    return str(getattr(made, "__module__", "")).partition(".")[0] == "torch"


def _safetensors(content: bytes) -> dict[str, torch.Tensor]:
    _header(content)
    return load(content)


def _header(content: bytes) -> bytes:
    claimed = int.from_bytes(content[:8], "little")
    if len(content) < 8 or claimed > min(MOST_HEADER_BYTES, len(content) - 8):
        raise WeightsError(
            f"it claims a header of {claimed:,} bytes, and has {len(content):,} in all (limit {MOST_HEADER_BYTES:,}): "
            "this is no .safetensors file of a supported network."
        )
    return content[8 : 8 + claimed]


def _npz(content: bytes) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        n_bytes = sum(entry.file_size for entry in archive.infolist())
        if n_bytes > MOST_BYTES or len(archive.infolist()) > MOST_ENTRIES:
            raise WeightsError(f"it unpacks to {n_bytes:,} bytes; the limit is {MOST_BYTES:,}.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _pth(content: bytes) -> dict[str, torch.Tensor]:
    return _unpickled(_rewritten(content))


def _is_legacy(content: bytes, suffix: str, allowed: bool) -> bool:
    return allowed and suffix in (".pth", ".pt") and not content.startswith(b"PK")


def _legacy_pth(content: bytes) -> dict[str, torch.Tensor]:
    return _unpickled(content)  # torch itself refuses the older tar files


def _unpickled(archive: bytes) -> dict[str, torch.Tensor]:
    loaded = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"holds a {type(loaded).__name__}, not named tensors. Save a state dict.")
    return dict(loaded)


def _rewritten(content: bytes) -> bytes:
    """The archive that was checked, written anew: readers differ in what they find in one sequence of bytes."""
    if content.startswith(LEGACY):
        raise WeightsError(
            "it was written as torch wrote it before 1.6, and its sizes cannot be checked. Save it anew: "
            "torch.save(torch.load(file, weights_only=True), 'weights.pth')."
        )
    if not content.startswith(b"PK\x03\x04"):
        kind = kind_of(content)
        raise WeightsError(
            (f"it is {kind[0]}, and " if kind is not None else "")
            + f"it does not begin as a file of torch.save does; a pickle or tar of old is not opened. {SAFER}"
        )
    checked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(checked, "w") as plain:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        odd = [name for name in names if not _ENTRY.fullmatch(name)]
        if any(name.partition("/")[2] == "constants.pkl" for name in names):
            raise WeightsError(
                "it is TorchScript, which can hold code, and is not opened (torch has deprecated it). In the program "
                "that made it: torch.save(torch.jit.load(file).state_dict(), 'weights.pth')."
            )
        if odd or len({name.partition("/")[0] for name in names}) != 1 or len(set(names)) != len(names):
            raise WeightsError(
                f"its archive holds {odd[:1] or 'several folders, or a name twice'}, which torch.save never writes of "
                f"a state dict (TorchScript and torch.export archives are not opened). {SAFER}"
            )
        packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1]
        n_bytes = sum(entry.file_size for entry in entries)
        if packed or n_bytes > len(content) or len(entries) > MOST_ENTRIES:
            raise WeightsError(
                f"its archive of {len(content):,} bytes unpacks to {n_bytes:,}; torch.save compresses nothing. {SAFER}"
            )
        for entry in entries:
            plain.writestr(entry.filename, archive.read(entry))
    return checked.getvalue()


def _refuse_odd(tensors: Mapping[Any, Any], where: str) -> None:
    for name, tensor in tensors.items():
        if not isinstance(name, str) or type(tensor) not in (torch.Tensor, nn.Parameter):  # subclasses have code
            raise WeightsError(f"{where}: {name!r} is not a tensor. Save a state dict and nothing else.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
            raise WeightsError(f"{where}: {name!r} is not a plain tensor (sparse, quantised, nested, without values).")
    if not tensors:
        raise WeightsError(f"{where}: holds no tensor. Save a state dict.")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
