"""How what a run keeps on disk is made, and read back: the code that a kept result depends on."""
