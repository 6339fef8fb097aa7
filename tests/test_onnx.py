"""The ONNX file says what the model says, to 1e-4, on real songs, in a runtime that knows nothing of this code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from onnxruntime.quantization import CalibrationDataReader, quantize_static

import nn
from nn import ClipSequence, Flatten, MelSpectrogram, Model
from nn.layer import Layer
from nn.onnx import save_onnx
from pipeline.learning.networks import dense_network, recognizer_network, thesis_network
from pipeline.song.audio import load
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import MODEL_PATH, Recognizer

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SONGS = sorted(path for path in SAMPLES.iterdir() if path.stem.startswith(("piano-", "other-")))


@pytest.fixture(scope="module")
def clips():
    """Clips of every sample song, one of them silent but for a click."""
    click = np.zeros((1, 16_000), np.float32)
    click[0, 9_000:9_020] = 0.01
    return np.concatenate([cut_array(load(song))[0][::4] for song in SONGS] + [click])


def run(path, clips):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"samples": clips})[0]


@pytest.mark.parametrize("network", [thesis_network, recognizer_network, dense_network])
def test_the_file_says_what_the_model_says(network, clips, tmp_path):
    model = network(("Violín solo", "Piano", "Other"))
    data = ClipSequence(clips, np.arange(len(clips)) % 3, 3, batch_size=16, shuffle=True)
    model.fit(data, epochs=1, progress=False)  # running statistics and weights that are not those of the start
    model.to_onnx(tmp_path / "model.onnx")
    ours, theirs = model.predict(clips), run(tmp_path / "model.onnx", clips)
    assert theirs.dtype == np.float32
    assert np.ptp(ours) > 0.1
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", clips[3:4]), ours[3:4], atol=1e-4)  # any size of a batch


def test_the_pictures_are_the_same_to_a_tenth_of_a_decibel(clips, tmp_path):
    model = Model([MelSpectrogram(), Flatten()], (16_000,), [str(i) for i in range(12_800)])
    model.to_onnx(tmp_path / "model.onnx")
    difference = np.abs(run(tmp_path / "model.onnx", clips) - model.predict(clips))
    assert difference.max() < 0.1
    assert difference.mean() < 1e-4


IMAGE = (2, 11, 14)  # channels, height, width
EXAMPLES = {
    "AveragePooling2D": [nn.AveragePooling2D(), nn.AveragePooling2D((3, 2), (2, 3), "same")],
    "BatchNormalization": [nn.BatchNormalization(), nn.BatchNormalization(epsilon=0)],
    "Conv2D": [
        nn.Conv2D(3, (4, 5), (2, 1), "valid"),
        nn.Conv2D(3, (2, 3), 3, use_bias=False),
        nn.Conv2D(3, 3, activation="relu"),
    ],
    "Dense": [nn.Dense(3), nn.Dense(3, use_bias=False), nn.Dense(3, activation="softmax")],
    "Dropout": [nn.Dropout(0.5)],
    "Flatten": [nn.Flatten()],
    "GlobalAveragePooling2D": [nn.GlobalAveragePooling2D()],
    "GlobalMaxPooling2D": [nn.GlobalMaxPooling2D()],
    "MaxPooling2D": [nn.MaxPooling2D(), nn.MaxPooling2D((3, 2), (2, 3), "same")],
    "MelSpectrogram": [
        nn.MelSpectrogram(n_mels=20),
        nn.MelSpectrogram(sample_rate=8_000, n_fft=256, win_length=100, hop_length=130, f_max=3_000.0, top_db=40.0),
        nn.MelSpectrogram(n_fft=401, n_mels=20, hop_length=401),
    ],
    "ReLU": [nn.ReLU()],
    "Softmax": [nn.Softmax()],
    "SpectrogramAugmentation": [nn.SpectrogramAugmentation()],
}
VECTORS = {"Dense": (7,), "MelSpectrogram": (2_000,)}  # what takes no images


def test_every_layer_has_an_example():
    assert list(EXAMPLES) == nn.layers.__all__


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in EXAMPLES for i in range(len(EXAMPLES[name]))])
def test_every_layer_agrees(name, number, tmp_path):
    rng, shape = np.random.default_rng(0), VECTORS.get(name, IMAGE)
    layer = EXAMPLES[name][number]
    n_outputs = int(np.prod(layer.compute_output_shape(shape)))
    model = nn.Model([layer, nn.Flatten()], shape, [str(i) for i in range(n_outputs)])
    for arrays in (layer.params, layer.buffers):
        for key in arrays:
            arrays[key] = rng.uniform(0.5, 1.5, arrays[key].shape).astype(np.float32)
    inputs = rng.normal(size=(5, *shape)).astype(np.float32)
    model.to_onnx(tmp_path / "model.onnx")
    np.testing.assert_allclose(run(tmp_path / "model.onnx", inputs), model.predict(inputs), rtol=1e-5, atol=1e-4)
    operations = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert not operations & {"Identity", "Max"}  # which runtimes in browsers lack


def test_a_network_without_anything_to_compute(tmp_path):
    model = nn.Model([nn.Dropout(0.5)], (3,), "abc")
    model.to_onnx(tmp_path / "model.onnx")
    clips = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(run(tmp_path / "model.onnx", clips), clips)


def test_the_file_carries_what_the_model_knows(tmp_path):
    model = dense_network(("Violín solo", "Piano"))
    model.metadata = {"threshold": np.float64(0.4), "calibration": {"scale": 1.5, "shift": -0.5}, "class_names": "?"}
    model.to_onnx(tmp_path / "model.onnx")
    metadata = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert {key: json.loads(value) for key, value in metadata.items()} == {
        "class_names": ["Violín solo", "Piano"],
        "sample_rate": 16_000,
        "threshold": 0.4,
        "calibration": {"scale": 1.5, "shift": -0.5},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


class Clips(CalibrationDataReader):
    """Batches of clips from which the ranges of values are read."""

    def __init__(self, clips):
        self.batches = ({"samples": part} for part in np.array_split(clips, 8))

    def get_next(self):
        return next(self.batches, None)


def test_quantization_without_the_spectrogram_keeps_every_label(tmp_path):
    model, exact, quantized = Model.load(MODEL_PATH), tmp_path / "model.onnx", tmp_path / "quantized.onnx"
    model.to_onnx(exact)
    songs = {path.name: cut_array(load(path))[0] for path in SONGS}

    def quantize(excluded):
        some = np.concatenate([clips[::10] for clips in songs.values()])
        quantize_static(exact, quantized, Clips(some), per_channel=True, nodes_to_exclude=excluded)
        return {name: majority(run(quantized, clips)) for name, clips in songs.items()}

    labels = {name: majority(model.predict(clips)) for name, clips in songs.items()}
    names = [node.name for node in onnx.load(exact).graph.node]
    assert quantize([name for name in names if name.startswith("melspectrogram_1/")]) == labels
    assert quantized.stat().st_size < 0.7 * exact.stat().st_size
    assert quantize([]) != labels


def majority(probabilities):
    """The class that most clips vote for."""
    return np.bincount(probabilities.argmax(axis=1)).argmax()


def test_a_layer_without_a_form_in_onnx_is_named(tmp_path):
    class Mystery(Layer):
        pass

    with pytest.raises(ValueError, match="Mystery has no form in ONNX"):
        save_onnx(Model([Mystery()], (2,), ("a", "b")), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_the_page_gives_what_the_recognizer_gives(tmp_path):
    code = (SAMPLES.parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    samples = load(SAMPLES / "other-ensemble-with-piano.mp3")[160_000:240_000] * np.repeat(
        [1, 0.5, 0.7, 0.2, 1], 16_000
    )
    soundfile.write(tmp_path / "song.wav", samples, 16_000, subtype="FLOAT")
    Model.load(MODEL_PATH).to_onnx(tmp_path / "model.onnx")
    said = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert ast.literal_eval(said) == pytest.approx(
        Recognizer().recognize(str(tmp_path / "song.wav")).probabilities, abs=1e-3
    )


def test_nn_does_without_the_package_onnx():
    code = "import sys; sys.modules['onnx'] = None; import nn; nn.Model([nn.Softmax()], (2,), 'ab')"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=SAMPLES.parents[1])
