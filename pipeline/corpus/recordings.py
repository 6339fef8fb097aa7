"""Real recordings by address: a table of facts becomes a folder of sound, every file checked against its SHA-256.

`data/recordings.csv` gives each one its address, licence, label and use: `train` trains a model, `dev` chooses it,
`test` only judges it. Downloads go on where they stopped; no file is written twice.
"""

import argparse
import csv
import hashlib
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
from tqdm import tqdm

from pipeline import files
from pipeline.corpus.fingerprint import alike
from pipeline.errors import AudioError, DownloadError, SourceError
from pipeline.song.audio import SAMPLE_RATE, load

TABLE, FOLDER = Path(__file__).parents[2] / "data" / "recordings.csv", Path("data/generated/recordings")
USES = ("train", "dev", "test")
COLUMNS = ["name", "label", "use", "start", "length", "licence", "performer", "address", "sha256", "bytes"]
TIMEOUT = 30  # seconds without an answer
BLOCK = 1 << 16  # bytes


@dataclass(frozen=True)
class RealRecording:
    """A row of the table; `start` and `length` are the seconds that are used of the file at `address`."""

    name: str
    label: str
    use: str
    start: float
    length: float
    licence: str
    performer: str
    address: str
    sha256: str
    bytes: int

    def path(self, folder):
        """Where the recording lies below `folder`."""
        return Path(folder) / self.use / self.label / f"{self.name}.flac"


