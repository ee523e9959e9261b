"""Names the plugin and the fixture modules, nothing else."""

pytest_plugins = ("harness.plugin", "fixtures.pipeline")
