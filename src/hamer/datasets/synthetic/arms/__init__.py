"""The arm behind a hand, bare or dressed."""
