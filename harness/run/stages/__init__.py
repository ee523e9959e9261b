"""The stages of a run, by family: which results each rests on, and what is kept on disk."""
