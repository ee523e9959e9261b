"""Which of several recipes gives way least where home is made to look like another laboratory?

    python -m benchmarks shift_battery --data DIR --seeds 1 2 -- PROTOCOL [PROTOCOL ...]

Each protocol's training is run with each seed on its train part (or taken from --reports, where it was run before), and
the classifier scores the validation part as it is and under 26 fixed shifts. The test part and the external sets are
never decoded, so a recipe can be chosen here and judged there. docs/generalisation.md has the rule and the results.

S0: percent of validation right as it is. M: mean over the shifts. W: mean of the five worst. score: (M + W) / 2.
H: mean over the shifts whose kind no recipe of ours trains with. H-: H less those that a normalisation could undo.

Shifts are drawn on pixels of the network's own size: a magnified cell is a blurred one here.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torchvision.transforms import functional as colour

from benchmarks._trained import run_of, with_seed
from harness.core.progress import Report, TerminalProgress
from harness.data.corruptions import AZURE, EOSIN
from harness.data.records import labels_of
from harness.model.classifier import Preparing, predict_prepared
from harness.model.stain import framed, in_optical_density
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.stages.model import classifier, pictures

Shift = Callable[[torch.Tensor], torch.Tensor]  # (n, 3, side, side) in [0, 1], to the same
Dyes = tuple[tuple[float, float, float], tuple[float, float, float]]

N_WORST, NOISE_SEED = 5, 20_260
YELLOW, BLUISH, DARK = (1.0, 0.93, 0.68), (0.8, 0.85, 1.05), (0.6, 0.6, 0.6)
# Optical densities of G. Landini's Colour Deconvolution for ImageJ, after Ruifrok and Johnston (2001): a blue dye of
# nuclei and a red one of the rest.
GIEMSA: Dyes = (AZURE, EOSIN)
HAEMATOXYLIN_EOSIN: Dyes = ((0.644211, 0.716556, 0.266844), (0.092789, 0.954111, 0.283111))
HAEMATOXYLIN_EOSIN_2: Dyes = ((0.490157, 0.768971, 0.410402), (0.046154, 0.842068, 0.537393))
AZAN: Dyes = ((0.853033, 0.508733, 0.112656), (0.092899, 0.866201, 0.490985))


# --- shifts -----------------------------------------------------------------------------------


def gains(factors: Sequence[float]) -> Shift:
    """Another lamp or white balance."""
    return lambda pixels: (pixels * pixels.new_tensor(factors).view(1, 3, 1, 1)).clamp(0, 1)


def stretched(pixels: torch.Tensor) -> torch.Tensor:
    """Each channel of each image between its own 1st and 95th percentile, as software that sets levels does."""
    flat = pixels.flatten(2)
    low, high = (torch.quantile(flat, q, dim=2)[:, :, None, None] for q in (0.01, 0.95))
    return ((pixels - low) / (high - low).clamp(min=1 / 255)).clamp(0, 1)


def pale(pixels: torch.Tensor) -> torch.Tensor:
    return (0.5 * pixels + 0.35).clamp(0, 1)


def restained(into: Dyes, *, blue: float = 1.0, red: float = 1.0) -> Shift:
    """The amounts of Giemsa's two dyes, shown by two others; `blue` and `red` are factors of the amounts."""

    def basis(dyes: Dyes) -> np.ndarray:
        """(3, 3): a column a dye of unit length; the third is what neither takes."""
        rows = np.array([*dyes, np.cross(*dyes)])
        return np.asarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)

    mixing = torch.from_numpy(basis(into) @ np.diag([blue, red, 1.0]) @ np.linalg.inv(basis(GIEMSA))).float()
    return lambda pixels: in_optical_density(pixels, mixing.expand(len(pixels), 3, 3), torch.zeros(len(pixels), 3))


def coarse(share: float) -> Shift:
    """Sampled at this share of the side, and enlarged again."""

    def shift(pixels: torch.Tensor) -> torch.Tensor:
        side = pixels.shape[-1]
        small = functional.interpolate(pixels, size=round(share * side), mode="bilinear", antialias=True)
        return functional.interpolate(small, size=side, mode="bilinear").clamp(0, 1)

    return shift


def jpeg(quality: int) -> Shift:
    def saved(pixels: np.ndarray) -> np.ndarray:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as image:
            return np.array(image)

    return lambda pixels: as_floats(np.stack([saved(image) for image in as_bytes(pixels)]))


def noisy(pixels: torch.Tensor) -> torch.Tensor:
    rng = np.random.default_rng(NOISE_SEED)
    return (pixels + torch.from_numpy(rng.normal(0, 0.06, tuple(pixels.shape))).float()).clamp(0, 1)


def reframed(zoom: float, *, right: float = 0.0, down: float = 0.0) -> Shift:
    def shift(pixels: torch.Tensor) -> torch.Tensor:
        n, place = len(pixels), torch.tensor([right, down])
        return framed(pixels, torch.full((n,), zoom), place.expand(n, 2), size_px=pixels.shape[-1])

    return shift


