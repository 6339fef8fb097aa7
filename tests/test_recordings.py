"""Real recordings by address: from a table, over HTTPS from a server on the loopback address, to a folder of sound.

`localhost.pem` is a certificate, with its key, for this server alone.
"""

import csv
import hashlib
import io
import json
import os
import resource
import shutil
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nn import Model
from pipeline.corpus import recordings
from pipeline.corpus.fingerprint import fingerprint, similarity
from pipeline.errors import SourceError
from pipeline.song.audio import load

ROOT = Path(__file__).parents[1]
CERTIFICATE = Path(__file__).with_name("localhost.pem")
RATE = 16_000


def song(seed, seconds=4.0, rate=44_100):
    """A melody of tones with noise, as the bytes of a FLAC file."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitches = rng.choice(np.geomspace(200, 2000, 40), 8 * int(seconds + 1))
    samples = 0.3 * np.sin(2 * np.pi * pitches[(8 * time).astype(int)] * time) + 0.01 * rng.normal(size=len(time))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        how, content = self.server.contents.get(self.path.strip("/"), ("missing", b""))
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if how == "nothing":
            return self.connection.close()
        if how == "missing":
            return self.send_error(404)
        if how == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"https://localhost:{self.server.server_port}/good")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if how == "half":
            self.server.contents[self.path.strip("/")] = ("fine", content)
            content = content[: len(content) // 2]
        for at in range(start, len(content), 4096):
            self.wfile.write(content[at : at + 4096])
            if how == "slow":
                time.sleep(0.05)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves `contents`, {name: (how, bytes)}, and writes down what was `asked`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.contents, server.asked = {}, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def table(server, tmp_path):
    """Writes a table of recordings, given as dicts of what differs from a good row."""

    def write(*rows):
        path, host = tmp_path / "recordings.csv", f"127.0.0.1:{server.server_port}"
        with open(path, "w", newline="") as file:
            file.write(f"# A table for a test.\n# hosts: {host}\n")
            writer = csv.DictWriter(file, recordings.COLUMNS)
            writer.writeheader()
            for row in rows:
                content = server.contents.get(row["name"], ("", b""))[1]
                good = {
                    "label": "Piano",
                    "use": "train",
                    "start": 0,
                    "length": 4,
                    "licence": "CC0 1.0",
                    "performer": "us",
                }
                good |= {"address": f"https://{host}/{row['name']}", "sha256": hashlib.sha256(content).hexdigest()}
                writer.writerow(good | {"bytes": max(len(content), 1)} | row)
        return path

    return write


def test_recordings_arrive_checked_cut_and_only_once(server, table, tmp_path):
    server.contents = {"one": ("fine", song(1)), "two": ("fine", song(2))}
    rows = recordings.read(
        table({"name": "one"}, {"name": "two", "use": "dev", "start": 1, "length": 2, "label": "Other"})
    )
    assert recordings.fetch(rows, tmp_path / "out").empty
    two = load(tmp_path / "out/dev/Other/two.flac")
    assert len(two) == 2 * RATE
    whole = load(tmp_path / "out/train/Piano/one.flac")
    assert 0.1 < np.abs(whole).max() < 0.5
    server.asked.clear()
    (tmp_path / "out/train/Piano/one.flac").write_bytes(b"mine")
    assert recordings.fetch(rows, tmp_path / "out").empty
    assert not server.asked
    assert (tmp_path / "out/train/Piano/one.flac").read_bytes() == b"mine"


def test_what_fails_is_told_and_stops_nothing(server, table, tmp_path):
    server.contents = {name: ("fine", song(3)) for name in ("page", "other", "half", "good", "longer")}
    path = table(
        *({"name": name} for name in ("page", "other", "half", "redirect", "gone", "silence", "longer", "good"))
    )
    server.contents |= {
        "page": ("fine", b"<html>Sign in</html>"),
        "other": ("fine", song(4)),
        "longer": ("fine", song(3) + bytes(200_000)),
        "redirect": ("elsewhere", b""),
        "silence": ("nothing", b""),
        "half": ("half", song(3)),
    }
    rows = recordings.read(path)
    failures = recordings.fetch(rows, tmp_path / "out").set_index("name")
    kinds = failures["error"].to_dict()
    assert kinds.pop("silence") in ("no_network", "incomplete")
    assert kinds == {
        "page": "changed",
        "other": "changed",
        "longer": "changed",
        "redirect": "server_error",
        "gone": "missing",
        "half": "incomplete",
    }
    assert all(message.endswith(".") and len(message) < 160 for message in failures["message"])
    assert [path.stem for path in (tmp_path / "out").rglob("*.flac")] == ["good"]


def test_a_download_goes_on_where_it_stopped(server, table, tmp_path):
    content = song(5, 20)
    server.contents = {"one": ("half", content)}
    rows = recordings.read(table({"name": "one", "length": 20}))
    assert recordings.fetch(rows, tmp_path / "out")["error"].tolist() == ["incomplete"]
    assert recordings.fetch(rows, tmp_path / "out").empty
    assert server.asked[-1] == ("/one", f"bytes={len(content) // 2}-")
    assert len(load(rows[0].path(tmp_path / "out"))) == 20 * RATE


def test_the_command_is_killed_and_goes_on(server, table, tmp_path):
    contents = {name: song(number, 10) for number, name in enumerate(("one", "two", "three"))}
    server.contents = {name: ("slow", content) for name, content in contents.items()}
    path, out = table(*({"name": name, "length": 10} for name in contents)), tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.corpus.recordings", path, "--out", out]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not (out / "train/Piano/one.flac").exists():
        time.sleep(0.05)
    first.kill()
    first.communicate()
    server.contents = {name: ("fine", content) for name, content in contents.items()}
    server.asked.clear()
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert "3 of 3 recordings" in second.stdout
    assert "/one" not in [asked for asked, _ in server.asked]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../one"}, "the name must"),
        ({"label": "a/b"}, "the label must"),
        ({"use": "validation"}, "the use must"),
        ({"address": "http://127.0.0.1/one"}, "https://"),
        ({"address": "https://elsewhere.example/one"}, "hosts"),
        ({"address": "https://user@127.0.0.1/one"}, "hosts"),
        ({"sha256": "abc"}, "SHA-256"),
        ({"start": "nan"}, "start, length"),
        ({"start": "soon"}, "could not convert"),
        ({"bytes": "9" * 20}, "bytes"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(change, words, table):
    with pytest.raises(SourceError, match="Line 5") as caught:
        recordings.read(table({"name": "one"}, {"name": "two"} | change))
    assert words in str(caught.value)


def test_one_file_has_one_use(server, table):
    server.contents = {"one": ("fine", song(1)), "two": ("fine", song(1))}
    with pytest.raises(SourceError, match="also used for train"):
        recordings.read(table({"name": "one"}, {"name": "two", "use": "test"}))
    with pytest.raises(SourceError, match="stands twice"):
        recordings.read(table({"name": "one"}, {"name": "one"}))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"name,label\n"])
def test_a_file_that_is_no_table(content, tmp_path):
    (tmp_path / "table.csv").write_bytes(content)
    for path in (tmp_path / "table.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(SourceError):
            recordings.read(path)


def test_the_same_sound_under_two_uses_is_found(server, table, tmp_path):
    samples, rate = soundfile.read(io.BytesIO(song(6, 12)))
    again = io.BytesIO()
    soundfile.write(again, 0.2 * samples[3 * rate : 9 * rate], rate, format="OGG", subtype="VORBIS")
    server.contents = {"one": ("fine", song(6, 12)), "two": ("fine", again.getvalue()), "three": ("fine", song(7, 8))}
    rows = recordings.read(
        table(
            {"name": "one", "length": 12},
            {"name": "two", "use": "test", "length": 6},
            {"name": "three", "use": "dev", "length": 8},
        )
    )
    recordings.fetch(rows, tmp_path / "out")
    assert [(a.stem, b.stem) for a, b in recordings.doubles(tmp_path / "out")] == [("two", "one")]
    assert similarity(*(fingerprint(load(r.path(tmp_path / "out"))) for r in (rows[0], rows[2]))) < 0.25


def test_a_folder_that_cannot_be_written(server, table, tmp_path):
    server.contents = {"one": ("fine", song(8, 30))}
    path = table({"name": "one", "length": 30})
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        recordings.fetch(recordings.read(path), tmp_path / "file")
    command = [sys.executable, "-m", "pipeline.corpus.recordings", path, "--out", tmp_path / "out"]

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=small_files, env=os.environ)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_of_the_project():
    rows = recordings.read(ROOT / "data/recordings.csv")
    counts = {use: [r.label for r in rows if r.use == use] for use in recordings.USES}
    assert all(labels.count("Piano") >= 11 and labels.count("Other") >= 19 for labels in counts.values())
    short = {use: sum(r.length < 5 for r in rows if r.use == use) for use in ("dev", "test")}
    assert abs(short["dev"] - short["test"]) <= 1
    assert all(r.licence for r in rows)


def test_weights_from_fetched_recordings_killed_and_gone_on(server, table, tmp_path):
    rows = []
    for number, (use, label) in enumerate(
        [(u, x) for u in ("train", "dev") for x in ("Piano", "Other") for _ in range(2)]
    ):
        server.contents[f"r-{number}"] = ("fine", song(number, 6))
        rows.append({"name": f"r-{number}", "use": use, "label": label, "length": 6})
    fetched, packages = tmp_path / "fetched", tmp_path / "packages"
    recordings.fetch(recordings.read(table(*rows)), fetched)
    for number in range(24):  # in place of the packages
        path = packages / ("Piano", "Other")[number % 2] / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(song(100 + number, 5))
    script = tmp_path / "weights.py"
    script.write_text(WEIGHTS)
    command = [sys.executable, script, packages, "--recordings", fetched, "--data", tmp_path / "clips"]
    command += ["--out", tmp_path / "model.npz", "--clips", "240", "--epochs", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not list((tmp_path / "clips").glob("model*")) and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    assert b"train the model" in first.communicate()[1]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "model.json").read_text())
    assert figures["real recordings"]["by majority vote"]["n"] == 4
    assert Model.load(tmp_path / "model.npz").metadata["figures"] == figures
    shutil.copy(fetched / "train/Piano/r-0.flac", fetched / "dev/Piano/again.flac")
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 1
    assert "the same sound" in refused.stderr


WEIGHTS = """
import sys
from pipeline.corpus import collection
from pipeline.learning import weights

find, packages = collection.recordings, sys.argv[1]
collection.recordings = lambda _, folders, *rest: find([], [packages]) + find([], folders, *rest)
sys.exit(weights.main(sys.argv[2:]))
"""
