"""What people write on a command line: types for argparse, which say what they expect."""

from argparse import ArgumentTypeError


def path(text):
    """The name of a file or folder, as text."""
    if not text.strip():  # to Python the current folder
        raise ArgumentTypeError("expected the name of a file or folder")
    return text


def count(text, least=1, also=""):
    """A number from `least` up."""
    if not text.isdecimal() or int(text) < least:
        raise ArgumentTypeError(f"expected a number from {least} up{also}: {text!r}")
    return int(text)


def seed(text):
    """A number from 0 up."""
    return count(text, least=0)


def clips(text):
    """A number from 1 up, or None for "all"."""
    return None if text == "all" else count(text, also=", or all")