def hue(degrees: float) -> Shift:
    return lambda pixels: colour.adjust_hue(pixels, degrees / 360)


def saturation(factor: float) -> Shift:
    return lambda pixels: colour.adjust_saturation(pixels, factor)


def gamma(exponent: float) -> Shift:
    return lambda pixels: colour.adjust_gamma(pixels, exponent)


def chain(*shifts: Shift) -> Shift:
    def all_of_them(pixels: torch.Tensor) -> torch.Tensor:
        for shift in shifts:
            pixels = shift(pixels)
        return pixels

    return all_of_them


SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {
        "hue -25": hue(-25),
        "hue +25": hue(25),
        "saturation 0.4": saturation(0.4),
        "saturation 1.8": saturation(1.8),
        "yellow": gains(YELLOW),
        "bluish": gains(BLUISH),
        "dark": gains(DARK),
        "levels": stretched,
        "pale": pale,
        "gamma 0.6": gamma(0.6),
        "gamma 1.8": gamma(1.8),
        "haematoxylin-eosin": restained(HAEMATOXYLIN_EOSIN),
        "haematoxylin-eosin 2": restained(HAEMATOXYLIN_EOSIN_2),
        "less blue dye": restained(GIEMSA, blue=0.55),
        "azan, less red": restained(AZAN, red=0.5),
        "resolution 40 %": coarse(0.4),
        "JPEG 15": jpeg(15),
        "noise": noisy,
        "zoom 1.6": reframed(1.6),
        "zoom 2.2": reframed(2.2),
        "zoom 0.75": reframed(0.75),
        "off the centre": reframed(1.0, right=0.1, down=0.1),
        "laboratory A": chain(reframed(1.9), coarse(0.6), restained(HAEMATOXYLIN_EOSIN_2), gains(YELLOW)),
        "laboratory B": chain(reframed(1.6), hue(-15), gains(BLUISH), jpeg(30)),
        "laboratory C": chain(reframed(1.4), pale, coarse(0.6)),
        "laboratory D": chain(reframed(2.0), stretched, gamma(1.5), saturation(1.4), jpeg(40)),
    }
)
HELD_OUT = ("hue -25", "hue +25", "saturation 0.4", "saturation 1.8", "levels", "pale", "resolution 40 %", "JPEG 15")
HELD_OUT += ("noise", "laboratory B", "laboratory C", "laboratory D")
UNDONE_BY_NORMALISATION = ("levels", "pale")


def as_bytes(pixels: torch.Tensor) -> np.ndarray:
    return (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def as_floats(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


# --- recipes ----------------------------------------------------------------------------------


def battery(protocol: Protocol, *, data: Path, reports: Path, progress: Report) -> dict[str, float]:
    """Percent of the validation part that this recipe's classifier has right: as it is (""), and under every shift."""
    run = run_of(protocol, data=data, reports=reports, progress=progress)
    cells, door = run(pictures, "validation"), run(classifier)
    assert isinstance(door, Preparing)  # what a run trains lets others act between preprocessing and network
    images, labels = cells.images(), labels_of(cells.ordered, protocol.dataset.classes)
    arrays = door.prepare(images)

    def right(seen: np.ndarray) -> float:
        return 100 * float((predict_prepared(door, seen, images).argmax(axis=1) == labels).mean())

    pixels = as_floats(arrays)
    shifted = {name: right(as_bytes(shift(pixels))) for name, shift in SHIFTS.items()}
    return {"": right(arrays), **shifted}


def summary(found: Mapping[str, float]) -> dict[str, float]:
    shifts = [found[name] for name in SHIFTS]
    mean, worst = float(np.mean(shifts)), float(np.mean(sorted(shifts)[:N_WORST]))
    held_out = float(np.mean([found[name] for name in HELD_OUT]))
    less = float(np.mean([found[name] for name in HELD_OUT if name not in UNDONE_BY_NORMALISATION]))
    return {"S0": found[""], "M": mean, "W": worst, "score": (mean + worst) / 2, "H": held_out, "H-": less}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the cells, one folder a class")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="training seeds")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="whose stages are kept and reused")
    parser.add_argument("--out", type=Path, help="a JSON file for every single number")
    parser.add_argument("protocols", type=Path, nargs="+")
    asked = parser.parse_args()
    progress = TerminalProgress(sys.stderr, live=sys.stderr.isatty())
    kept: dict[str, dict[str, float]] = {}
    print(f"{'recipe':<28} {'seed':>4} " + " ".join(f"{name:>6}" for name in ("S0", "M", "W", "score", "H", "H-")))
    for seed in asked.seeds:
        for file in asked.protocols:
            protocol = with_seed(read_protocol(file), seed)
            found = battery(protocol, data=asked.data, reports=asked.reports, progress=progress)
            kept[f"{file.stem} {seed}"] = found
            said = " ".join(f"{value:6.1f}" for value in summary(found).values())
            print(f"{file.stem:<28} {seed:>4} {said}", flush=True)
            if asked.out is not None:  # after each: a training takes a quarter of an hour
                asked.out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
