"""The page that an auditor reads, and its figures."""
