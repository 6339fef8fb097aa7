"""What a batch knows: every song of the list in its order, and its row once there is one; then the Parquet file made of them.

An SQLite file beside the output. Every row is a transaction that is forced to the disk (synchronous=FULL), so that a
killed process, a full disk or a power cut lose only what was still running, and nothing is there twice.
"""

import json
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline import files
from pipeline.errors import PipelineError

APPLICATION_ID = 0x50694F74  # "PiOt", written into the header of the file
CHUNK = 1000  # rows of the Parquet file held in memory
PENDING, DONE, FAILED, EXPANDED = range(4)
IS_LINK = "substr(key, 1, 8) = CAST('https://' AS BLOB)"

_TABLES = f"""
CREATE TABLE about (json TEXT, is_written INTEGER);
CREATE TABLE songs (id INTEGER PRIMARY KEY, line INTEGER, position INTEGER, source BLOB, key BLOB UNIQUE, state INTEGER, row TEXT);
CREATE UNIQUE INDEX places ON songs (line, position);
CREATE INDEX pending ON songs (({IS_LINK}), line, position) WHERE state = {PENDING};
CREATE INDEX states ON songs (state);
PRAGMA application_id = {APPLICATION_ID};
"""


class BatchError(PipelineError):
    """A batch that cannot begin, or cannot go on."""


class Song(NamedTuple):
    """A line of the list, or a song out of a playlist or folder on it."""

    id: int
    line: int
    source: str


class Journal:
    """The journal of the output at `path`; a context manager. It belongs to one process at a time.

    Parameters
    ----------
    path : Path
        Of the Parquet file; the journal is `path` with `.journal` appended.
    about : dict of str to str
        What the rows depend on, such as {"list": hash, "model": hash}. Raises BatchError where a journal or a Parquet
        file that is there already says otherwise, or is something else.
    """

    def __init__(self, path, about):
        self.path, self.about = Path(path), about
        if self.path.is_dir():  # as "" is, and "."
            raise BatchError("output", f"{self.path} is a folder; give --out the name of a file.")
        if self.path.suffix != ".parquet":
            raise BatchError("output", f"{self.path} would be a Parquet file; give --out a name that ends in .parquet.")
        self.file = self.path.with_name(self.path.name + ".journal")
        if not self.path.parent.is_dir():
            raise BatchError("output", f"There is no folder {self.path.parent}; make it, or choose another --out.")
        if self.path.exists() and not self.file.exists():
            raise BatchError(
                "output", f"{self.path} is there already and no batch wrote it that could go on; choose another --out."
            )
        if self.path.exists():
            _compare(self.path, _parquet_about(self.path), about)
        with _said_plainly(self.file):
            self._database = sqlite3.connect(self.file, timeout=1, isolation_level=None)
            self._database.execute(
                "PRAGMA locking_mode = EXCLUSIVE"
            )  # refuses a second run, and WAL needs no shared memory
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            (is_ours,) = self._one("PRAGMA application_id")
            (tables,) = self._one("SELECT count(*) FROM sqlite_master")
            self.is_new = not tables
            if tables and is_ours != APPLICATION_ID:
                raise BatchError(
                    "output", f"{self.file} is something else than the journal of a batch; choose another --out."
                )
            if tables:
                _compare(self.path, json.loads(self._one("SELECT json FROM about")[0]), about)

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        self._database.close()
        if isinstance(error, sqlite3.Error):  # a page of the file that was damaged, say
            with _said_plainly(self.file):
                raise error

    def fill(self, entries):
        """Write down the whole list, or nothing of it: `entries` yields (source, key); a key that was there is left out."""
        with self._transaction():
            for statement in _TABLES.split(";\n"):
                self._database.execute(statement)
            self._database.execute("INSERT INTO about VALUES (?, 0)", [json.dumps(self.about)])
            self._insert((line, 0, *entry) for line, entry in enumerate(entries))

    def expand(self, song, entries):
        """Put the songs of a playlist or folder in the place of its line."""
        with self._transaction():
            self._insert((song.line, position, *entry) for position, entry in enumerate(entries, 1))
            self._database.execute("UPDATE songs SET state = ? WHERE id = ?", [EXPANDED, song.id])

    def pending(self, n, links=False):
        """The first `n` files, or links, that have no row yet: a list of Song, in the order of the list."""
        query = f"SELECT id, line, source FROM songs WHERE state = {PENDING} AND ({IS_LINK}) = ? ORDER BY line, position LIMIT ?"
        return [Song(id, line, os.fsdecode(source)) for id, line, source in self._database.execute(query, [links, n])]

    def record(self, song, row):
        """Keep the row of a song, a dict that has "error" where it failed."""
        with self._transaction():
            state = FAILED if "error" in row else DONE
            self._database.execute(
                "UPDATE songs SET state = ?, row = ? WHERE id = ?", [state, json.dumps(row), song.id]
            )
            self._database.execute("UPDATE about SET is_written = 0 WHERE is_written")

    def retry_failed(self):
        """Make every failed song pending again."""
        with self._transaction():
            self._database.execute("UPDATE songs SET state = ?, row = NULL WHERE state = ?", [PENDING, FAILED])

    def count(self):
        """How many songs are pending, done and failed."""
        counts = dict(self._database.execute("SELECT state, count(*) FROM songs GROUP BY state"))
        return tuple(counts.get(state, 0) for state in (PENDING, DONE, FAILED))

    def reasons(self):
        """How many songs failed for each kind of error, the most frequent first."""
        query = f"SELECT json_extract(row, '$.error'), count(*) FROM songs WHERE state = {FAILED} GROUP BY 1 ORDER BY 2 DESC, 1"
        return dict(self._database.execute(query))

    @property
    def is_written(self):
        """Whether the Parquet file holds all that the journal knows."""
        return self.path.exists() and self._one("SELECT is_written FROM about")[0] == 1

    def write_parquet(self, class_names):
        """Write the rows, in the order of the list, to `path`; the file that is there stays whole until the new one is."""
        import pyarrow as pa
        from pyarrow import parquet

        schema = _schema(pa, class_names).with_metadata({"batch": json.dumps(self.about)})
        rows = self._database.execute(
            f"SELECT source, row FROM songs WHERE state IN ({DONE}, {FAILED}) ORDER BY line, position"
        )
        try:
            with files.replacing(self.path) as temporary:
                with parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
                    while chunk := rows.fetchmany(CHUNK):
                        found = [json.loads(row) | {"source": os.fsdecode(source)} for source, row in chunk]
                        found = [{name: _text(value) for name, value in row.items()} for row in found]
                        writer.write_table(pa.Table.from_pylist(found, schema))
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
            with self._transaction():
                self._database.execute("UPDATE about SET is_written = 1")
        except OSError as error:
            raise BatchError(
                "output",
                f"{self.path} cannot be written ({error.strerror or error}); the rows are safe in the journal, "
                "so make room and run the same command again.",
            ) from error

    def _insert(self, rows):
        encoded = ((line, position, os.fsencode(source), os.fsencode(key)) for line, position, source, key in rows)
        self._database.executemany(
            f"INSERT OR IGNORE INTO songs (line, position, source, key, state) VALUES (?, ?, ?, ?, {PENDING})", encoded
        )

    def _one(self, query):
        return self._database.execute(query).fetchone()

    @contextmanager
    def _transaction(self):
        with _said_plainly(self.file):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has rolled back already
                    self._database.execute("ROLLBACK")
                raise


