"""The stages of one validation run, and everything that it produced."""
