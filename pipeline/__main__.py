"""The command line: `python -m pipeline label SOURCE...`.

Everything heavy is imported only when a command runs, so that `--help` answers at once.
"""

import argparse
import json
import os
import sys

from pipeline.errors import Cancelled, PipelineError, printable


def main(arguments=None):
    """Run the command line and return its exit code: 0 all worked, 1 some did not, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    from nn import ModelFileError

    try:
        return options.command(options)
    except (PipelineError, ModelFileError) as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Cancelled):
        print("\npipeline: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser():
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Is it a piano? From links and files to labels.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    label = commands.add_parser(
        "label",
        help="label links and files",
        description="Label songs as Piano (solo piano) or Other. Exit code: 0 if all worked, 1 if some did not, 2 for "
        "wrong usage.",
    )
    label.set_defaults(command=_label)
    label.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a link of a video or playlist on YouTube, a sound file, a folder (every sound file in it), or a .txt file "
        "with a source on each line",
    )
    label.add_argument("--json", action="store_true", help="write one JSON object a line, in the order of the sources")
    label.add_argument(
        "--clips", type=_clips, default=None, metavar="N|all", help="how many random clips of one second vote (default: all)"
    )
    label.add_argument("--seed", type=int, default=0, metavar="S", help="fixes which clips are drawn (default: 0)")
    label.add_argument("--model", metavar="FILE", help="another model file than the one that ships")
    label.add_argument("--cookies", metavar="FILE", help="cookies.txt for videos that need a sign-in; read, never stored")
    label.add_argument(
        "--cookies-from-browser", metavar="NAME", help="take the cookies of a browser, such as firefox; never stored"
    )
    return parser


def _clips(text):
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, or all: {text!r}")
    return int(text)


def _label(options):
    from pipeline.progress import ProgressBar
    from pipeline.recognition import Failure, Recognizer

    recognizer = Recognizer(options.model)
    failed = False
    if not options.json:
        print(f"{'label':<12} {'confidence':>10}  {'votes':>14}  {'length':>7}  song")
    with ProgressBar() as bar:
        for result in recognizer.recognize_each(
            options.sources,
            n_clips=options.clips,
            seed=options.seed,
            cookies=options.cookies,
            cookies_from_browser=options.cookies_from_browser,
            progress=bar,
        ):
            failed |= isinstance(result, Failure)
            bar.clear()
            print(json.dumps(result.to_dict()) if options.json else _row(result), flush=True)
    return int(failed)


def _row(result):
    """One line of the table: label, confidence, votes, length, name."""
    from pipeline.recognition import Failure

    if isinstance(result, Failure):
        return f"{'-':<12} {printable(result.source)[:120]}: {printable(str(result.error))}"
    votes, all_votes = result.votes[result.label], sum(result.votes.values())
    length = f"{int(result.seconds) // 60}:{int(result.seconds) % 60:02}"
    return (
        f"{printable(result.label):<12} {result.confidence:>10.1%}  {f'{votes} of {all_votes}':>14}  {length:>7}  "
        f"{printable(result.title)}"
    )


if __name__ == "__main__":
    sys.exit(main())
