"""The records of a run, made again of its pack, a module for each kind; harness/pack/rebuild.py puts them together."""
