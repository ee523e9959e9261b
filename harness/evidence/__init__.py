"""Everything a run found, as one folder that an auditor can open months later."""
