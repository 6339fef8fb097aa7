"""What a batch knows: every song of the list in its order, and its row once there is one; and the Parquet file of rows.

It is kept in an SQLite file beside the output. Every row is a transaction that is forced to the disk, so that a killed
process, a full disk or a power cut lose only what was still running, and nothing is there twice.
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

_IS_LINK = "substr(key, 1, 8) = CAST('https://' AS BLOB)"
_TABLES = f"""
CREATE TABLE about (json TEXT, is_written INTEGER);
CREATE TABLE songs
    (id INTEGER PRIMARY KEY, line INTEGER, position INTEGER, source BLOB, key BLOB UNIQUE, state INTEGER, row TEXT);
CREATE UNIQUE INDEX places ON songs (line, position);
CREATE INDEX pending ON songs (({_IS_LINK}), line, position) WHERE state = {PENDING};
CREATE INDEX states ON songs (state);
PRAGMA application_id = {APPLICATION_ID};
"""
_NEXT = f"""
SELECT id, line, source FROM songs WHERE state = {PENDING} AND ({_IS_LINK}) = ? ORDER BY line, position LIMIT ?
"""
_REASONS = f"""
SELECT json_extract(row, '$.error'), count(*) FROM songs WHERE state = {FAILED} GROUP BY 1 ORDER BY 2 DESC, 1
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
        self.file = Path(f"{path}.journal")
        if self.path.is_dir():  # as "" is, and "."
            raise _refused(f"{self.path} is a folder; give --out the name of a file.")
        if self.path.suffix != ".parquet":
            raise _refused(f"{self.path} would be a Parquet file; give --out a name that ends in .parquet.")
        if not self.path.parent.is_dir():
            raise _refused(f"There is no folder {self.path.parent}; make it, or choose another --out.")
        if self.path.exists():
            if not self.file.exists():
                raise _refused(f"{self.path} is there already, without the journal of a batch; choose another --out.")
            _compare(self.path, _parquet_about(self.path), about)
        with _errors_as_sentences(self.file):
            self._database = sqlite3.connect(self.file, timeout=1, isolation_level=None)
            self._execute("PRAGMA locking_mode = EXCLUSIVE")  # refuses a second run, and WAL needs no shared memory
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA synchronous = FULL")
            self.is_new = self._value("SELECT count(*) FROM sqlite_master") == 0
            if not self.is_new:
                if self._value("PRAGMA application_id") != APPLICATION_ID:
                    raise _refused(f"{self.file} is something else than the journal of a batch; choose another --out.")
                _compare(self.path, json.loads(self._value("SELECT json FROM about")), about)

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        self._database.close()
        if isinstance(error, sqlite3.Error):  # a page of the file that was damaged, say
            with _errors_as_sentences(self.file):
                raise error

    def fill(self, entries):
        """Write down the whole list, or nothing of it: `entries` yields (source, key). A key counts once."""
        with self._transaction():
            for statement in _TABLES.split(";\n"):
                self._execute(statement)
            self._execute("INSERT INTO about VALUES (?, 0)", json.dumps(self.about))
            self._insert((line, 0, *entry) for line, entry in enumerate(entries))

    def expand(self, song, entries):
        """Put the songs of a playlist or folder in the place of its line."""
        with self._transaction():
            self._insert((song.line, position, *entry) for position, entry in enumerate(entries, 1))
            self._execute("UPDATE songs SET state = ? WHERE id = ?", EXPANDED, song.id)

    def pending(self, n, links=False):
        """The first `n` files, or links, that have no row yet: a list of Song, in the order of the list."""
        return [Song(id, line, os.fsdecode(source)) for id, line, source in self._execute(_NEXT, links, n)]

    def record(self, song, row):
        """Keep the row of a song, a dict that has "error" where it failed."""
        state = FAILED if "error" in row else DONE
        with self._transaction():
            self._execute("UPDATE songs SET state = ?, row = ? WHERE id = ?", state, json.dumps(row), song.id)
            self._execute("UPDATE about SET is_written = 0 WHERE is_written")

    def retry_failed(self):
        """Make every failed song pending again."""
        with self._transaction():
            self._execute("UPDATE songs SET state = ?, row = NULL WHERE state = ?", PENDING, FAILED)

    def count(self):
        """How many songs are pending, done and failed."""
        counts = dict(self._execute("SELECT state, count(*) FROM songs GROUP BY state"))
        return tuple(counts.get(state, 0) for state in (PENDING, DONE, FAILED))

    def reasons(self):
        """How many songs failed for each kind of error, the most frequent first."""
        return dict(self._execute(_REASONS))

    @property
    def is_written(self):
        """Whether the Parquet file holds all that the journal knows."""
        return self.path.exists() and self._value("SELECT is_written FROM about") == 1

    def write_parquet(self, class_names):
        """Write the rows to `path`, in the order of the list. An older file stays until the new one is whole."""
        import pyarrow as pa
        from pyarrow import parquet

        schema = _schema(pa, class_names).with_metadata({"batch": json.dumps(self.about)})
        query = f"SELECT source, row FROM songs WHERE state IN ({DONE}, {FAILED}) ORDER BY line, position"
        rows = self._execute(query)
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
                self._execute("UPDATE about SET is_written = 1")
        except OSError as error:
            reason = f"{self.path} cannot be written ({error.strerror or error})"
            message = f"{reason}; the rows are safe in the journal, so make room and run the same command again."
            raise _refused(message) from error

    def _insert(self, rows):
        encoded = ((line, position, os.fsencode(source), os.fsencode(key)) for line, position, source, key in rows)
        columns = f"(line, position, source, key, state) VALUES (?, ?, ?, ?, {PENDING})"
        self._database.executemany(f"INSERT OR IGNORE INTO songs {columns}", encoded)

    def _execute(self, query, *values):
        return self._database.execute(query, values)

    def _value(self, query):
        return self._execute(query).fetchone()[0]

    @contextmanager
    def _transaction(self):
        with _errors_as_sentences(self.file):
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has rolled back already
                    self._execute("ROLLBACK")
                raise


