"""What tests of several files need, and what the suite says at its end: whether the demo was tested in a browser."""

import os

import browser
import pytest


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes."""
    from distributed import LocalCluster  # the peers' environment has none

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


def pytest_terminal_summary(terminalreporter):
    """Where no browser is installed, say so in the last lines."""
    if browser.find_browser() is None:
        terminalreporter.section("no browser")
        terminalreporter.write_line(
            "No Chromium was found, so the demo was NOT tested in JupyterLab, Voila and the web page. "
            "On Debian: apt-get install -y --no-install-recommends chromium"
        )


def pytest_sessionfinish(session):
    """On a build server, a suite that left out the browser has failed."""
    if os.environ.get("CI", "").lower() in ("1", "true") and browser.find_browser() is None and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_ignore_collect(collection_path):
    """Without a browser, its tests are left out."""
    is_left_out = collection_path.name in ("test_browser.py", "test_site.py") and browser.find_browser() is None
    return True if is_left_out else None
