"""A test-first validation harness for classifiers of white blood cells."""

__version__ = "0.1.0"
