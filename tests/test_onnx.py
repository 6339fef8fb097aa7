"""The ONNX file says what the model says, to 1e-4, on real songs, in a runtime that knows nothing of this code."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile

from nn import (
    BatchNormalization,
    ClipSequence,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    MelSpectrogram,
    Model,
    ReLU,
    Softmax,
    SpectrogramAugmentation,
)
from nn.layer import Layer
from nn.layers import __all__ as layer_names
from nn.onnx import save_onnx, write
from pipeline.learning.networks import dense_network, recognizer_network, thesis_network
from pipeline.song.audio import load
from pipeline.song.cleaning import cut_array
from pipeline.song.recognition import MODEL_PATH, Recognizer

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


@pytest.fixture(scope="module")
def clips():
    """Clips of every sample song, one of them silent but for a click."""
    songs = sorted(path for path in SAMPLES.iterdir() if path.stem.startswith(("piano-", "other-")))
    click = np.zeros((1, 16_000), np.float32)
    click[0, 9_000:9_020] = 0.01
    return np.concatenate([cut_array(load(song))[0][::4] for song in songs] + [click])


def every_kind_of_layer(class_names):
    """A network with uneven strides, windows and padding."""
    layers = [
        MelSpectrogram(n_mels=40),
        SpectrogramAugmentation(),
        BatchNormalization(),
        Conv2D(3, (4, 5), strides=(2, 1), padding="valid"),
        ReLU(),
        MaxPooling2D((3, 2), strides=(2, 3), padding="same"),
        Conv2D(4, (2, 3), strides=3),
        MaxPooling2D(2, padding="valid"),
        Flatten(),
        Dropout(0.5),
        BatchNormalization(),
        Dense(len(class_names)),
        Softmax(),
    ]
    return Model(layers, (16_000,), class_names)


def run(path, clips):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"samples": clips})[0]


@pytest.mark.parametrize("network", [thesis_network, recognizer_network, dense_network, every_kind_of_layer])
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


def test_the_file_names_its_classes(tmp_path):
    dense_network(("Violín solo", "Piano")).to_onnx(tmp_path / "model.onnx")
    metadata = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == ["Violín solo", "Piano"]
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_every_layer_that_a_model_file_may_hold_can_be_exported():
    import nn.layers

    assert [name for name in layer_names if write.dispatch(getattr(nn.layers, name)) is write.dispatch(Layer)] == []


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
