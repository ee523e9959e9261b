"""The jobs of `python -m harness JOB`: each module registers the parsers of its jobs and runs them."""
