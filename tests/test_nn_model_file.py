"""The model file: everything comes back, and no file can do harm or be left half written."""

import io
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_nn_training import CLIP, assert_same, network, tones

import nn


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
        with pytest.raises(nn.ModelFileError, match="model.npz cannot be loaded as a model"):
            nn.Model.load(path)


def test_damaged_bytes(path):
    whole = bytearray(path.read_bytes())
    for place in range(40, len(whole), len(whole) // 25):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            model = nn.Model.load(path)
        except nn.ModelFileError:
            continue
        assert isinstance(model, nn.Model)  # a byte that says nothing, such as a date


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
    with pytest.raises(nn.ModelFileError, match="No model file at .*nowhere.npz"):
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
        lambda h: [h["layers"].pop() for _ in range(2)],
        lambda h: h.update(layers=None),
        lambda h: h.update(input_shape=[-5]),
        lambda h: h.update(input_shape="abc"),
        lambda h: h.update(class_names=["a"]),
        lambda h: h.update(class_names=None),
        lambda h: h.pop("epochs"),
        lambda h: h["optimizer"].update(type="Optimizer"),
        lambda h: h["optimizer"].update(learning_rate=-1),
        lambda h: h.update(generators={"dropout_1": {"bit_generator": "MT19937"}}),
        lambda h: h.update(generators={"dense_1": {}}),
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
        {"buffers/batchnormalization_1/mean": np.zeros((1, 1), np.float32)},
        {"batches": np.zeros(5)},
        {"slots/dense_1/kernel/square": np.zeros(3, np.float32)},
    ],
)
def test_hostile_arrays(path, arrays):
    change(path, arrays=arrays)
    with pytest.raises(nn.ModelFileError):
        nn.Model.load(path)


def test_a_missing_array(path):
    change(path, drop=["params/conv2d_1/kernel"])
    with pytest.raises(nn.ModelFileError, match="conv2d_1/kernel"):
        nn.Model.load(path)


HUGE = {
    "units": lambda h: h["layers"][-4].update(units=10**9),
    "filters": lambda h: h["layers"][2].update(filters=10**9),
    "wide kernel": lambda h: h["layers"][2].update(kernel_size=[160, 160]),
    "wide strides": lambda h: h["layers"][2].update(strides=20_000),
    "kernel": lambda h: h["layers"][2].update(kernel_size=[10**5, 10**5]),
    "input": lambda h: h.update(input_shape=[10**12]),
    "mels": lambda h: h["layers"][0].update(n_mels=10**9),
    "fft": lambda h: h["layers"][0].update(n_fft=10**9),
    "layers": lambda h: h.update(
        layers=h["layers"][:-4] + [{"type": "Dense", "units": 30_000}] * 50 + h["layers"][-4:]
    ),
}


def limited():
    """Run a child that can have no more than 3 GB of memory, address space included."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


@pytest.mark.parametrize("what", HUGE)
def test_huge_architectures_cost_no_memory(path, what):
    change(path, header=HUGE[what])
    assert peak_of_loading(path) < 400


def test_zip_bomb(path):
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(1100):
            file.write(bytes(1 << 20))
    assert os.path.getsize(path) < 3 << 20
    assert peak_of_loading(path) < 400


def test_an_array_that_claims_to_be_huge(path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (10**11,)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("claim.npy", buffer.getvalue())
    assert peak_of_loading(path) < 400


def peak_of_loading(path):
    """Peak memory in MB of a process that is refused the file at `path`."""
    code = (
        "import sys, nn\n"
        "try: nn.Model.load(sys.argv[1])\n"
        # getrusage would count what the parent held when it forked
        "except nn.ModelFileError: print(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])"
    )
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(path)]
    return (
        int(subprocess.run(command, env=environment, check=True, capture_output=True, preexec_fn=limited).stdout) >> 10
    )


def test_killed_while_saving_the_old_file_stays_whole(trained, path):
    code = (
        "import sys, nn\n"
        "model = nn.Model.load(sys.argv[1])\n"
        "model.metadata['padding'] = 'x' * 20_000_000\n"
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


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(trained, path):
    before = path.read_bytes()
    model = nn.Model.load(path)
    model.metadata = {"not plain": object()}
    with pytest.raises(TypeError):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]


def test_a_layer_of_ones_own_is_refused_before_it_is_lost(tmp_path):
    class ReLU(nn.ReLU):
        """Called as one of ours, which it would come back as."""

    model = nn.Model([ReLU(), nn.Dense(np.int64(2))], (4,), ["a", "b"])
    with pytest.raises(ValueError, match="what nn offers only. Received: ReLU"):
        model.save(tmp_path / "model.npz")
    model = nn.Model([nn.ReLU(), nn.Dense(np.int64(2))], (4,), ["a", "b"], seed=np.int64(3))
    model.save(tmp_path / "model.npz")
    assert_same(nn.Model.load(tmp_path / "model.npz"), model)


def test_permissions_are_those_of_any_new_file(path):
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert nn.Model.load(path).input_shape[0] == CLIP
