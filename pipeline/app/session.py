"""The songs of one session of the demo, as a table to look at and as CSV to keep.

Titles are untrusted text: they are escaped for the page, and quoted for spreadsheets.
"""

import base64
import csv
import io
from dataclasses import dataclass
from html import escape

from pipeline.app.stage import animation_of
from pipeline.errors import printable
from pipeline.text import clock, percent

COLUMNS = ("number", "title", "source", "label", "confidence", "votes", "clips", "seconds", "error", "message")
HEADER = (
    '<th class="po-number" scope="col">#</th><th scope="col">Song</th><th scope="col">Label</th>'
    '<th class="po-number" scope="col">Confidence</th><th class="po-number po-optional" scope="col">Votes</th>'
    '<th class="po-number po-optional" scope="col">Length</th>'
)


@dataclass
class Row:
    """A song: its title and source, and at the end a Recognition or the PipelineError that stopped it."""

    title: str
    source: str
    recognition: object = None
    error: Exception = None

    @property
    def is_open(self):
        """Whether the song still waits for its answer."""
        return self.recognition is None and self.error is None


class Session:
    """All rows, the oldest first."""

    def __init__(self):
        self.rows = []

    def add(self, title, source):
        """A new Row at the end."""
        self.rows.append(Row(title, source))
        return self.rows[-1]

    def drop_open(self):
        """Forget the songs that got no answer, after a cancel."""
        self.rows = [row for row in self.rows if not row.is_open]

    def to_csv(self):
        """The finished songs as CSV, with a header."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for number, row in enumerate(self.rows, 1):
            if row.is_open:
                continue
            answer, cells = row.recognition, ["", "", "", "", ""]
            if answer:
                votes = answer.votes[answer.label], sum(answer.votes.values())
                cells = [answer.label, round(answer.confidence, 4), *votes, round(answer.seconds, 2)]
            said = [row.error.kind, str(row.error)] if row.error else ["", ""]
            writer.writerow([number, _quoted(row.title), _quoted(row.source), *cells, *said])
        return file.getvalue()

    def to_html(self):
        """The table, and a link that saves the CSV; empty while there is no song."""
        if not self.rows:
            return ""
        rows = "".join(_table_row(number, row) for number, row in enumerate(self.rows, 1))
        # The byte order mark tells spreadsheets that this is UTF-8.
        data = base64.b64encode(("\ufeff" + self.to_csv()).encode()).decode()
        return (
            f"<table><caption>Songs of this session</caption><thead><tr>{HEADER}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            '<a class="po-save" download="piano-or-other.csv" '
            f'href="data:text/csv;charset=utf-8;base64,{data}">Save as CSV</a>'
        )


def _table_row(number, row):
    start = f'<tr><td class="po-number">{number}</td><td class="po-song"><bdi>{escape(printable(row.title))}</bdi></td>'
    if row.is_open:
        return f'{start}<td colspan="4" class="po-waiting">waiting</td></tr>'
    if row.error:
        return f'{start}<td colspan="4" class="po-failed">{escape(str(row.error))}</td></tr>'
    answer = row.recognition
    votes, n_clips = answer.votes[answer.label], sum(answer.votes.values())
    return (
        f'{start}<td><b data-name="{animation_of(answer.label)}">{escape(answer.label)}</b></td>'
        f'<td class="po-number">{escape(percent(answer.confidence))}</td>'
        f'<td class="po-number po-optional">{votes:,} of {n_clips:,} s</td>'
        f'<td class="po-number po-optional">{clock(answer.seconds)}</td></tr>'
    )


def _quoted(text):
    """A text with a quote in front, where a spreadsheet would read a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text
