"""Evidence packs: written, read, compared, verified and signed."""
