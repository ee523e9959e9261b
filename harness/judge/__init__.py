"""Criteria, gates, looks and the ledger: the only room that decides."""
