"""From a split to a classifier that predicts. torch, torchvision and fastai stay in here and in `speed`."""

from harness.model.torchvision_compat import make_torchvision_importable

make_torchvision_importable()
