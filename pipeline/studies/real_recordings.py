"""The model on real recordings: those that chose it (dev), and those that only test it.

`python -m pipeline.studies.real_recordings` labels what `make recordings` fetched, and writes a row a recording to
data/results/real_recordings.csv and the figures of each use to data/results/real_recordings.json.
"""

import argparse
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pipeline import files, parsing
from pipeline.batch import labelling
from pipeline.corpus import recordings
from pipeline.errors import PipelineError, SourceError
from pipeline.learning.evaluation import as_text, with_intervals
from pipeline.song.recognition import MODEL_PATH, PIANO, Recognizer

RESULTS = Path("data/results")
LONG = 5  # seconds; shorter recordings are single notes and phrases


def label(sources, recognizer):
    """The answer for each of `sources`, dicts with the `path` of a file and what else is known of it.

    Returns a DataFrame: what is known, seconds (that voted), piano_votes (their share for piano), piano_probability
    and predicted (the label); rows of files that cannot be judged are left out.
    """
    rows = []
    for source in tqdm(sources, "labelling", unit="recording", disable=None):
        try:
            answer = recognizer.recognize(str(source["path"]))
        except PipelineError as error:
            tqdm.write(f"{source['path']}: {error}")
            continue
        known = {name: value for name, value in source.items() if name != "path"}
        votes = answer.votes.get(PIANO, 0) / sum(answer.votes.values())
        rows.append(
            known
            | {
                "seconds": sum(answer.votes.values()),
                "piano_votes": round(votes, 4),
                "piano_probability": round(float(answer.piano_probability), 4),
                "predicted": answer.label,
            }
        )
    return pd.DataFrame(rows)


def figures(table):
    """`with_intervals` of the labels of a table with label, predicted and piano_probability, a row a recording."""
    return with_intervals(table["label"] == PIANO, table["piano_probability"], table["predicted"] == PIANO)


def by_use(table):
    """`figures` of each use of the table of `label`, and of its recordings of at least `LONG` seconds."""
    found = {}
    for use, part in table.groupby("use"):
        found[use] = figures(part)
        found[f"{use}, {LONG} s and longer"] = figures(part[part["seconds"] >= LONG])
    return found


def markdown(found):
    """The figures as a table, a row each."""
    columns = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "F1": "f1", "AUC": "auc"}
    lines = [f"| recordings | n (piano) | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for name, row in found.items():
        texts = as_text(row)
        cells = " | ".join(texts[key] for key in columns.values())
        lines.append(f"| {name} | {row['n']} ({row['n_piano']}) | {cells} |")
    return "\n".join(lines)


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.real_recordings", description="Judge a model by real recordings."
    )
    parser.add_argument(
        "--model", type=parsing.path, default=MODEL_PATH, help="the model file (default: the released one)"
    )
    parser.add_argument("--table", type=parsing.path, default=recordings.TABLE)
    parser.add_argument("--folder", type=parsing.path, default=recordings.FOLDER, help="what `make recordings` wrote")
    parser.add_argument("--results", type=parsing.path, default=RESULTS, help="the folder to write")
    options = parser.parse_args(arguments)
    try:
        wanted = [r for r in recordings.read(options.table) if r.use != "train"]
        missing = [r.name for r in wanted if not r.path(options.folder).exists()]
        if missing:
            message = (
                f"{len(missing)} of {len(wanted)} recordings are not in {options.folder}; fetch them: make recordings"
            )
            raise SourceError("missing", message)
        known = ("name", "label", "use", "performer")
        sources = [{name: getattr(r, name) for name in known} | {"path": r.path(options.folder)} for r in wanted]
        table = label(sources, Recognizer(options.model))
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    found = by_use(table)
    checksum = labelling.fingerprint(options.model)
    files.write_table(Path(options.results, "real_recordings.csv"), table)
    files.write_json(Path(options.results, "real_recordings.json"), {"model": checksum, "figures": found})
    print(markdown(found))
    print(table[table["label"] != table["predicted"]].to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