def _refused(message):
    return BatchError("output", message)


@contextmanager
def _errors_as_sentences(file):
    """SQLite's errors as BatchErrors."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise _refused(f"{file} is in use: another run of this batch is under way.") from error
        if "unable to open" in str(error) or "readonly" in str(error):
            message = f"{file} cannot be opened; check whether you may write there, or choose another --out."
            raise _refused(message) from error
        reason = f"The journal {file} cannot be written ({error})"
        message = f"{reason}; nothing in it is lost, so make room on the disk and run the same command again."
        raise BatchError("disk", message) from error
    except sqlite3.DatabaseError as error:
        message = f"{file} is something else than the journal of a batch, or damaged; choose another --out."
        raise _refused(message) from error


def _text(value):
    """Text that Parquet takes: bytes of a file's name that are no text become escapes, so that two names stay two."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _compare(path, found, about):
    for name in about:
        if found.get(name) != about[name]:
            reason = f"{path} belongs to another batch (with another {name})"
            message = f"{reason}; choose another --out, or delete it together with its journal."
            raise BatchError("other_batch", message)


def _parquet_about(path):
    """What a Parquet file says it was made from; {} if it does not say."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return json.loads((parquet.read_schema(path).metadata or {}).get(b"batch", "{}"))
    except (pa.ArrowInvalid, ValueError):
        return {}
    except OSError:
        raise _refused(f"{path} cannot be read; check its permissions, or choose another --out.") from None


def _schema(pa, class_names):
    """The columns, named as in `label --json`."""
    text, number = pa.string(), pa.float32()
    values = {
        "confidence": number,
        "probabilities": pa.struct(dict.fromkeys(class_names, number)),
        "votes": pa.struct(dict.fromkeys(class_names, pa.int32())),
        "seconds": pa.float64(),
        "piano_probability": number,
        "timeline": pa.list_(number),
        "cut_short": pa.bool_(),
    }
    names = dict.fromkeys(("source", "title", "label"), text)
    return pa.schema(names | values | dict.fromkeys(("error", "message"), text))
