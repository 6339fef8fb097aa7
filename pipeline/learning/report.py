"""The evaluation of a model on recordings, and its page: accuracy, confusion matrix, misclassified recordings."""

from dataclasses import dataclass
from datetime import date
from html import escape

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.metrics import precision_recall_fscore_support

from pipeline import files

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
th[scope=row], .text { text-align: left; }
.matrix td { text-align: center; min-width: 1.6rem; border: 1px solid #fff; }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .6rem .3rem; }
.matrix th { white-space: nowrap; font-weight: 500; border: 0; }
caption { text-align: left; color: #666; }
.big { font-size: 1.6rem; } .dim { color: #666; }
div { overflow-x: auto; }
"""


@dataclass(frozen=True)
class Evaluation:
    """What a model says of recordings that it has not learned from.

    Attributes
    ----------
    recordings : DataFrame
        A row each: recording, group, truth, and the columns of `Recognition.to_dict` or `Failure.to_dict`.
    class_names : list of str
    """

    recordings: pd.DataFrame
    class_names: list

    @property
    def judged(self):
        """The rows of the recordings that got a label."""
        return self.recordings.dropna(subset=["label"])

    @property
    def confusion(self):
        """How many recordings of each class (rows) got which label (columns), as a DataFrame of int."""
        counts = pd.crosstab(self.judged["truth"], self.judged["label"])
        return counts.reindex(index=self.class_names, columns=self.class_names, fill_value=0)

    @property
    def accuracy(self):
        """Share of the judged recordings that got their label."""
        return float((self.judged["truth"] == self.judged["label"]).mean())

    @property
    def by_class(self):
        """Recordings, precision, recall and F1 of each class, as a DataFrame."""
        precision, recall, f1, n = precision_recall_fscore_support(
            self.judged["truth"], self.judged["label"], labels=self.class_names, zero_division=0
        )
        columns = {"recordings": n, "precision": precision, "recall": recall, "F1": f1}
        return pd.DataFrame(columns, index=pd.Index(self.class_names, name="class"))

    def interval(self, n_resamples=1000):
        """95 % bootstrap interval of the accuracy, over recordings."""
        right = (self.judged["truth"] == self.judged["label"]).to_numpy()
        drawn = np.random.default_rng(0).integers(len(right), size=(n_resamples, len(right)))
        return tuple(np.percentile(right[drawn].mean(axis=1), [2.5, 97.5]).tolist())


def write_page(evaluation, history, path, title, about):
    """Write the page to `path`, atomically.

    Parameters
    ----------
    evaluation : Evaluation
    history : nn.history.History
        Of the training.
    title : str
    about : dict of str to value
        How the model was made, shown as a list.
    """
    low, high = evaluation.interval()
    failed = evaluation.recordings[evaluation.recordings["label"].isna()]
    judged = evaluation.judged
    wrong = judged[judged["truth"] != judged["label"]].sort_values("confidence", ascending=False)
    n_groups = judged["group"].nunique()
    groups = "one group" if n_groups == 1 else f"{n_groups} groups"
    caution = "; with so few groups, other ones may do better or worse than the interval says" if n_groups < 10 else ""
    facts = [f"{name}: {value}" for name, value in about.items()] + [f"written on {date.today():%Y-%m-%d}"]
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style>
<h1>{escape(title)}</h1>
<p><span class="big">{evaluation.accuracy:.1%}</span> of {len(judged)} test recordings were classified correctly
<span class="dim">(95 % bootstrap interval over recordings: {low:.1%} to {high:.1%})</span>. The label of a recording is
the one that most of its seconds vote for. The test recordings come from {groups} of which nothing was in training or
validation{caution}.</p>
<h2>Confusion matrix</h2>{_matrix(evaluation.confusion)}
<h2>Class by class</h2>{_table(evaluation.by_class.reset_index())}
<h2>Misclassified recordings</h2>
{_table(wrong[["recording", "truth", "label", "confidence"]]) if len(wrong) else "<p>None.</p>"}
{"<h2>Recordings that could not be judged</h2>" + _table(failed[["recording", "message"]]) if len(failed) else ""}
<h2>Training</h2>{_table(history.epochs.reset_index())}
<ul>{"".join(f"<li>{escape(fact)}</li>" for fact in facts)}</ul>
</html>
"""
    files.write_text(path, page)


def _matrix(counts):
    """A confusion matrix; the darker a cell, the larger its share of the row."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in counts.columns)
    rows = []
    for truth, row in counts.iterrows():
        cells = []
        for label, count in row.items():
            share = count / max(row.sum(), 1)
            background = f"rgba({'0, 114, 178' if truth == label else '213, 94, 0'}, {share:.2f})"
            style = f"background: {background}; color: {'#fff' if share > 0.6 else '#222'}"
            cells.append(f"<td style='{style}'>{count or '<span class=dim>·</span>'}</td>")
        rows.append(f"<tr><th scope='row'>{escape(truth)}</th>{''.join(cells)}</tr>")
    return (
        "<div><table class='matrix'><caption>Rows: true class; columns: label</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _table(table):
    """A DataFrame, floats to three places."""
    kinds = ["number" if is_numeric_dtype(table[name]) else "text" for name in table.columns]
    head = "".join(f"<th scope='col' class='{kind}'>{escape(name)}</th>" for name, kind in zip(table.columns, kinds))
    rows = []
    for row in table.itertuples(index=False):
        texts = [f"{value:.3f}" if isinstance(value, float) else escape(str(value)) for value in row]
        cells = "".join(f"<td class='{kind}'>{text}</td>" for text, kind in zip(texts, kinds))
        rows.append(f"<tr>{cells}</tr>")
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
