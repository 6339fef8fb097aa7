"""How good a model is: metrics of clips and of whole recordings, with confidence intervals.

People ask about recordings, and clips of one recording resemble each other. So recordings are counted wherever there
are any, and bootstrap intervals resample recordings.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support, roc_auc_score

from pipeline.corpus.collection import class_files, naming
from pipeline.song.audio import load
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import PIANO, levels, pooled

RESAMPLES = 500  # of the bootstrap
BINS = 10  # of the calibration


def folder_clips(folder):
    """The clips of every recording below `folder`, which has a sub-folder for each class.

    Returns
    -------
    clips : float32 array (n, 16000)
    table : DataFrame with a row a clip: recording (its path within the folder), label, start (seconds), level
    """
    return recording_clips(class_files(folder))


def recording_clips(recordings):
    """The clips of recordings, (path, name, label) each, and their table, as `folder_clips` gives them."""
    clips, tables = [], []
    for path, name, label in recordings:
        with naming(name):
            found, starts = cut_array(load(path))
        clips.append(found)
        tables.append(pd.DataFrame({"recording": name, "label": label, "start": starts, "level": levels(found)}))
    return np.concatenate(clips), pd.concat(tables, ignore_index=True)


def piano_probabilities(model, clips):
    """Probability of the class Piano for each clip (n, samples): float array (n,)."""
    return model.predict(clips)[:, model.class_names.index(PIANO)].astype(float)


def pooled_piano(probabilities, weights):
    """`pipeline.song.recognition.pooled` for the probabilities (n,) of one class out of two: a float."""
    return pooled(np.stack([probabilities, 1 - probabilities], axis=1), weights)[0]


def by_recording(table, probabilities, threshold=0.5):
    """The answer for each recording: a DataFrame with piano_probability, piano_votes and predicted_piano, a row each.

    `table` has a row a clip: recording, label, and a level if it weights the probabilities, which are pooled as in
    `pipeline.song.recognition.pooled`. Other columns keep their first value. piano_votes is the share of the clips with
    a probability above the threshold; the majority decides, in a tie the pooled probability.
    """
    votes, weight = probabilities > threshold, table.get("level", 1.0)
    clips = table.assign(piano_votes=votes, _probability=probabilities, _weight=weight)
    grouped = clips.groupby("recording", sort=False)
    extra = {name: (name, "first") for name in table.columns if name not in ("recording", "start", "level")}
    result = grouped.agg(**extra, clips=("label", "size"), piano_votes=("piano_votes", "mean"))
    result["piano_probability"] = [
        pooled_piano(song["_probability"].to_numpy(), song["_weight"].to_numpy()) for _, song in grouped
    ]
    tie = (result["piano_votes"] == 0.5) & (result["piano_probability"] > threshold)
    result["predicted_piano"] = (result["piano_votes"] > 0.5) | tie
    return result.reset_index()


def binary_metrics(is_piano, score, predicted=None):
    """Accuracy, precision, recall, F1, balanced accuracy and AUC of the class Piano; `score` (n,) is its probability.

    `predicted` (n,) is `score > 0.5` by default. With one class only, balanced accuracy and AUC are NaN.
    """
    is_piano, score = np.asarray(is_piano, bool), np.asarray(score, float)
    predicted = score > 0.5 if predicted is None else np.asarray(predicted, bool)
    both = 0 < is_piano.sum() < len(is_piano)
    precision, recall, f1, _ = precision_recall_fscore_support(is_piano, predicted, average="binary", zero_division=0)
    return {
        "n": len(is_piano),
        "n_piano": int(is_piano.sum()),
        "accuracy": float((is_piano == predicted).mean()),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "balanced_accuracy": float(balanced_accuracy_score(is_piano, predicted)) if both else float("nan"),
        "auc": float(roc_auc_score(is_piano, score)) if both else float("nan"),
    }


def with_intervals(is_piano, score, predicted=None, groups=None):
    """`binary_metrics`, and under "intervals" their 95 % intervals: name -> [low, high].

    They are bootstrap intervals over rows; resamples without both classes do not count. `groups` (n,): rows of one
    group are drawn together, as clips of one recording resemble each other. Without groups, accuracy, precision and
    recall are shares of independent rows, and their intervals are exact (Clopper and Pearson, 1934).
    """
    is_piano, score = np.asarray(is_piano, bool), np.asarray(score, float)
    predicted = score > 0.5 if predicted is None else np.asarray(predicted, bool)
    group = np.arange(len(is_piano)) if groups is None else pd.factorize(np.asarray(groups))[0]
    rows_of = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    rng, drawn = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])
        if 0 < is_piano[rows].sum() < len(rows):
            drawn.append(binary_metrics(is_piano[rows], score[rows], predicted[rows]))
    table = pd.DataFrame(drawn).drop(columns=["n", "n_piano"], errors="ignore")
    ends = {name: table[name].quantile([0.025, 0.975]).tolist() for name in table}
    if groups is None:
        shares = {"accuracy": is_piano == predicted, "precision": is_piano[predicted], "recall": predicted[is_piano]}
        ends |= {name: list(exact_interval(share.sum(), len(share))) for name, share in shares.items()}
    return binary_metrics(is_piano, score, predicted) | {"intervals": ends}


def wilson_interval(n_right, n):
    """The 95 % intervals of Wilson (1927) of shares, from arrays of counts: arrays `(low, high)`."""
    return np.transpose([binomtest(round(k), int(m)).proportion_ci(method="wilson") for k, m in zip(n_right, n)])


def exact_interval(n_right, n):
    """The 95 % interval of Clopper and Pearson of a share: `(low, high)`; (0, 1) of none."""
    return tuple(binomtest(int(n_right), int(n)).proportion_ci(method="exact")) if n else (0.0, 1.0)


def as_text(metrics):
    """The result of `with_intervals` as text: name -> ".94 (.91–.97)", with three digits for the AUC."""
    texts = {}
    for name, ends in metrics["intervals"].items():
        digits = 3 if name == "auc" else 2
        value, low, high = (f"{number:.{digits}f}".removeprefix("0") for number in (metrics[name], *ends))
        texts[name] = f"{value} ({low}–{high})"
    return texts


def calibration(is_piano, score):
    """The frequency of pianos at each predicted probability: a DataFrame with a row a bin, and the calibration error.

    The expected calibration error is the mean distance of frequency and probability, weighted by the sizes of the bins
    (Naeini et al., 2015).
    """
    is_piano, score = np.asarray(is_piano, float), np.asarray(score, float)
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    table = (
        pd.DataFrame({"bin": bins, "probability": score, "frequency": is_piano})
        .groupby("bin")
        .agg(n=("bin", "size"), probability=("probability", "mean"), frequency=("frequency", "mean"))
    )
    error = np.average((table["probability"] - table["frequency"]).abs(), weights=table["n"])
    return table.reset_index(), float(error)
