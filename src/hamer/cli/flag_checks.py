"""Checks of flags that several commands share: what is wrong, in the words that the user reads."""

from __future__ import annotations

import argparse


def below_one(args: argparse.Namespace, *flags: str) -> str | None:
    """What is wrong with the first of these flags that counts something and is below 1; None where none is. None counts as 1."""
    for flag in flags:
        number = getattr(args, flag)
        if number is not None and number < 1:
            return f"--{flag} must be at least 1, got {number}"
    return None
