"""Checks of arguments: each returns its value as plain Python, or raises a ValueError that names what was expected."""

import math
import os
from numbers import Real

import numpy as np


def number(value, name, minimum=-math.inf, above=-math.inf, below=math.inf):
    """`value` as a float, if it is a finite number within the bounds; a truth value is no number."""
    try:
        result = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        result = math.inf
    if not (minimum <= result < below and above < result):
        bounds = (("at least", minimum), ("above", above), ("below", below))
        wanted = " and ".join(f"{word} {bound}" for word, bound in bounds if math.isfinite(bound))
        raise ValueError(f"Expected a number {wanted or 'that is finite'}. Received: {name}={value!r}")
    return result


def integer(value, name, minimum=1):
    """`value` as an int, if it is a whole number from `minimum` on."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"Expected a whole number, at least {minimum}. Received: {name}={value!r}")
    return int(value)


def pair(value, name):
    """`value` as two positive whole numbers, for the two axes of an image: 3 -> (3, 3)."""
    values = value if isinstance(value, tuple | list | np.ndarray) else (value, value)
    try:
        first, second = (integer(each, name) for each in values)
    except (TypeError, ValueError):
        message = f"Expected a positive whole number or two of them. Received: {name}={value!r}"
        raise ValueError(message) from None
    return first, second


def path(value, name):
    """`value`, if it is a text or a path; a number would be a file that is open already."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"Expected a path. Received: {name}={value!r}")
    return value


def text(value, name):
    """`value`, if it is a text of some length."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"Expected a text. Received: {name}={value!r}")
    return value


def items(value, name):
    """What is in `value`, as a list."""
    try:
        return list(value)
    except TypeError:
        raise ValueError(f"Expected a list. Received: {name}={value!r}") from None


def flag(value, name):
    """`value` as a bool, if it is one."""
    if not isinstance(value, bool | np.bool):
        raise ValueError(f"Expected True or False. Received: {name}={value!r}")
    return bool(value)


def choice(value, name, choices):
    """`value`, if it is one of `choices`: words, or None."""
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(f"Expected one of {', '.join(map(repr, choices))}. Received: {name}={value!r}")
    return value
