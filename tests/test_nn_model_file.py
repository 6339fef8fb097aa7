"""The model file: everything comes back, and no file can do harm or be left half written."""

import io
import json
import os
import pickle
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_nn_training import CLIP, assert_same, network, tones

import nn
from nn import model_file


@pytest.fixture(scope="module")
def trained():
    model = network()
    model.fit(tones(), validation_data=tones(seed=1), epochs=2, progress=False)
    model.metadata = {"threshold": 0.4, "note": "für Elise"}
    return model


@pytest.fixture
def path(trained, tmp_path):
    trained.save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def change(path, header=None, arrays=None, drop=()):
    """Rewrite the file at `path` with other entries."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files if name not in drop}
    values = json.loads(str(content["header"]))
    if header:
        header(values)
    content |= {"header": np.array(json.dumps(values))} | (arrays or {})
    np.savez_compressed(path, **content)


def test_everything_comes_back(trained, path):
    model = nn.Model.load(path)
    assert_same(trained, model)
    assert (model.class_names, model.input_shape, model.seed) == (trained.class_names, trained.input_shape, 0)
    assert model.metadata == trained.metadata
    assert repr(model.layers) == repr(trained.layers)
    assert model.layers[0].features == trained.layers[0].features
    assert repr(model.history) == repr(trained.history)
    clips = tones().clips
    np.testing.assert_array_equal(model.predict(clips), trained.predict(clips))


def test_without_the_optimizer_it_is_smaller_and_still_predicts(trained, path, tmp_path):
    trained.save(tmp_path / "small.npz", include_optimizer=False)
    assert os.path.getsize(tmp_path / "small.npz") < os.path.getsize(path)
    model = nn.Model.load(tmp_path / "small.npz")
    assert model.optimizer is None
    assert_same(trained, model)


def test_truncated_files(path):
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(nn.ModelFileError, match=r"model\.npz cannot be loaded as a model"):
            nn.Model.load(path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_pickle_in_disguise(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    for name in ("header.npy", "params/conv2d_1/kernel.npy"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, buffer.getvalue())
        with pytest.raises(nn.ModelFileError):
            nn.Model.load(path)
    assert not (tmp_path / "exploded").exists()


def test_foreign_and_missing_files(path, tmp_path):
    with pytest.raises(nn.ModelFileError, match=r"No model file at .*nowhere\.npz"):
        nn.Model.load(tmp_path / "nowhere.npz")
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(tmp_path)  # a folder
    np.savez(path, data=np.zeros(3))
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)
    np.savez(path, header=np.array("[1, 2]"))
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.txt", "hello")
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)


def test_a_newer_format_says_so(path):
    change(path, header=lambda h: h.update(format=99))
    with pytest.raises(nn.ModelFileError, match="format 99, this version reads 1"):
        nn.Model.load(path)


@pytest.mark.parametrize(
    "header",
    [
        lambda h: h["layers"][2].update(type="Model"),
        lambda h: h["layers"][2].update(type="__import__"),
        lambda h: h["layers"][2].update(filters=-4),
        lambda h: h["layers"][2].update(filters="many"),
        lambda h: h["layers"][2].update(surprise=1),
        lambda h: h["layers"][1].update(epsilon="small"),
        lambda h: h["layers"][0].update(hop_length=float("nan")),
        lambda h: h["layers"][0].update(top_db="80"),
        lambda h: [h["layers"].pop() for _ in range(2)],
        lambda h: h["layers"].insert(0, {"type": "MelSpectrogram"}),
        lambda h: h.update(layers=None),
        lambda h: h.update(input_shape=[-5]),
        lambda h: h.update(input_shape="abc"),
        lambda h: h.update(input_shape=[2000.0]),
        lambda h: h.update(class_names=["a"]),
        lambda h: h.update(class_names=None),
        lambda h: h.update(class_names=[None, "a"]),
        lambda h: h.update(class_names=["a", "a"]),
        lambda h: h.update(seed="abc"),
        lambda h: h.update(metadata=[1]),
        lambda h: h["metadata"].update(threshold="half"),
        lambda h: h["metadata"].update(threshold=float("nan")),
        lambda h: h["metadata"].update(threshold=2),
        lambda h: h.pop("epochs"),
        lambda h: h["epochs"].append({"loss": "small"}),
        lambda h: h["epochs"].append([]),
        lambda h: h["optimizer"].update(type="Optimizer"),
        lambda h: h["optimizer"].update(learning_rate=-1),
        lambda h: h["optimizer"].update(steps="abc"),
        lambda h: h["optimizer"].update(steps=10**400),
        lambda h: h["optimizer"].update(rho=10**400),
        lambda h: h.update(optimizer=None),
        lambda h: h.update(generators={"dropout_1": {"bit_generator": "MT19937"}}),
        lambda h: h.update(generators={"dense_1": {}}),
        lambda h: h.update(generators={}),
    ],
)
def test_hostile_headers(path, header):
    change(path, header=header)
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"params/dense_1/kernel": np.zeros((1, 1), np.float32)},
        {"params/dense_1/kernel": np.zeros((192, 16), np.float64)},
        {"params/dense_1/bias": np.array(["x"] * 16)},
        {"params/dense_1/bias": np.full(16, np.nan, np.float32)},
        {"params/dense_1/bias": np.full(16, -np.inf, np.float32)},
        {"buffers/batchnormalization_1/mean": np.zeros((1, 1), np.float32)},
        {"buffers/batchnormalization_1/variance": np.full(1, -0.1, np.float32)},
        {"batches": np.zeros(5)},
        {"batches": np.zeros((2, 5))},
        {"batches": np.full((2, 4), np.nan)},
        {"slots/dense_1/kernel/square": np.zeros(3, np.float32)},
        {"slots/dense_1/kernel/velocity": np.zeros((192, 16), np.float32)},
        {"slots/dense_3/kernel/square": np.zeros(3, np.float32)},
        {"surprise": np.zeros(3)},
    ],
)
def test_hostile_arrays(path, arrays):
    change(path, arrays=arrays)
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)


@pytest.mark.parametrize("name", ["params/conv2d_1/kernel", "batches", "slots/conv2d_1/kernel/square"])
def test_a_missing_array(path, name):
    change(path, drop=[name])
    with pytest.raises(nn.ModelFileError, match=f"missing, unknown or repeated: '{name}'|averages .* are missing"):
        nn.Model.load(path)


def rewrite(path, replaced=(), added=(), method=zipfile.ZIP_DEFLATED):
    """Write the file at `path` anew: other bytes under some names, and more entries behind."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | dict(replaced)
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", method) as archive:
        for name, content in [*entries.items(), *added]:
            archive.writestr(name, content)


