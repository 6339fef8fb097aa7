"""The model and the published detector on the 199 tracks of YouTube that the detector's authors labelled by hand.

`python -m pipeline.studies.youtube_test` scrapes the tracks of data/youtube_test.csv (an hour; it goes on where it was
stopped), labels them, and writes data/results/youtube_test.csv and .json, and a picture of every disagreement.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline import files, parsing
from pipeline.batch import PER_HOUR, labelling
from pipeline.corpus import playlists
from pipeline.errors import PipelineError, SourceError
from pipeline.figures import style
from pipeline.figures.evaluation import disagreements
from pipeline.learning.evaluation import as_text, with_intervals
from pipeline.progress import ProgressBar
from pipeline.song.recognition import MODEL_PATH, PIANO
from pipeline.studies.real_recordings import RESULTS

TRACKS, FOLDER = Path("data/youtube_test.csv"), Path("data/generated/youtube-test")


def refuse_overlap(tracks, others=playlists.TABLE):
    """Raise SourceError if a track of the test also stands in the table of songs to train on."""
    shared = {row.link.url for row in playlists.read(tracks)} & {row.link.url for row in playlists.read(others)}
    if shared:
        raise SourceError("overlap", f"{min(shared)} is in {tracks} and in {others}; a song that trains cannot test.")


def judged(tracks, songs, answers):
    """The tracks that were had and could be judged: a DataFrame with a row a track.

    tracks : the table of the list, with link, label, family and detector (the probability of the published detector)
    songs : what `playlists.scrape` returned
    answers : the rows of `batch` for its folder
    """
    answers = answers.dropna(subset=["label"]).rename(columns={"label": "predicted"})
    answers = answers.assign(file=answers["source"].map(lambda source: "/".join(Path(source).parts[-2:])))
    columns = ["file", "predicted", "piano_probability", "seconds", "timeline"]
    table = tracks.merge(songs[["link", "file"]], on="link").merge(answers[columns], on="file")
    return table.drop(columns="file")


def figures(table):
    """Both systems on the same tracks: {"ours, majority vote": `with_intervals`, "published detector": the same}."""
    is_piano = table["label"] == PIANO
    return {
        "ours, majority vote": with_intervals(is_piano, table["piano_probability"], table["predicted"] == PIANO),
        "published detector": with_intervals(is_piano, table["detector"]),
    }


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.youtube_test",
        description="Judge a model by 199 hand-labelled tracks of YouTube.",
    )
    parser.add_argument(
        "--model", type=parsing.path, default=MODEL_PATH, help="the model file (default: the released one)"
    )
    parser.add_argument("--tracks", type=parsing.path, default=TRACKS, help=f"the list (default: {TRACKS})")
    parser.add_argument("--folder", type=parsing.path, default=FOLDER, help=f"for the tracks (default: {FOLDER})")
    parser.add_argument(
        "--results", type=parsing.path, default=RESULTS, help=f"the folder to write (default: {RESULTS})"
    )
    parser.add_argument("--per-hour", type=parsing.count, default=PER_HOUR, help=f"downloads (default: {PER_HOUR})")
    options = parser.parse_args(arguments)
    folder, results = Path(options.folder), Path(options.results)
    try:
        refuse_overlap(options.tracks)
        songs = playlists.scrape_with_bar(options.tracks, folder / "songs", per_hour=options.per_hour)
        with ProgressBar() as bar:
            labelling.run(folder / "songs", folder / "answers.parquet", options.model, progress=bar)
    except PipelineError as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped; the same command goes on.\n")
    tracks = pd.read_csv(options.tracks, comment="#")
    table = judged(tracks, songs, pd.read_parquet(folder / "answers.parquet"))
    found = figures(table)
    wrong = table[table["label"] != table["predicted"]]
    files.write_table(results / "youtube_test.csv", table.drop(columns="timeline"))
    checksum = labelling.fingerprint(options.model)
    summary = {"model": checksum, "tracks": len(tracks), "judged": len(table), "figures": found}
    files.write_json(results / "youtube_test.json", summary)
    if len(wrong):
        style.use()
        figure = disagreements(wrong["link"], wrong["label"], [np.asarray(line) for line in wrong["timeline"]])
        style.save(figure, "youtube-test", folder)
        plt.close(figure)
    print(playlists.summary(songs).to_string())
    for name, row in found.items():
        print(f"{name}: " + ", ".join(f"{key} {text}" for key, text in as_text(row).items()))
    print(wrong.drop(columns="timeline").to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
