"""Comparisons with PyTorch and librosa: run only when asked for by name, `python -m pytest tests/peers`."""


def pytest_ignore_collect(collection_path, config):
    """A run of the whole suite needs no peer."""
    return None if any("peers" in argument for argument in config.args) else True
