"""How fast, and how small in memory: our work beside that of others, alternating in one run.

`python tests/benchmark.py [WORD ...]` prints a table of all benchmarks, or of those whose name holds one of the words.
A run of all writes data/results/bench.json; the exit status is 1 if a row is above its bound. To add a benchmark, write
a function that yields rows and decorate it with `benchmark`.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

N_THREADS, REPEATS = 2, 30
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ[variable] = str(N_THREADS)
os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/peers")]

import networks  # noqa: E402
import numpy as np  # noqa: E402

import nn  # noqa: E402
from nn.layer import forward  # noqa: E402
from nn.parallel import one_blas_thread, set_threads  # noqa: E402
from nn.training import train_batch  # noqa: E402

BENCHMARKS = []


def benchmark(function):
    """Register a function that yields rows (see `row`)."""
    BENCHMARKS.append(function)
    return function


def row(work, peer, unit, ours, theirs, at_most):
    """A line of the table: two figures, of which less is better, and the bound of their ratio."""
    ratio = round(ours / theirs, 3)
    figures = {"ours": round(ours, 3), "theirs": round(theirs, 3), "ratio": ratio, "at_most": at_most}
    return {"work": work, "peer": peer, "unit": unit} | figures


def alternate(functions, repeats=REPEATS):
    """Run each of a dict of functions in turn; the fastest time of each in milliseconds, under its name."""
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
    return {name: min(values) for name, values in times.items()}


def compare(work, ours, peers, bounds):
    """Rows of one piece of work: `peers` by "name" or "name, variant", of which the fastest variant counts."""
    print(work, flush=True)
    times = alternate({"ours": ours} | peers)
    for peer, at_most in bounds.items():
        theirs = min(value for name, value in times.items() if name.split(",")[0] == peer)
        yield row(work, peer, "ms", times["ours"], theirs, at_most)


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
        torch_mel(theirs, window, filters)

    peers = {"librosa": with_librosa, "PyTorch": with_torch}
    yield from compare("mel spectrogram of 240 clips", ours, peers, {"librosa": 0.7, "PyTorch": 0.7})


def torch_mel(samples, window, filters):
    """Mel spectrograms `(batch, 1, frames, mels)` in decibels, by torch.stft."""
    import torch

    padded = torch.nn.functional.pad(samples, (0, 352))
    spectra = torch.stft(padded, 512, 160, 400, window, center=False, return_complex=True).abs()
    mels = torch.matmul(filters, spectra).clamp(min=1e-5)
    decibels = 20 * torch.log10(mels / mels.amax(dim=(1, 2), keepdim=True))
    return decibels.clamp(min=-80).transpose(1, 2)[:, None]


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
        command = [sys.executable, __file__, "--train", who, path, str(n_clips), str(n_steps)]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    megabytes = float(result.stdout.split()[-1])
    print(f"    {who}, {n_clips} clips: {megabytes:.0f} MB", flush=True)
    return megabytes


def train_and_report(who, path, n_clips, n_steps):
    """Train in this process and print the peak of RssAnon: pages mapped from files do not count."""
    from pipeline.learning.networks import thesis_network

    peaks, done = [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            peaks[0] = max(peaks[0], *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    class Steps(nn.ClipSequence):
        def __len__(self):
            return n_steps

    watcher = threading.Thread(target=watch)
    watcher.start()
    data = Steps(np.memmap(path, np.int16, "r", shape=(n_clips, 16_000)), np.arange(n_clips) % 2, 2, shuffle=True)
    if who == "ours":
        thesis_network().fit(data, epochs=1, progress=False)
    else:
        train_with_torch(data)
    done.set()
    watcher.join()
    print(peaks[0] / 1024)


def train_with_torch(data):
    import torch

    torch.set_num_threads(N_THREADS)
    window, filters = torch.hann_window(400), torch.tensor(nn.spectrogram.mel_filters(nn.FeatureConfig()).astype("f4"))
    module = networks.in_torch().to(memory_format=torch.channels_last)
    optimizer = torch.optim.RMSprop(module.parameters(), 1e-3)
    for index in range(len(data)):
        samples, targets = map(torch.tensor, data[index])
        pictures = torch_mel(samples, window, filters).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(pictures), targets).backward()
        optimizer.step()


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
        target = ROOT / "data/results/bench.json"
        target.parent.mkdir(exist_ok=True)
        target.with_suffix(".tmp").write_text(json.dumps(rows, indent=1) + "\n")
        os.replace(target.with_suffix(".tmp"), target)
    return any(r["ratio"] > r["at_most"] for r in rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train_and_report(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
    else:
        sys.exit(main(sys.argv[1:]))
