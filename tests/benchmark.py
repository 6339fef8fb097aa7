"""How fast, and how small in memory: our work compared with that of others, alternating in one run.

`python tests/benchmark.py [WORD ...]` runs all benchmarks, or those whose name holds one of the words, and prints their
rows. They replace the rows of the same work and peer in data/results/bench.json, from which the table in
docs/benchmark.md, the three rows in README.md and the figure are made; `--write` does only that. The exit status is 1
if a row is above its bound or a benchmark failed. To add one, write a function that yields rows and decorate it with
`benchmark`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import date
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

N_THREADS, REPEATS = 2, 15
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ[variable] = str(N_THREADS)
os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

ROOT = Path(__file__).parents[1]
RESULTS, DETAILS = ROOT / "data/results/bench.json", ROOT / "data/results/bench-details.json"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/peers")]

import networks  # noqa: E402 - the number of threads is read when NumPy, PyTorch and TensorFlow are imported
import numpy as np  # noqa: E402

import nn  # noqa: E402
from nn.data import prefetch  # noqa: E402
from nn.layer import forward  # noqa: E402
from nn.parallel import one_blas_thread, set_threads  # noqa: E402
from nn.training import train_batch  # noqa: E402
from pipeline import files  # noqa: E402
from pipeline.learning.networks import recognizer_network, thesis_network  # noqa: E402

THESIS, RELEASED = networks.CONVOLUTIONS
FROM_SAMPLES = {THESIS: thesis_network, RELEASED: recognizer_network}
# The rows of README.md: work and peer.
CHOSEN = (
    (f"training step, {RELEASED}, batch 32", "PyTorch"),
    (f"240 clips from samples to probabilities, {RELEASED}", "onnxruntime"),
    (f"training step, {THESIS}, batch 32", "PyTorch"),
)
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
    names = ("numpy", "scipy", "torch", "tensorflow", "keras", "onnxruntime", "librosa")
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


def compare(work, ours, peers, bounds, repeats=REPEATS):
    """Rows of one piece of work: `peers` by "name" or "name: variant", of which the fastest variant counts."""
    print(work, flush=True)
    times = alternate({"ours": ours} | peers, repeats)
    for peer, at_most in bounds.items():
        variants = [values for name, values in times.items() if name.split(":")[0] == peer]
        if variants:
            yield row(work, peer, "ms", times["ours"], min(variants, key=min), at_most)


def batch(n=32):
    rng = np.random.default_rng(0)
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, n)]
    return rng.normal(size=(n, *networks.PICTURE)).astype(np.float32), targets


def noise(n):
    """Clips of noise, float32 `(n, 16000)`."""
    return np.random.default_rng(0).normal(0, 0.1, (n, 16_000)).astype(np.float32)


def our_step(name):
    """A function that trains our network by one step."""
    model, loss, (inputs, targets) = networks.ours(name), nn.CategoricalCrossentropy(), batch()
    model.optimizer = nn.RMSprop()

    def step():
        with one_blas_thread():
            train_batch(model, inputs, targets, loss)

    return step


def torch_variants(make, is_compiled=True):
    """`make(layout, compiled)` for both layouts of images, and compiled for the one that is best on a CPU."""
    import torch

    torch.set_num_threads(N_THREADS)
    variants = {
        "PyTorch: channels first": make(torch.contiguous_format, lambda module: module),
        "PyTorch: channels last": make(torch.channels_last, lambda module: module),
    }
    if is_compiled:
        try:
            function = make(torch.channels_last, torch.compile)
            function()
            variants["PyTorch, compiled"] = function
        except Exception as error:  # it needs a C++ compiler
            print(f"    torch.compile: {type(error).__name__}, left out", flush=True)
    return variants


def torch_step(name):
    import torch

    def make(layout, compiled):
        module = networks.in_torch(name).to(memory_format=layout)
        optimizer, (inputs, targets) = torch.optim.RMSprop(module.parameters(), 1e-3), map(torch.tensor, batch())
        inputs, module = inputs.contiguous(memory_format=layout), compiled(module)

        def step():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs), targets).backward()
            optimizer.step()

        return step

    return torch_variants(make)


def torch_inference(name, inputs, before=lambda inputs: inputs, is_compiled=True):
    """Functions that take inputs in batches of 32 through `before`, a spectrogram, and the network."""
    import torch

    def make(layout, compiled):
        module = networks.in_torch(name).to(memory_format=layout).eval()
        parts, module = torch.tensor(inputs).split(32), compiled(module)

        def infer():
            with torch.inference_mode():
                for part in parts:
                    module(before(part).contiguous(memory_format=layout))

        return infer

    return torch_variants(make, is_compiled)


def onnx_session(model):
    """An onnxruntime session of our export of a model, and a function that runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = N_THREADS
    with tempfile.TemporaryDirectory() as folder:
        model.to_onnx(Path(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(str(Path(folder, "model.onnx")), options)
    name = session.get_inputs()[0].name
    return lambda clips: session.run(None, {name: clips})


@benchmark
def training_step_released():
    work, bounds = CHOSEN[0][0], {"PyTorch": 0.65, "PyTorch, compiled": 0.65}
    yield from compare(work, our_step(RELEASED), torch_step(RELEASED), bounds)


@benchmark
def training_step_thesis():
    model, (inputs, targets) = networks.in_keras(THESIS), batch()
    inputs = np.ascontiguousarray(np.moveaxis(inputs, 1, -1))
    peers = torch_step(THESIS) | {"Keras": lambda: model.train_on_batch(inputs, targets)}
    bounds = {"PyTorch": 0.6, "PyTorch, compiled": 0.6, "Keras": 0.6}
    yield from compare(CHOSEN[2][0], our_step(THESIS), peers, bounds, 2 * REPEATS)


@benchmark
def training_from_disk():
    """From 16-bit clips to the optimizer's step: reading, the mel picture and its augmentation included."""
    import torch

    n_clips, n_steps, n_epochs = 20_000, 5, 1000
    with clips_of_noise(n_clips) as clips:
        data = nn.ClipSequence(clips, np.arange(n_clips) % 2, 2, shuffle=True)
        model, loss = recognizer_network(masked=True), nn.CategoricalCrossentropy()
        model.optimizer = nn.RMSprop()
        batches = (each for _ in range(n_epochs) for each in prefetch(data))

        def ours():
            with one_blas_thread():
                for _ in range(n_steps):
                    train_batch(model, *next(batches), loss)

        class Clips(torch.utils.data.Dataset):
            def __len__(self):
                return n_clips

            def __getitem__(self, index):
                return clips[index].astype(np.float32) / 32768, index % 2

        def with_loader(n_workers):
            loader = torch.utils.data.DataLoader(Clips(), 32, shuffle=True, num_workers=n_workers)
            module = networks.in_torch(RELEASED).to(memory_format=torch.channels_last)
            optimizer, mel = torch.optim.RMSprop(module.parameters(), 1e-3), networks.MelInTorch()
            loaded = (each for _ in range(n_epochs) for each in loader)

            def theirs():
                for _ in range(n_steps):
                    samples, targets = next(loaded)
                    pictures = networks.augmented_in_torch(mel(samples), nn.SpectrogramAugmentation())
                    optimizer.zero_grad()
                    pictures = pictures.contiguous(memory_format=torch.channels_last)
                    torch.nn.functional.cross_entropy(module(pictures), targets).backward()
                    optimizer.step()

            return theirs

        torch.set_num_threads(N_THREADS)
        peers = {f"PyTorch: {n} workers": with_loader(n) for n in (0, 1)}
        work = f"{n_steps} training steps, {RELEASED}, from 16-bit clips on disk, augmented"
        yield from compare(work, ours, peers, {"PyTorch": 0.7})
        batches.close()


def clips_of_noise(n_clips):
    """A context with a file of 16-bit clips `(n, 16000)`, mapped."""
    return _Clips(n_clips)


@benchmark
def clips_to_probabilities():
    for name, n, at_most in ((RELEASED, 240, 0.9), (RELEASED, 1, 1.5), (THESIS, 240, 0.75)):
        model, clips = FROM_SAMPLES[name](), noise(n)
        peers = {"onnxruntime": partial(onnx_session(model), clips)}
        peers |= torch_inference(name, clips, networks.MelInTorch(), is_compiled=n > 1)
        bounds = dict.fromkeys(("onnxruntime", "PyTorch", "PyTorch, compiled"), at_most)
        work = f"{n} clips" if n > 1 else "one clip"
        work = f"{work} from samples to probabilities, {name}"
        yield from compare(work, partial(model.predict, clips), peers, bounds, REPEATS if n > 1 else 10 * REPEATS)


@benchmark
def pictures_to_scores():
    inputs = batch()[0]
    model, theirs = networks.ours(THESIS), networks.in_keras(THESIS)
    images = np.ascontiguousarray(np.moveaxis(inputs, 1, -1))

    def ours():
        with one_blas_thread():
            forward(model.steps, inputs)

    peers = torch_inference(THESIS, inputs) | {"Keras": lambda: theirs.predict_on_batch(images)}
    bounds = {"PyTorch": 0.75, "PyTorch, compiled": 0.75, "Keras": 0.75}
    yield from compare(f"inference, {THESIS}, batch 32", ours, peers, bounds, 2 * REPEATS)


@benchmark
def mel_spectrogram():
    import librosa
    import torch

    samples, layer, in_torch = noise(240), nn.MelSpectrogram(), networks.MelInTorch()
    layer.build((16_000,), None)
    theirs = torch.tensor(samples)
    constants = {"sr": 16_000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 128}

    def ours():
        with one_blas_thread():
            layer.forward(samples)

    def with_librosa():
        mels = librosa.feature.melspectrogram(y=np.pad(samples, ((0, 0), (0, 352))), power=1, center=False, **constants)
        librosa.amplitude_to_db(mels, ref=np.max)

    peers = {"librosa": with_librosa, "PyTorch": lambda: in_torch(theirs)}
    yield from compare("mel spectrogram of 240 clips", ours, peers, {"librosa": 0.7, "PyTorch": 0.7})


@benchmark
def threads():
    def on(n_threads):
        step = our_step(RELEASED)

        def run():
            set_threads(n_threads)
            step()

        return run

    times = alternate({"2 threads": on(2), "1 thread": on(1)})
    set_threads(N_THREADS)
    work = f"training step, {RELEASED}, with 2 threads / with 1"
    yield row(work, "ourselves, 1 thread", "ms", times["2 threads"], times["1 thread"], 0.58)


@benchmark
def weights():
    """What `make weights` trains, with its clips ready: extrapolated from some steps."""
    n_clips, n_epochs, n_steps = 150_000, 4, 100
    with clips_of_noise(20_000) as clips:
        data = _Steps(clips, np.arange(len(clips)) % 2, 2, shuffle=True)
        model, data.n_steps = recognizer_network(masked=True), 10
        model.fit(data, epochs=1, progress=False)
        data.n_steps = n_steps
        seconds = model.fit(data, epochs=1, progress=False).epoch_rows[-1]["seconds"]
    minutes = seconds / n_steps * n_epochs * n_clips / 32 / 60
    print(f"    {minutes:.1f} minutes", flush=True)
    work = f"training {RELEASED}, {n_epochs} epochs of {n_clips:,} clips (from {n_steps} steps)"
    yield row(work, "what it may take", "min", minutes, 40, 1.0)


@benchmark
def song():
    from pipeline.song.recognition import Recognizer

    recognizer, work = Recognizer(), "a 4-minute m4a from file to label, all clips"
    with tempfile.TemporaryDirectory() as folder:
        path = music(Path(folder, "song.m4a"), minutes=4)
        print(work, flush=True)
        ours = alternate({"ours": lambda: recognizer.recognize(path)})["ours"]
    yield row(work, "what it may take", "ms", ours, 2000, 1.0)


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
    yield row(f"peak memory of training, {RELEASED}, 33,602 clips", "PyTorch", "MB", ours, theirs, 0.6)
    bound = round((ours + 50) / ours, 3)  # 50 MB more
    yield row("peak memory, 336,020 clips / 33,602 clips", "ourselves, 33,602 clips", "MB", many, ours, bound)


def peak(who, n_clips, n_steps=30):
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


@benchmark
def details():
    """Not a row, but what the figure shows: time against clips, and where the time of a step goes."""
    model, seconds = recognizer_network(), {"ours": {}, "onnxruntime": {}}
    run = onnx_session(model)
    for n in (100, 1000, 10_000, 100_000):
        repeats, clips = max(1, min(10, 3000 // n)), noise(100)
        for name, infer in (("ours", model.predict), ("onnxruntime", run)):
            if name != "ours" and n > 10_000:
                continue
            start = time.perf_counter()
            for _ in range(repeats * n // len(clips)):
                infer(clips)
            seconds[name][n] = (time.perf_counter() - start) / repeats
    files.write_json(DETAILS, {"seconds by clips": seconds, "step": step_parts(), "machine": machine()})
    yield from ()


def step_parts(repeats=REPEATS):
    """Milliseconds of a training step on one core by what is done, and of its matrix products at the peak of the core.

    The modules of `nn.fast` get a NumPy that measures itself; of each call, and of each pause before one, the minimum
    over all steps counts, so that it does not matter much what else the machine does.
    """
    from nn.fast import run, tiles, training, windows

    marks = []  # kind, start and end of each call

    def timed(kind, function):
        def call(*arguments, **options):
            start = time.perf_counter()
            result = function(*arguments, **options)
            marks.append((kind(function, arguments), start, time.perf_counter()))
            return result

        return call

    class TimedNumPy:
        def __init__(self, kind):
            for name in ("matmul", "copyto", "add", "subtract", "multiply", "maximum", "greater"):
                setattr(self, name, timed(kind, getattr(np, name)))

        def __getattr__(self, name):
            return getattr(np, name)

    def in_tiles(function, arguments):
        if function is not np.matmul:
            return "copies"
        return "transforms" if arguments[0].shape[-1] < 9 else "products"

    kinds = {tiles: in_tiles, windows: "pooling", training: "normalization", run: "copies"}
    step, update, best = our_step(RELEASED), nn.RMSprop.update, np.inf
    set_threads(1)
    try:
        nn.RMSprop.update = timed(lambda *_: "optimizer", update)
        for module, kind in kinds.items():
            module.np = TimedNumPy(kind if callable(kind) else lambda *_, kind=kind: kind)
        for _ in range(repeats + 2):
            marks.clear()
            start = time.perf_counter()
            step()
            edges = [start, *np.ravel([mark[1:] for mark in marks]), time.perf_counter()]
            best = np.minimum(best, 1000 * np.diff(edges)) if np.size(best) == len(edges) - 1 else np.diff(edges) * 1000
    finally:
        nn.RMSprop.update = update
        for module in kinds:
            module.np = np
        set_threads(N_THREADS)
    parts = dict.fromkeys(("products", "transforms", "copies", "pooling", "normalization", "optimizer"), 0.0)
    for (kind, *_), milliseconds in zip(marks, best[1::2]):
        parts[kind] += milliseconds
    parts["the rest"] = float(best[::2].sum())
    plain, few = step_operations()
    return {"ms": parts, "limit": 1000 * few / peak_rate(), "limit of the plain sum": 1000 * plain / peak_rate()}


def step_operations():
    """Floating point operations of the matrix products of a step: of the plain sum, and of those that we compute."""
    from nn.fast.tiles import Winograd

    plain = few = 0
    for run in networks.ours(RELEASED).steps[0]._training:
        tiles, n_ways = run.tiles, 2 if run.leading else 3  # forward, to the kernel, and to the images
        pairs = 2 * 32 * n_ways * tiles.channels * tiles.filters
        plain += pairs * np.prod(tiles.size) * np.prod(tiles.taps)
        products = np.prod(tiles.patch) * (1 if isinstance(tiles, Winograd) else np.prod(tiles.tile))
        few += pairs * np.prod(tiles.grid) * products
    return float(plain), float(few)


def peak_rate(n=256, repeats=100):
    """Floating point operations a second of one core in a large matrix product."""
    one = np.random.default_rng(0).random((n, n), np.float32)
    with one_blas_thread():
        return 2 * n**3 / (min(alternate({"product": lambda: one @ one}, repeats)["product"]) / 1000)


class _Steps(nn.ClipSequence):
    """An epoch of `n_steps` batches."""

    n_steps = 1

    def __len__(self):
        return self.n_steps


class _Clips:
    def __init__(self, n_clips):
        self.n_clips = n_clips

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        path, some = Path(self.folder.name, "clips"), (noise(1000) * 32767).astype(np.int16)
        with open(path, "wb") as file:
            for start in range(0, self.n_clips, len(some)):
                file.write(some[: self.n_clips - start].tobytes())
        return np.memmap(path, np.int16, "r", shape=(self.n_clips, 16_000))

    def __exit__(self, *_):
        self.folder.cleanup()


def table(rows):
    """The rows in Markdown, with their date and machine."""
    lines = ["| work | peer | ours | peer's | ratio | at most |", "|---|---|---:|---:|---:|---:|"]
    for r in rows:
        figures = f"{r['ours']:.1f} {r['unit']} | {r['theirs']:.1f} {r['unit']} | {r['ratio']:.2f} | {r['at_most']:.2f}"
        lines.append(f"| {r['work']} | {r['peer']} | {figures} |")
    return "\n".join([*lines, "", f"Measured on {max(r['date'] for r in rows)}: {rows[0]['machine']}."])


def write(rows):
    """Write the rows, the two tables made from them, and the figure."""
    from pipeline.figures import benchmark, style

    files.write_json(RESULTS, rows)
    files.write_section(ROOT / "docs/benchmark.md", "bench", table(rows))
    files.write_section(ROOT / "README.md", "bench", table([r for r in rows if (r["work"], r["peer"]) in CHOSEN]))
    if DETAILS.exists():
        style.use()
        style.save(benchmark.draw(json.loads(DETAILS.read_text())), "benchmark")


def merged(old, new):
    """The rows of `new`, and before them those of `old` for other work or peers."""
    measured = {(r["work"], r["peer"]) for r in new}
    return [r for r in old if (r["work"], r["peer"]) not in measured] + new


def main(words):
    set_threads(N_THREADS)
    chosen = [f for f in BENCHMARKS if not words or any(word in f.__name__ for word in words)]
    kept, rows, failed = json.loads(RESULTS.read_text()) if words and RESULTS.exists() else [], [], []
    for function in chosen:
        try:
            rows += list(function())
        except Exception:
            traceback.print_exc()
            failed.append(function.__name__)
    print(f"\n{'work':84} {'peer':24} {'ours':>9} {'theirs':>9}      {'ratio':>6} {'at most':>7}")
    for r in rows:
        verdict = "" if r["ratio"] <= r["at_most"] else "  <- too much"
        figures = f"{r['ours']:9.1f} {r['theirs']:9.1f} {r['unit']:4} {r['ratio']:6.2f} {r['at_most']:7.2f}"
        print(f"{r['work']:84} {r['peer']:24} {figures}{verdict}")
    if failed:
        print(f"Failed, of whose rows none are written: {', '.join(failed)}")
    write(merged(kept, rows))
    return bool(failed) or any(r["ratio"] > r["at_most"] for r in rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write(json.loads(RESULTS.read_text()))
    else:
        sys.exit(main(sys.argv[1:]))