def npy(text, body=bytes(64)):
    """The bytes of an array that describes itself by `text`."""
    return np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text.encode() + body


@pytest.mark.parametrize(
    "array",
    [
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16,\n"),
        npy("if 1:\n    a\n  b\n"),
        npy("(" * 9000),
        npy(" " * 60_000 + "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (16,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-16,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,)}"),
        npy("{'descr': '<U999999999', 'fortran_order': False, 'shape': (16,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}", bytes(63)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}", bytes(65)),
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(100),
    ],
    ids=range(13),
)
def test_hostile_array_headers(path, array):
    whole = path.read_bytes()
    for name in ("header.npy", "params/dense_1/bias.npy", "batches.npy"):
        path.write_bytes(whole)
        rewrite(path, {name: array})
        with pytest.raises(nn.ModelFileError):
            nn.Model.load(path)


@pytest.mark.parametrize(
    "options",
    [
        {"added": [("batches.npy", b"")]},
        {"added": [("batches.npy", b"")] * 300},
        {"added": [("header.npy\0", b"")]},
        {"added": [("../surprise.npy", b"")]},
        {"method": zipfile.ZIP_LZMA},
        {"method": zipfile.ZIP_BZIP2},
    ],
    ids=range(6),
)
def test_hostile_archives(path, options):
    rewrite(path, **options)
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)


HOSTILE = [
    *(None, True, 0, -1, 1, 1.5, -0.5, 1e300, float("nan"), float("inf"), 10**6, 2**31, 2**64, 10**400, "", "abc"),
    *("\ud800", [], {}, [1, 2], [0, 0], [-1, 5], [10**9, 10**9], ["a", "a"], [None], [[]], {"type": "ReLU"}),
]


def with_other_values(path, rng):
    """The file at `path` with one to three values of its header exchanged."""
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
    for _ in range(rng.choice([1, 1, 2, 3])):
        parent, key = header, rng.choice(list(header))
        while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.8:
            parent = parent[key]
            key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
        parent[key] = rng.choice(HOSTILE)
    buffer = io.BytesIO()
    np.save(buffer, np.array(json.dumps(header)))
    rewrite(path, {"header.npy": buffer.getvalue()})