def read(path=TABLE):
    """The recordings of a table, after a check of every row: a list of RealRecording.

    Lines that begin with # are comments; `# hosts: NAME ...` lists the only hosts that an address may have. Raises
    SourceError, naming the line, if a value is none, a name stands twice, or one file has two uses.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise SourceError("missing", f"There is no table {path}; check the spelling.") from None
    except (OSError, UnicodeDecodeError):
        raise SourceError("list", f"{path} cannot be read as a text in UTF-8.") from None
    hosts = {host for line in lines if line.startswith("# hosts:") for host in line[8:].split()}
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not rows or next(csv.reader([rows[0][1]])) != COLUMNS:
        raise SourceError("list", f"{path} is no table of recordings; its first row must be {','.join(COLUMNS)}.")
    found, names, uses = [], set(), {}
    for number, line in rows[1:]:
        try:
            recording = _parse(next(csv.reader([line])), hosts)
            if recording.name in names:
                raise ValueError(f"the name {recording.name} stands twice")
            if uses.setdefault(recording.sha256, recording.use) != recording.use:
                raise ValueError(f"its file is also used for {uses[recording.sha256]}")
        except (ValueError, csv.Error) as error:
            raise SourceError("list", f"Line {number} of {path.name} cannot be used: {error}.") from None
        names.add(recording.name)
        found.append(recording)
    return found


def _parse(cells, hosts):
    if len(cells) != len(COLUMNS):
        raise ValueError(f"it has {len(cells)} columns instead of {len(COLUMNS)}")
    row = dict(zip(COLUMNS, (cell.strip() for cell in cells)))
    address = urlsplit(row["address"])
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}", row["name"]):
        raise ValueError("the name must consist of small letters, digits and hyphens")
    if not re.fullmatch(r"\w{1,40}", row["label"]):
        raise ValueError("the label must be a word, such as Piano")
    if row["use"] not in USES:
        raise ValueError(f"the use must be one of {', '.join(USES)}")
    if address.scheme != "https" or address.netloc not in hosts:
        raise ValueError("the address must begin with https:// and one of the hosts in the table's head")
    if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
        raise ValueError("the checksum must be a SHA-256")
    start, length, size = float(row["start"]), float(row["length"]), int(row["bytes"])
    if not (0 <= start < 1e5 and 0 < length < 1e5 and 0 < size < 1e9):
        raise ValueError("start, length and bytes must be sizes that a recording can have")
    return RealRecording(**row | {"start": start, "length": length, "bytes": size})


def fetch(recordings, folder=FOLDER, progress=None):
    """Fetch the recordings that `folder` lacks, as FLAC, mono at 16 kHz, to FOLDER/USE/LABEL/NAME.flac.

    A recording that fails does not stop the others. `progress` gets (number done, number in all, name).

    Returns
    -------
    DataFrame of what failed: name, error, message

    Raises SourceError if the folder cannot be written or the disk is full.
    """
    failures = []
    for done, recording in enumerate(recordings):
        if progress:
            progress(done, len(recordings), recording.name)
        if recording.path(folder).exists():
            continue
        try:
            with files.writing(folder):
                _fetch(recording, Path(folder))
        except (DownloadError, AudioError) as error:
            failures.append({"name": recording.name, "error": error.kind, "message": str(error)})
    if progress:
        progress(len(recordings), len(recordings), "")
    return pd.DataFrame(failures, columns=["name", "error", "message"])


def _fetch(recording, folder):
    part = folder / "parts" / recording.sha256
    part.parent.mkdir(parents=True, exist_ok=True)
    _download(recording, part)
    with open(part, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if checksum != recording.sha256:
        part.unlink()
        raise DownloadError(
            "changed", f"{recording.name} is another file than it was; its address holds something else."
        )
    samples = load(part)[round(recording.start * SAMPLE_RATE) :][: round(recording.length * SAMPLE_RATE)]
    files.write_flac(recording.path(folder), samples, SAMPLE_RATE)
    part.unlink()


def _download(recording, part):
    """Write the file at the recording's address to `part`, from where an earlier download stopped."""
    done = part.stat().st_size if part.exists() else 0
    if done == recording.bytes:
        return
    request = urllib.request.Request(recording.address, headers={"Range": f"bytes={done}-"} if done else {})
    opener = urllib.request.build_opener(_SameHost)
    try:
        with (
            opener.open(request, timeout=TIMEOUT) as answer,
            open(part, "ab" if answer.status == 206 else "wb") as file,
        ):
            while block := answer.read(BLOCK):
                file.write(block)
                if file.tell() > recording.bytes:
                    break  # another file: its checksum will say so
            complete = not answer.length  # else so many bytes are still missing
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file is shorter than what is here
            part.unlink()
        kind = "missing" if error.code in (404, 410) else "server_error"
        raise DownloadError(kind, f"The server did not give {recording.name} (status {error.code}).") from error
    except TimeoutError as error:
        raise DownloadError("timeout", f"The server of {recording.name} stopped answering; try again.") from error
    except (urllib.error.URLError, ssl.SSLError, ConnectionError) as error:
        message = f"The server of {recording.name} cannot be reached; check the connection to the internet."
        raise DownloadError("no_network", message) from error
    if not complete and part.stat().st_size < recording.bytes:
        raise DownloadError("incomplete", f"The download of {recording.name} stopped before its end; try again.")


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect on the same host alone."""

    def redirect_request(self, request, file, code, message, headers, address):
        old, new = urlsplit(request.full_url), urlsplit(address)
        if (new.scheme, new.netloc) != (old.scheme, old.netloc):
            raise urllib.error.HTTPError(request.full_url, code, "redirect to another host", headers, file)
        return super().redirect_request(request, file, code, message, headers, address)


def doubles(folder=FOLDER):
    """Pairs of fetched files with different uses that hold the same sound: [(Path, Path), ...]."""
    paths = sorted(path for use in USES for path in Path(folder, use).glob("*/*.flac"))
    use = [path.relative_to(folder).parts[0] for path in paths]
    return [(paths[i], paths[j]) for i, j in alike(paths) if use[i] != use[j]]


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.corpus.recordings", description="Fetch the real recordings of a table."
    )
    parser.add_argument("table", nargs="?", default=TABLE, help="the table (default: data/recordings.csv)")
    parser.add_argument("--out", default=FOLDER, help=f"the folder to write (default: {FOLDER})")
    options = parser.parse_args(arguments)
    try:
        wanted = read(options.table)
        with tqdm(total=len(wanted), unit="recording") as bar:

            def show(done, _, name):
                bar.set_description_str(name[:30].ljust(30))
                bar.update(done - bar.n)

            failures = fetch(wanted, options.out, show)
        same = doubles(options.out)
    except SourceError as error:
        parser.exit(1, f"{error}\n")
    for message in failures["message"]:
        print(message)
    for one, other in same:
        print(f"{one} and {other} are the same sound; leave one of them out.")
    print(f"{len(wanted) - len(failures)} of {len(wanted)} recordings are in {options.out}")
    return int(bool(len(failures) or same))


if __name__ == "__main__":
    raise SystemExit(main())
