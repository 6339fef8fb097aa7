"""What tests of several files need, and what the suite says at its end: whether the demo was tested in a browser."""

import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import browser
import pytest


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two processes."""
    from distributed import LocalCluster  # the peers' environment has none

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


class Quiet(SimpleHTTPRequestHandler):
    """A file server that does not print each request."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory):
    """The built site, in a folder below the one that is served."""
    folder = tmp_path_factory.mktemp("site") / "sub" / "path"
    command = [sys.executable, "site/build.py", "--folder", folder]
    subprocess.run(command, cwd=browser.ROOT, env=os.environ | {"PYTHONPATH": "."}, check=True)
    return folder


@pytest.fixture(scope="session")
def site(site_folder):
    """The address of the built site, which a plain file server has in a sub-path."""
    handler = partial(Quiet, directory=site_folder.parents[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/sub/path/"
        server.shutdown()


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
    is_driven = collection_path.name in ("test_browser.py", "test_site.py", "test_book.py")
    return True if is_driven and browser.find_browser() is None else None
