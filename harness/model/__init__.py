"""Classifiers: trained here, or read from a file. torch, torchvision and fastai stay in this room."""
