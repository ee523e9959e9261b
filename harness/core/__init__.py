"""Errors, digests, plain files, strict JSON, progress: what every room may use; nothing about cells."""