def with_other_bits(path, rng):
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def with_other_bytes(path, rng):
    """A part of the file cut out, doubled, emptied or made of noise."""
    data, start = bytearray(path.read_bytes()), rng.randrange(path.stat().st_size)
    part = data[start : start + rng.choice([1, 4, 50, 1000])]
    others = [b"", 2 * part, bytes(len(part)), rng.randbytes(len(part))]
    data[start : start + len(part)] = rng.choice(others)
    path.write_bytes(data)


def with_other_directory(path, rng):
    """A field of the zip file's directory, or of the record at its end, says something else."""
    data = bytearray(path.read_bytes())
    entries = [found.start() for found in re.finditer(b"PK\x01\x02", data)]
    fields = [(rng.choice(entries), (8, 10, 16, 20, 24, 28, 30, 42)), (data.rfind(b"PK\x05\x06"), (8, 10, 12, 16))]
    entry, offsets = rng.choice(fields)
    value = rng.choice([0, 1, 8, 14, 1 << 30, 0xFFFFFFFF, rng.getrandbits(32)])
    struct.pack_into("<I", data, entry + rng.choice(offsets), value)
    path.write_bytes(data)


@pytest.mark.parametrize("mutate", [with_other_values, with_other_bits, with_other_bytes, with_other_directory])
def test_a_mutant_is_refused_or_works(trained, path, mutate):
    """Of hundreds of damaged and hostile files, each is refused in one line or gives a model that can be used."""
    trained.save(path, include_optimizer=mutate is with_other_values)  # else most of the bytes are the optimizer's
    whole, clips, generator, messages = path.read_bytes(), tones(4).clips, random.Random(0), []
    for _ in range(150):
        path.write_bytes(whole)
        mutate(path, generator)
        started = time.process_time()
        try:
            model = nn.Model.load(path)
        except nn.ModelFileError as refusal:
            messages.append(str(refusal))
        else:
            assert np.isfinite(model.predict(clips)).all()
            model.save(path)
            repr(model.history)
        assert time.process_time() - started < 5
    assert len(messages) > 50
    assert all(len(message) < 500 and message.isprintable() for message in messages)


HUGE = {
    "units": lambda h: h["layers"][-4].update(units=10**9),
    "filters": lambda h: h["layers"][2].update(filters=10**9),
    "wide kernel": lambda h: h["layers"][2].update(kernel_size=[160, 160]),
    "wide strides": lambda h: h["layers"][2].update(strides=20_000),
    "kernel": lambda h: h["layers"][2].update(kernel_size=[10**5, 10**5]),
    "pool": lambda h: h["layers"][5].update(pool_size=10**5, padding="same"),
    "average pool": lambda h: h["layers"].insert(1, {"type": "AveragePooling2D", "pool_size": 9999, "padding": "same"}),
    "input": lambda h: h.update(input_shape=[10**12]),
    "mels": lambda h: h["layers"][0].update(n_mels=10**9),
    "many mels": lambda h: h["layers"][0].update(n_fft=16_384, n_mels=16_384),
    "fft": lambda h: h["layers"][0].update(n_fft=10**9),
    "channels": lambda h: h.update(input_shape=[700_000_000], layers=[{"type": "BatchNormalization"}]),
    "wide layers": lambda h: h["layers"].extend([{"type": "Dense", "units": 30_000}] * 50),
    "layers": lambda h: h.update(layers=[{"type": "ReLU"}] * 50_000),
    "wide kernels": lambda h: h["layers"].extend([{"type": "Conv2D", "filters": 1, "kernel_size": 64}] * 900),
    "normalizations": lambda h: h["layers"].extend([{"type": "BatchNormalization"}] * 900),
    "lists": lambda h: h.update(surprise=[[]] * 2_200_000),
    "metadata": lambda h: h["metadata"].update(surprise="x" * 9_000_000),
    "class names": lambda h: h.update(class_names=[str(i) for i in range(10**6)]),
}


