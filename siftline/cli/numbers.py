"""Numbers of the command line, with their limits."""

import argparse


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _from(1, text)


def count(text: str) -> int:
    """A whole number of 0 or more."""
    return _from(0, text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _from(least: int, text: str) -> int:
    if (value := int(text)) < least:
        raise argparse.ArgumentTypeError(f"{text} is not at least {least}")
    return value
