"""How fast, and how small in memory: our work beside that of others, alternating in one run.

`python tests/benchmark.py [WORD ...]` prints a table of all benchmarks, or of those whose name holds one of the words.
A run of all writes data/results/bench.json and README.md's table, which `--table` prints again from that file; the exit
status is 1 if a row is above its bound. To add a benchmark, write a function that yields rows and decorate it with `benchmark`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

N_THREADS, REPEATS = 2, 30
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ[variable] = str(N_THREADS)
os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "data/results/bench.json"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/peers")]

import networks  # noqa: E402
import numpy as np  # noqa: E402

import nn  # noqa: E402
from nn.layer import forward  # noqa: E402
from nn.parallel import one_blas_thread, set_threads  # noqa: E402
from nn.training import train_batch  # noqa: E402
from pipeline import files  # noqa: E402

BENCHMARKS = []


def benchmark(function):
    """Register a function that yields rows (see `row`)."""
    BENCHMARKS.append(function)
    return function


def row(work, peer, unit, ours, theirs, at_most):
    """A line of the table: figures of which less is better, lists of them by their minimum, and the ratio's bound."""
    line = {"work": work, "peer": peer, "unit": unit}
    for name, values in (("ours", np.atleast_1d(ours)), ("theirs", np.atleast_1d(theirs))):
        line |= {name: round(float(values.min()), 3), f"{name}_median": round(float(np.median(values)), 3)}
    line |= {"ratio": round(np.min(ours) / np.min(theirs), 3), "at_most": at_most, "repeats": np.size(ours)}
    return line | {"date": str(date.today()), "machine": machine()}


@cache
def machine():
    """The processor, its cores, and the versions of what is compared."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    names = ("numpy", "scipy", "torch", "tensorflow", "keras", "librosa")
    versions = [f"{name} {version(name)}" for name in names if find_spec(name)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(
        [*(models or [platform.processor()])[:1], f"{cores} cores", f"Python {platform.python_version()}", *versions]
    )


def alternate(functions, repeats=REPEATS):
    """Run each of a dict of functions in turn; the times of each in milliseconds, under its name."""
    times = {name: [] for name in functions}
    for repeat in range(repeats + 2):
        for name, function in functions.items():
            time.sleep(0.02)  # the threads of the one before go to sleep
            start = time.perf_counter()
            function()
            if repeat >= 2:  # after warming up
                times[name].append(1000 * (time.perf_counter() - start))
    for name, values in times.items():
        print(f"    {name}: minimum {min(values):.1f} ms, median {np.median(values):.1f} ms", flush=True)
    return times


def compare(work, ours, peers, bounds):
    """Rows of one piece of work: `peers` by "name" or "name, variant", of which the fastest variant counts."""
    print(work, flush=True)
    times = alternate({"ours": ours} | peers)
    for peer, at_most in bounds.items():
        theirs = min((values for name, values in times.items() if name.split(",")[0] == peer), key=min)
        yield row(work, peer, "ms", times["ours"], theirs, at_most)


def limit(work, function, milliseconds):
    """The row of work that has no peer: beside it stands what it may take."""
    print(work, flush=True)
    yield row(work, "what it may take", "ms", alternate({"ours": function})["ours"], milliseconds, 1.0)


def batch(n=32):
    rng = np.random.default_rng(0)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, n)]
    return rng.normal(size=(n, *networks.PICTURE)).astype(np.float32), targets


def our_step(normalized=False):
    """A function that trains our network by one step."""
    model, loss, (inputs, targets) = networks.ours(normalized), nn.CategoricalCrossentropy(), batch()
    model.optimizer = nn.RMSprop()

    def step():
        with one_blas_thread():
            train_batch(model, inputs, targets, loss)

    return step


def torch_variants(make):
    """`make(memory_format)` for both layouts of images: the better one is PyTorch's best."""
    import torch

    torch.set_num_threads(N_THREADS)
    formats = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
    return {f"PyTorch, {name}": make(layout) for name, layout in formats.items()}


def torch_step(normalized=False):
    import torch

    def make(layout):
        module = networks.in_torch(normalized).to(memory_format=layout)
        optimizer, (inputs, targets) = torch.optim.RMSprop(module.parameters(), 1e-3), map(torch.tensor, batch())
        inputs = inputs.contiguous(memory_format=layout)

        def step():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs), targets).backward()
            optimizer.step()

        return step

    return torch_variants(make)


def keras_step():
    model, (inputs, targets) = networks.in_keras(), batch()
    inputs = np.ascontiguousarray(np.moveaxis(inputs, 1, -1))
    return {"Keras": lambda: model.train_on_batch(inputs, targets)}


@benchmark
def training_step():
    peers = torch_step() | keras_step()
    yield from compare("training step, thesis network, batch 32", our_step(), peers, {"PyTorch": 0.95, "Keras": 1.0})


@benchmark
def training_step_with_normalization():
    work = "training step, BatchNormalization after each convolution, batch 32"
    yield from compare(work, our_step(True), torch_step(True), {"PyTorch": 1.0})


@benchmark
def inference():
    import torch

    for work, n in (("inference, batch 32", 32), ("inference, 240 clips of a song", 240)):
        model, inputs = networks.ours(), batch(n)[0]

        def ours(model=model, inputs=inputs):
            with one_blas_thread():
                for start in range(0, len(inputs), 32):
                    forward(model.steps, inputs[start : start + 32])

        def make(layout, inputs=inputs):
            module = networks.in_torch().to(memory_format=layout).eval()
            parts = torch.tensor(inputs).contiguous(memory_format=layout).split(32)

            def infer():
                with torch.inference_mode():
                    for part in parts:
                        module(part)

            return infer

        yield from compare(work, ours, torch_variants(make), {"PyTorch": 1.0})


