"""The command line: `python -m pipeline label SOURCE...`.

Everything heavy is imported only when a command runs, so that `--help` answers at once.
"""

import argparse
import os
import sys
from contextlib import ExitStack
from json import dumps
from pathlib import Path

from pipeline import parsing
from pipeline.batch import PER_HOUR
from pipeline.errors import Cancelled, PipelineError, printable
from pipeline.text import clock, percent


def main(arguments=None):
    """Run the command line and return its exit code: 0 all worked, 1 some did not, 2 wrong usage."""
    _open_streams()
    options = vars(_parser().parse_args(arguments))
    try:
        return _run(**options)
    except PipelineError as error:
        return _say(error, 2)
    except (KeyboardInterrupt, Cancelled):
        print(file=sys.stderr)
        return _say("stopped", 130)
    except MemoryError:
        return _say("There is too little memory; close other programs and try again.", 1)
    except ImportError as error:
        remedy = ".venv/bin/python -m pip install -r requirements.txt"
        return _say(f"A package is missing, or memory for it ({error}); install it with: {remedy}", 1)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        return _say(None, 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not error.filename:
            return _say("The current folder is gone; change to another one.", 2)
        return _say(": ".join(str(part) for part in (error.strerror or error, error.filename) if part), 1)


def _say(message, code):
    """Write why the command ends, and return its exit code; what is left of the output is dropped."""
    if message:
        print(f"pipeline: {printable(message)}", file=sys.stderr)
    if code == 1:  # standard output failed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(command, **options):
    from nn import ModelFileError
    from pipeline.song.download import end_in_order

    end_in_order()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a title may be in letters that the terminal's encoding has not
    try:
        code = command(**options)
        sys.stdout.flush()
        return code
    except ModelFileError as error:
        raise PipelineError("model", str(error)) from error


def _open_streams():
    """Put the null device in the place of standard streams that are closed, lest another file gets their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # opening takes the lowest number that is free
        if getattr(sys, name) is None:  # what is written to a closed standard output still fails
            null = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            os.set_inheritable(null, True)
            setattr(sys, name, open(null, "w" if number else "r"))  # noqa: SIM115 - open to the end


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description="Is it a piano? From links and files to labels."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_label(commands)
    _add_batch(commands)
    _add_train(commands)
    return parser


def _add_label(commands):
    label = commands.add_parser(
        "label",
        help="label links and files",
        description="Label songs as Piano (solo piano) or Other. Exit code: 0 if all worked, 1 if some did not, 2 for "
        "wrong usage.",
    )
    label.set_defaults(command=_label)
    sources = (
        "a link of a video or playlist on YouTube, a sound file, a folder (every sound file in it), or a list of these "
        "(.txt, .m3u, .m3u8, .csv) with a source on each line"
    )
    label.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    label.add_argument("--json", action="store_true", help="write one JSON object a line, in the order of the sources")
    _add_recognition(label)


def _add_batch(commands):
    batch = commands.add_parser(
        "batch",
        help="label a long list into a Parquet file",
        description="Label every song of a long list. The same command goes on where a run was stopped. "
        "Exit code: 0 if all worked, 1 if some did not, 2 if the run could not begin or go on.",
    )
    batch.set_defaults(command=_batch)
    add = batch.add_argument
    songs = "a list (.txt, .m3u, .m3u8, .csv) with a link, file or folder on each line; or a folder"
    add("songs", type=parsing.path, metavar="LIST", help=songs)
    out = "the Parquet file; its journal is kept beside it"
    add("--out", required=True, type=parsing.path, metavar="FILE", help=out)
    add("--retry-failed", action="store_true", help="try again what failed in an earlier run")
    add("--fail-fast", action="store_true", help="do not wait for the network, or until YouTube grants more requests")
    _add_workers(batch)
    per_hour = "at most so many downloads (default: %(default)s)"
    add("--per-hour", type=parsing.count, default=PER_HOUR, metavar="N", help=per_hour)
    _add_recognition(batch)


def _add_recognition(command):
    add = command.add_argument
    clips = "how many random clips of each song vote (default: all)"
    add("--clips", dest="n_clips", type=parsing.clips, metavar="N|all", help=clips)
    add("--seed", type=parsing.seed, default=0, metavar="S", help="fixes which clips are drawn (default: 0)")
    add("--model", type=parsing.path, metavar="FILE", help="another model file than the released one")
    add("--cookies", metavar="FILE", help="cookies.txt for videos that need a sign-in; read, never stored")
    browser = "take the cookies of a browser, such as firefox; never stored"
    add("--cookies-from-browser", metavar="NAME", help=browser)


def _add_train(commands):
    train = commands.add_parser(
        "train",
        help="train a model on classes of your own",
        description="Train a model on a folder with a sub-folder of sound files for each class (2 to 50). Recordings "
        "are divided into training, validation and test. An evaluation page is written beside the model. The same "
        "command goes on where a run was stopped.",
    )
    train.set_defaults(command=_train)
    add = train.add_argument
    folder = "a folder with a sub-folder of sound files for each class"
    add("folder", type=parsing.path, metavar="FOLDER", help=folder)
    add("--out", required=True, type=parsing.path, metavar="FILE", help="the model file to write (.npz)")
    groups = "a table with the columns file and group: files of a group stay on one side of the split"
    add("--groups", metavar="CSV", help=groups)
    add("--skip-broken", action="store_true", help="leave out files that cannot be used, after naming them")
    clips = "clips of one second to learn from (default: 1,000 a class)"
    add("--clips", dest="n_clips", type=parsing.count, metavar="N", help=clips)
    add("--epochs", type=parsing.count, default=8, metavar="N", help="default: 8")
    _add_workers(train)
    seed = "fixes the split, the clips and the weights (default: 0)"
    add("--seed", type=parsing.seed, default=0, metavar="S", help=seed)


def _add_workers(command):
    workers = "processes on this machine (default: one a core)"
    command.add_argument("--workers", type=parsing.count, metavar="N", help=workers)
    dask = "the workers of this Dask scheduler instead, such as tcp://host:8786"
    command.add_argument("--dask", metavar="ADDRESS", help=dask)


def _label(sources, json, model, **options):
    from pipeline.progress import ProgressBar
    from pipeline.song.recognition import Failure, Recognizer

    recognizer, failed = Recognizer(model), False
    if not json:
        print(f"{'label':<12} {'confidence':>10}  {'votes':>14}  {'length':>7}  song")
    with ProgressBar() as bar:
        for result in recognizer.recognize_each(sources, progress=bar, **options):
            failed |= isinstance(result, Failure)
            line = dumps(result.to_dict(), allow_nan=False) if json else _row(result, sources)
            bar.clear()
            print(line, flush=True)
    return int(failed)


def _row(result, sources):
    """One line of the table. The name of a file in one of the folders given is its path in there."""
    from pipeline.song.recognition import Failure

    if isinstance(result, Failure):
        return f"{'-':<12} {printable(result.source)[:120]}: {printable(str(result.error))}"
    votes = f"{result.votes[result.label]} of {sum(result.votes.values())}"
    file = Path(result.source)
    name = next(
        (file.relative_to(folder) for folder in sources if Path(folder) in file.parents and file.is_file()),
        result.title,
    )
    return (
        f"{printable(result.label):<12} {percent(result.confidence):>10}  {votes:>14}  {clock(result.seconds):>7}  "
        f"{'  '.join([printable(name), *result.remarks])}"
    )


def _batch(out, **options):
    from tqdm import tqdm

    from pipeline.batch import labelling

    with ExitStack() as stack:
        bar = None

        def show(step, done, total):
            nonlocal bar
            if bar is None or bar.desc != step:  # what an earlier run has done does not count for the rate
                stack.close()
                interval = 0.5 if sys.stderr.isatty() else 60
                bar = stack.enter_context(
                    tqdm(desc=step, initial=done, unit="song", delay=0.5, smoothing=0.02, mininterval=interval)
                )
            bar.total = total
            bar.update(done - bar.n)

        summary = labelling.run(out=out, progress=show, **options)
    reasons = ", ".join(f"{count:,} {kind}" for kind, count in summary.reasons.items())
    print(f"{summary.labelled:,} labelled, {summary.failed:,} failed{reasons and f' ({reasons})'}: {out}")
    return int(summary.failed > 0)


def _train(out, **options):
    from pipeline.learning import classes

    evaluation = classes.learn(out=out, **options)
    print(evaluation.by_class.round(3).to_string())
    interval = "95 % interval {:.1%} to {:.1%}".format(*evaluation.interval())
    print(f"{evaluation.accuracy:.1%} of the test recordings are classified correctly ({interval}): {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