@contextmanager
def _said_plainly(file):
    """SQLite's errors as sentences."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise BatchError("output", f"{file} is in use: another run of this batch is under way.") from error
        if "unable to open" in str(error):
            raise BatchError(
                "output", f"{file} cannot be opened; check whether you may write there, or choose another --out."
            ) from error
        raise BatchError(
            "disk",
            f"The journal {file} cannot be written ({error}); nothing in it is lost, so make room on the disk "
            "and run the same command again.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise BatchError(
            "output", f"{file} is something else than the journal of a batch, or damaged; choose another --out."
        ) from error


def _text(value):
    """Text that Parquet takes: bytes of a file's name that are no text become escapes, so that two names stay two."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _compare(path, found, about):
    for name in about:
        if found.get(name) != about[name]:
            raise BatchError(
                "other_batch",
                f"{path} belongs to another batch (with another {name}); choose another --out, or delete it "
                "together with its journal.",
            )


def _parquet_about(path):
    """What a Parquet file says it was made from; {} if it does not say."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return json.loads((parquet.read_schema(path).metadata or {}).get(b"batch", "{}"))
    except (pa.ArrowInvalid, ValueError):
        return {}
    except OSError:
        raise BatchError("output", f"{path} cannot be read; check its permissions, or choose another --out.") from None


def _schema(pa, class_names):
    """The columns, named as in `label --json`."""
    names = [pa.field(name, pa.float32()) for name in class_names]
    return pa.schema(
        [
            ("source", pa.string()),
            ("title", pa.string()),
            ("label", pa.string()),
            ("confidence", pa.float32()),
            ("probabilities", pa.struct(names)),
            ("votes", pa.struct([pa.field(name, pa.int32()) for name in class_names])),
            ("seconds", pa.float64()),
            ("piano_probability", pa.float32()),
            ("timeline", pa.list_(pa.float32())),
            ("error", pa.string()),
            ("message", pa.string()),
        ]
    )