@benchmark
def mel_spectrogram():
    import librosa
    import torch

    samples = np.random.default_rng(0).normal(0, 0.1, (240, 16_000)).astype(np.float32)
    layer = nn.MelSpectrogram()
    layer.build((16_000,), None)
    filters = torch.tensor(librosa.filters.mel(sr=16_000, n_fft=512, n_mels=128))
    window, theirs = torch.hann_window(400), torch.tensor(samples)
    constants = {"sr": 16_000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 128}

    def ours():
        with one_blas_thread():
            layer.forward(samples)

    def with_librosa():
        mels = librosa.feature.melspectrogram(y=np.pad(samples, ((0, 0), (0, 352))), power=1, center=False, **constants)
        librosa.amplitude_to_db(mels, ref=np.max)

    def with_torch():
        networks.mel_in_torch(theirs, window, filters)

    peers = {"librosa": with_librosa, "PyTorch": with_torch}
    yield from compare("mel spectrogram of 240 clips", ours, peers, {"librosa": 0.7, "PyTorch": 0.7})


@benchmark
def threads():
    def on(n_threads):
        step = our_step()

        def run():
            set_threads(n_threads)
            step()

        return run

    times = alternate({"2 threads": on(2), "1 thread": on(1)})
    set_threads(N_THREADS)
    work = "training step with 2 threads / with 1"
    yield row(work, "ourselves, 1 thread", "ms", times["2 threads"], times["1 thread"], 0.62)


@benchmark
def judging():
    from pipeline.song.recognition import Recognizer

    model, samples = Recognizer().model, np.random.default_rng(0).normal(0, 0.1, (240, 16_000)).astype(np.float32)
    yield from limit("240 clips judged by the shipped model", lambda: model.predict(samples), 600)


@benchmark
def song():
    from pipeline.song.recognition import Recognizer

    recognizer = Recognizer()
    with tempfile.TemporaryDirectory() as folder:
        path = music(Path(folder, "song.m4a"), minutes=4)
        yield from limit("a 4-minute m4a from file to label, all clips", lambda: recognizer.recognize(path), 2000)


@benchmark
def hour():
    with tempfile.TemporaryDirectory() as folder:
        megabytes = measured("label", music(Path(folder, "hour.m4a"), minutes=60))
    yield row("a 1-hour m4a from file to label, peak memory", "what it may take", "MB", megabytes, 500, 1.0)


def music(path, minutes):
    """A file of real music, as long as asked for: the sample songs over and over."""
    import media

    from pipeline.song.audio import load

    songs = sorted((ROOT / "data/samples").glob("*.*"))
    samples = np.concatenate([load(song) for song in songs])
    return str(media.write(path, np.resize(samples, minutes * 60 * 16_000), 16_000))


@benchmark
def memory():
    ours, many, theirs = (peak(who, n) for who, n in (("ours", 33_602), ("ours", 336_020), ("torch", 33_602)))
    yield row("peak memory of a training run, 33,602 clips", "PyTorch", "MB", ours, theirs, 1.0)
    bound = round((ours + 50) / ours, 3)  # 50 MB more
    yield row("peak memory, 336,020 clips / 33,602 clips", "ourselves, 33,602 clips", "MB", many, ours, bound)


def peak(who, n_clips, n_steps=200):
    """Peak anonymous memory in MB of a process that trains for some steps on a file of clips, which is all holes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clips")
        with open(path, "wb") as file:
            file.truncate(n_clips * 16_000 * 2)
        return measured("train", who, path, str(n_clips), str(n_steps))


def measured(*arguments):
    """Peak anonymous memory in MB of a process that does what `peak_memory` does with these arguments."""
    command = [sys.executable, ROOT / "tests/peers/peak_memory.py", *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    megabytes = float(result.stdout.split()[-1])
    print(f"    {' '.join(map(str, arguments))}: {megabytes:.0f} MB", flush=True)
    return megabytes


def table(rows):
    """The rows in Markdown, with their date and machine."""
    lines = ["| work | peer | ours | peer's | ratio | at most |", "|---|---|---:|---:|---:|---:|"]
    for r in rows:
        figures = f"{r['ours']:.1f} {r['unit']} | {r['theirs']:.1f} {r['unit']} | {r['ratio']:.2f} | {r['at_most']:.2f}"
        lines.append(f"| {r['work']} | {r['peer']} | {figures} |")
    return "\n".join([*lines, "", f"Measured on {rows[0]['date']}: {rows[0]['machine']}."])


def main(words):
    set_threads(N_THREADS)
    chosen = [f for f in BENCHMARKS if not words or any(word in f.__name__ for word in words)]
    rows = [line for function in chosen for line in function()]
    print(f"\n{'work':68} {'peer':24} {'ours':>9} {'theirs':>9}      {'ratio':>6} {'at most':>7}")
    for r in rows:
        verdict = "" if r["ratio"] <= r["at_most"] else "  <- too much"
        figures = f"{r['ours']:9.1f} {r['theirs']:9.1f} {r['unit']:4} {r['ratio']:6.2f} {r['at_most']:7.2f}"
        print(f"{r['work']:68} {r['peer']:24} {figures}{verdict}")
    if not words:
        files.write_json(RESULTS, rows)
        files.write_section(ROOT / "README.md", "bench", table(rows))
    return any(r["ratio"] > r["at_most"] for r in rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        print(table(json.loads(RESULTS.read_text())))
    else:
        sys.exit(main(sys.argv[1:]))