def limited():
    """Run a child that can have no more than 3 GB of memory, address space included."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def test_huge_files_cost_no_memory(path):
    """Each is refused within seconds by a process that has little memory."""
    whole = path.read_bytes()
    for name, header in HUGE.items():
        path.write_bytes(whole)
        change(path, header=header)
        path.rename(path.with_name(f"{name}.npz"))
    path.write_bytes(whole)
    change(path, arrays={"batches": np.zeros((2_000_000, 4))})
    path.rename(path.with_name("batches.npz"))
    path.write_bytes(whole)
    rewrite(path, {"params/dense_1/bias.npy": bytes(400 << 20)})
    path.rename(path.with_name("bomb.npz"))
    code = (
        "import sys, time, nn\n"
        "for path in sys.argv[1:]:\n"
        "    started = time.process_time()\n"
        "    try: nn.Model.load(path)\n"
        # getrusage would count what the parent held when it forked
        "    except nn.ModelFileError: peak = next(line for line in open('/proc/self/status') if 'VmHWM' in line)\n"
        "    else: sys.exit(path)\n"
        "    print(path, time.process_time() - started, int(peak.split()[1]) >> 10, sep='|')"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *sorted(map(str, path.parent.glob("*.npz")))]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, preexec_fn=limited)
    for line in said.stdout.splitlines():
        name, seconds, megabytes = line.split("|")
        assert float(seconds) < 5, name
        assert int(megabytes) < 400, name


def test_killed_while_saving_the_old_file_stays_whole(trained, path):
    code = (
        "import sys, nn\n"
        "model = nn.Model.load(sys.argv[1])\n"
        "model.metadata['padding'] = 'x' * 5_000_000\n"
        "print('saving', flush=True)\n"
        "while True: model.save(sys.argv[1])"
    )
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    for delay in (0.0, 0.05, 0.2, 0.5):
        child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, env=environment)
        child.stdout.readline()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert_same(nn.Model.load(path), trained)


def test_what_can_be_trained_can_be_saved_and_loaded(path, monkeypatch):
    """A rate that ends at zero, values of NumPy's, weights in Fortran's order, more batches than a file keeps."""
    model = nn.Model([nn.Dense(3, use_bias=False), nn.ReLU(), nn.Dense(2, activation="softmax")], (4,), ["a", "b"])
    model["dense_1"].params["kernel"] = np.asfortranarray(model["dense_1"].params["kernel"])
    schedule = nn.LearningRateSchedule(lambda epoch: np.float32(0.1 * (1 - epoch)))
    clips = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    model.fit(clips, np.arange(8) % 2, epochs=2, callbacks=[schedule], optimizer=nn.Adam(), progress=False)
    monkeypatch.setattr(model_file, "MAX_BATCHES", 1)
    model.history.epoch_rows[0]["songs"] = 3
    model.metadata = {"threshold": np.float64(0.25), "seeds": (1, 2)}
    model.save(path)
    loaded = nn.Model.load(path)
    assert_same(loaded, model)
    assert loaded.optimizer.learning_rate == 0
    assert loaded.metadata == {"threshold": 0.25, "seeds": [1, 2]}
    assert loaded.history.epoch_rows == model.history.epoch_rows
    assert loaded.history.batch_rows == model.history.batch_rows[1:]


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "plain values: .* Received: <object", lambda model: model.metadata.update(thing=object())),
        (TypeError, "plain values: .* Received: array", lambda model: model.metadata.update(thing=np.zeros(2))),
        (ValueError, "threshold='half'", lambda model: model.metadata.update(threshold="half")),
        (
            ValueError,
            "dense_1/bias' has values that are not finite",
            lambda model: model.params["dense_1/bias"].fill(np.nan),
        ),
        (
            ValueError,
            "variance' has values below",
            lambda model: model.buffers["batchnormalization_1/variance"].fill(-1),
        ),
        (ValueError, "more than", lambda model: model.metadata.update(text="x" * 2 * model_file.MAX_TEXT)),
    ],
)
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, error, message, change):
    before, model = path.read_bytes(), nn.Model.load(path)
    change(model)
    with pytest.raises(error, match=message):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]


def test_a_layer_of_ones_own_is_refused_before_it_is_lost(tmp_path):
    class ReLU(nn.ReLU):
        """Called as one of ours, which it would come back as."""

    model = nn.Model([ReLU(), nn.Dense(np.int64(2))], (4,), ["a", "b"])
    with pytest.raises(ValueError, match=r"what nn offers only\. Received: ReLU"):
        model.save(tmp_path / "model.npz")
    model = nn.Model([nn.ReLU(), nn.Dense(np.int64(2))], (4,), ["a", "b"], seed=np.int64(3))
    model.save(tmp_path / "model.npz")
    assert_same(nn.Model.load(tmp_path / "model.npz"), model)


def test_a_subclass_is_saved_as_the_model_it_is(tmp_path):
    class Classifier(nn.Model):
        def __init__(self):
            super().__init__([nn.Dense(2, activation="softmax")], (4,), ["a", "b"])

    model = Classifier()
    model.save(tmp_path / "model.npz")
    assert_same(nn.Model.load(tmp_path / "model.npz"), model)


def test_permissions_are_those_of_any_new_file(path):
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert nn.Model.load(path).input_shape[0] == CLIP
