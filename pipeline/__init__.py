"""From a link to a label; in its folders also the way from sources of sound to a model, long lists, demo and figures.

`from pipeline import Recognizer` is the way in from Python. It is imported when first asked for, so that a command
that needs no sound starts at once.
"""


def __getattr__(name):
    if name in ("Recognizer", "Recognition"):
        from pipeline.song import recognition

        return getattr(recognition, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
