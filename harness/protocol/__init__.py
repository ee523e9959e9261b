"""Everything that is fixed before a run: frozen records, checked at birth, and their TOML."""
