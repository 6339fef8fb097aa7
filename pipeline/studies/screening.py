"""Which network, and which way to train it? Variants of the released network, compared on the same clips.

Every run is a file, so a stopped screening goes on. The table has a row for each epoch of each run, because all epochs
and seeds of a variant count, not its best epoch.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import pandas as pd

from nn import Model
from pipeline import files, parsing
from pipeline.corpus import dataset
from pipeline.errors import PipelineError
from pipeline.learning.evaluation import binary_metrics, piano_probabilities
from pipeline.learning.networks import recognizer_network, thesis_network
from pipeline.learning.training import mix_over_piano, train
from pipeline.song.recognition import PIANO
from pipeline.studies.experiments import hyphenated

NARROW, MEDIUM = (16, 32, 64, 64), (24, 48, 96, 96)  # filters
VARIANTS = {  # name: network, share of piano clips that are mixed with other sound, kinds of recordings left out
    "thesis network": (thesis_network, 0.1),
    "recognizer": (recognizer_network, 0.1),
    "recognizer, packages alone": (recognizer_network, 0.1, "own"),
    "recognizer without mixing": (recognizer_network, 0.0),
    "recognizer with masking": (partial(recognizer_network, masked=True), 0.1),
    "medium recognizer": (partial(recognizer_network, filters=MEDIUM), 0.1),
    "narrow recognizer": (partial(recognizer_network, filters=NARROW), 0.1),
    "narrow recognizer with masking": (partial(recognizer_network, filters=NARROW, masked=True), 0.1),
    "narrow recognizer with masking, not pooled over time": (
        partial(recognizer_network, filters=(16, 32, 32, 64), last_pool=2, masked=True),
        0.1,
    ),
    "recognizer, narrower at first and wider at last": (partial(recognizer_network, filters=(16, 32, 96, 128)), 0.1),
}


def screen(data, recordings, folder, variants, seeds, epochs, limit):
    """Train each variant once for each seed on `limit` clips of a dataset (None: all); a DataFrame with a row an epoch.

    Columns: variant, seed, clips (the limit), dataset (its fingerprint), parameters, epoch, and the metrics of
    `History.epochs` with those of `recordings`, a folder of held-out recordings. test_auc is that of the best epoch on
    the test split; no choice is made by it.
    """
    tables, fingerprint = [], dataset.fingerprint(data)
    test_clips, test_labels, _, names = dataset.load(data, "test")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for variant in variants:
        network, share, *without = VARIANTS[variant]
        for seed in seeds:
            out = Path(folder) / f"{hyphenated(variant)}-{limit or 'all'}-{seed}.npz"
            settings = {"monitor": "recordings_loss", "augment": mix_over_piano(share), "without": without}
            best = train(data, out, network, epochs, seed=seed, recordings=recordings, limit=limit, **settings)
            test = binary_metrics(test_labels == names.index(PIANO), piano_probabilities(best, test_clips))
            about = {
                "variant": variant,
                "seed": seed,
                "clips": str(limit or "all"),
                "dataset": fingerprint,
                "parameters": sum(layer.n_parameters for layer in best.layers),
                "test_auc": test["auc"],
            }
            tables.append(Model.load(f"{out}.checkpoint.npz").history.epochs.reset_index().assign(**about))
    table = pd.concat(tables, ignore_index=True)
    return table[[*about, *table.columns.difference(about, sort=False)]]


def main(arguments=None):
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.screening", description="Compare networks and ways to train them."
    )
    parser.add_argument("data", help="a dataset made by pipeline.corpus.dataset")
    parser.add_argument("recordings", help="a folder of held-out recordings, a sub-folder a class")
    out_help = "rows are added to this table"
    parser.add_argument("--out", type=parsing.path, default="data/results/screening.csv", help=out_help)
    parser.add_argument("--runs", default="data/generated/screening", help="folder for the runs")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=parsing.seed, default=[0])
    parser.add_argument("--epochs", type=parsing.count, default=4)
    clips_help = "of the dataset to use; 0 for all"
    parser.add_argument("--clips", type=partial(parsing.count, least=0), default=33602, help=clips_help)
    options = parser.parse_args(arguments)
    budget = options.seeds, options.epochs, options.clips or None
    try:
        table = screen(options.data, options.recordings, options.runs, options.variants, *budget)
    except PipelineError as error:
        print(f"screening: {error}", file=sys.stderr)
        return 1
    out = Path(options.out)
    if out.exists():
        known = pd.read_csv(out, dtype={"clips": str, "dataset": str})
        table = pd.concat([known, table]).drop_duplicates(["variant", "seed", "clips", "dataset", "epoch"], keep="last")
    files.write_table(out, table, float_format="%.4g")
    return 0


if __name__ == "__main__":
    sys.exit(main())
