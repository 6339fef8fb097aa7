"""What each layer computes: by hand, against naive loops, and at the edges."""

import librosa
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from nn import parallel
from nn.fast.fusion import fuse
from nn.layer import backward, forward
from nn.parallel import set_threads

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


def built(layer, shape, seed=0):
    layer.build(shape, np.random.default_rng(seed))
    return layer


def test_convolution_by_hand():
    layer = built(nn.Conv2D(1, 3), (1, 3, 3))
    layer.params["kernel"][...] = np.arange(9).reshape(1, 1, 3, 3)
    layer.params["bias"][...] = 1
    image = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
    # the corner: 4*1 + 5*2 + 7*4 + 8*5 + bias = 83; the one below it: 1*1 + 2*2 + 4*4 + 5*5 + 7*7 + 8*8 + bias = 160
    expected = [[83, 134, 91], [160, 241, 154], [83, 116, 67]]
    np.testing.assert_array_equal(layer.forward(image)[0, 0], expected)
    np.testing.assert_array_equal(forward(fuse([layer]), image)[0, 0], expected)


def test_pooling_by_hand():
    layer = built(nn.MaxPooling2D(2, 1), (1, 3, 3))
    image = np.array([[[[1, 5, 2], [7, 3, 3], [0, 8, 3]]]], np.float32)
    np.testing.assert_array_equal(layer.forward(image)[0, 0], [[7, 5], [8, 8]])
    gradient = layer.backward(np.array([[[[1, 2], [4, 8]]]], np.float32))
    np.testing.assert_array_equal(gradient[0, 0], [[0, 2, 0], [1, 0, 0], [0, 12, 0]])


def test_of_equal_maxima_the_first_gets_the_gradient():
    image = np.zeros((1, 1, 2, 2), np.float32)
    pool = built(nn.MaxPooling2D(2), (1, 2, 2))
    pool.forward(image)
    np.testing.assert_array_equal(pool.backward(np.ones((1, 1, 1, 1)))[0, 0], [[1, 0], [0, 0]])
    layers = [nn.Conv2D(1, 1), nn.MaxPooling2D(2)]
    for layer in layers:
        built(layer, (1, 2, 2))
    (step,) = fuse(layers)
    layers[0].params["kernel"][...] = 0  # so that whatever the pixels hold, they are equal behind the convolution
    step.forward(np.float32([[[[1, 2], [3, 4]]]]), training=True)
    step.backward(np.ones((1, 1, 1, 1)))  # a loss may compute in float64
    assert layers[0].grads["kernel"] == 1
    assert layers[0].grads["kernel"].dtype == np.float32


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(5, 9), st.integers(5, 9)),
    filters=st.integers(1, 3), kernel=pairs, strides=pairs, padding=st.sampled_from(["same", "valid"]),
    use_bias=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True)
def test_convolution_and_pooling_are_the_naive_ones(shape, filters, kernel, strides, padding, use_bias):
    rng = np.random.default_rng(0)
    images = rng.normal(size=shape)
    conv = built(nn.Conv2D(filters, kernel, strides, padding, use_bias=use_bias), shape[1:])
    conv.params = {key: rng.normal(size=array.shape) for key, array in conv.params.items()}
    bias = conv.params["bias"] if use_bias else np.zeros(filters)
    expected = naive.conv2d(images, conv.params["kernel"], bias, strides, padding)
    np.testing.assert_allclose(conv.forward(images), expected, atol=1e-12)
    np.testing.assert_allclose(forward(fuse([conv]), images), expected, atol=1e-12)
    assert conv.output_shape == expected.shape[1:]
    pool = built(nn.MaxPooling2D(kernel, strides, padding), shape[1:])
    np.testing.assert_array_equal(pool.forward(images), naive.max_pool2d(images, kernel, strides, padding))


@pytest.mark.parametrize("fast", [True, False])
def test_no_memory_that_is_used_again_matters(fast):
    """Predictions and gradients are the same when all such memory has been filled with NaN."""

    def network():
        layers = [nn.MelSpectrogram(n_mels=32, win_length=300), nn.BatchNormalization(), nn.Conv2D(4, 3), nn.ReLU()]
        layers += [nn.MaxPooling2D(2), nn.Conv2D(6, 5, padding="valid"), nn.BatchNormalization(), nn.MaxPooling2D(2)]
        return nn.Model([*layers, nn.Flatten(), nn.Dense(2)], (2_050,), "ab", fast=fast)

    def fill(*owners):
        for owner in owners:
            for memory, _ in vars(owner).get("memory", {}).values():
                memory[...] = np.nan

    untouched, filled, shared = network(), network(), parallel._local
    batches = [np.random.default_rng(n).normal(size=(n, 2_050)).astype(np.float32) for n in (11, 4, 20)]
    set_threads(1)  # so that all memory is this thread's
    try:
        for batch in batches:
            results = []
            for model, owners in ((untouched, ()), (filled, (shared, *filled.layers, *filled.steps))):
                fill(*owners)
                output = forward(model.steps, batch).copy()
                fill(*owners)
                trained = forward(model.steps, batch, training=True).copy()
                fill(*owners[:1])  # what a layer has kept for the way back is its own
                backward(model.steps, np.ones_like(trained))
                results.append({"output": output, "trained": trained, **model.grads, **model.buffers})
            for name, array in results[0].items():
                np.testing.assert_array_equal(results[1][name], array, err_msg=name)
    finally:
        set_threads(2)


def test_spectrograms_of_two_kinds_do_not_mix():
    samples = np.random.default_rng(0).normal(0, 0.1, (2, 4_000)).astype(np.float32)
    constants = {"n_fft": 768}, {"win_length": 300}, {"hop_length": 100}, {"n_mels": 64}
    one = built(nn.MelSpectrogram(n_fft=512), (4_000,))
    before = one.forward(samples).copy()
    for each in constants:
        built(nn.MelSpectrogram(**each), (4_000,)).forward(samples)
        np.testing.assert_array_equal(one.forward(samples), before)


@pytest.mark.parametrize("constants", [{}, {"n_fft": 401}, {"n_fft": 801, "f_min": 50.0}, {"sample_rate": 22_050}])
def test_mel_filters_are_librosas(constants):
    features = nn.FeatureConfig(**constants)
    bounds = {"fmin": features.f_min, "fmax": features.f_max}
    expected = librosa.filters.mel(sr=features.sample_rate, n_fft=features.n_fft, n_mels=128, **bounds)
    np.testing.assert_allclose(nn.spectrogram.mel_filters(features), expected, rtol=1e-5, atol=1e-8)


def test_dropout():
    layer = built(nn.Dropout(0.3), (10_000,))
    ones = np.ones((10, 10_000), np.float32)
    assert layer.forward(ones) is ones  # inference: the identity
    output = layer.forward(ones, training=True)
    assert set(np.unique(output)) == {0, np.float32(1) / np.float32(0.7)}
    assert abs(output.mean() - 1) < 0.01
    assert abs((output == 0).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(layer.backward(ones), output)
    same, other = built(nn.Dropout(0.3), (10_000,)), built(nn.Dropout(0.3), (10_000,), seed=1)
    np.testing.assert_array_equal(same.forward(ones, training=True), output)
    assert (other.forward(ones, training=True) != output).any()
    for rate in (-0.1, 1, 1.5):
        with pytest.raises(ValueError, match=f"Received: rate={rate}"):
            nn.Dropout(rate)


def test_batch_normalization_statistics():
    layer = built(nn.BatchNormalization(momentum=0.75, epsilon=0), (3, 4, 5))
    inputs = np.random.default_rng(0).normal(7, 3, (8, 3, 4, 5))
    output = layer.forward(inputs, training=True)
    np.testing.assert_allclose(output.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(output.var(axis=(0, 2, 3)), 1, rtol=1e-12)
    mean, variance = inputs.mean(axis=(0, 2, 3)), inputs.var(axis=(0, 2, 3))
    np.testing.assert_allclose(layer.buffers["mean"], 0.25 * mean, rtol=1e-6)
    np.testing.assert_allclose(layer.buffers["variance"], 0.75 + 0.25 * variance, rtol=1e-6)
    before = {name: array.copy() for name, array in layer.buffers.items()}
    expected = (inputs - layer.buffers["mean"].reshape(-1, 1, 1)) / np.sqrt(layer.buffers["variance"].reshape(-1, 1, 1))
    np.testing.assert_allclose(layer.forward(inputs), expected, rtol=1e-5, atol=1e-6)
    for name, array in before.items():
        np.testing.assert_array_equal(layer.buffers[name], array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_with_crossentropy_stays_finite_and_exact(dtype):
    loss, targets = nn.CategoricalCrossentropy(), np.eye(3, dtype=dtype)[[0, 1, 2]]
    scores = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [0, 0, 0]], dtype)
    assert abs(loss.forward_scores(scores, targets) - (0 + 2e4 + np.log(3)) / 3) < 1e-3
    np.testing.assert_allclose(
        loss.backward(), np.array([[0, 0, 0], [1, -1, 0], [1, 1, -2]]) / np.array([[3], [3], [9]]), atol=1e-7
    )
    np.testing.assert_allclose(nn.Softmax().forward(scores).sum(axis=1), 1)


def test_mel_spectrogram_by_its_definition():
    layer = built(nn.MelSpectrogram(), (16_000,))
    samples = np.random.default_rng(0).normal(0, 0.1, (2, 16_000))
    features, pictures = layer.features, layer.forward(samples)
    assert pictures.shape == (2, 1, 100, 128)
    assert pictures.dtype == np.float64
    assert pictures.max() == 0
    assert pictures.min() >= -80
    n = np.arange(400)
    frame = np.append(samples[1], np.zeros(400))[99 * 160 : 99 * 160 + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 400))
    spectrum = np.abs(np.exp(-2j * np.pi * np.outer(np.arange(257), n) / 512) @ frame)
    row = 20 * np.log10(nn.spectrogram.mel_filters(features) @ spectrum)
    # the clip's own maximum is 0 dB, which shifts a row by a constant
    np.testing.assert_allclose(pictures[1, 0, 99] - pictures[1, 0, 99, 0], row - row[0], atol=1e-8)
    silence = layer.forward(np.zeros((1, 16_000)))
    np.testing.assert_array_equal(silence, 0)
    assert layer.backward(pictures) is None


def test_initial_weights_keep_the_variance():
    conv, dense = built(nn.Conv2D(64, 5), (32, 9, 9)), built(nn.Dense(200), (300,))
    kernel, limit = conv.params["kernel"], np.sqrt(6 / 500)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (32 * 25)), rel=0.02)
    assert abs(kernel.mean()) < 1e-3
    assert np.abs(kernel).max() > 4 * kernel.std()  # normal, not uniform
    kernel = dense.params["kernel"]
    assert [kernel.min(), kernel.max()] == pytest.approx([-limit, limit], rel=0.01)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    for layer in (conv, dense):
        assert not layer.params["bias"].any()
        assert {array.dtype for array in layer.params.values()} == {np.dtype(np.float32)}


def test_defaults():
    """As in Keras, but for the padding of Conv2D."""
    assert nn.Conv2D(4, 3).config() == {
        "filters": 4, "kernel_size": (3, 3), "strides": (1, 1), "padding": "same", "activation": None, "use_bias": True
    }  # fmt: skip
    assert nn.Dense(4).config() == {"units": 4, "activation": None, "use_bias": True}
    assert nn.MaxPooling2D().config() == {"pool_size": (2, 2), "strides": (2, 2), "padding": "valid"}
    assert nn.BatchNormalization().config() == {"momentum": 0.99, "epsilon": 1e-3}
    augmentation = {"gain_db": 4, "floor_db": -50, "mask_mels": 12, "mask_frames": 10}
    assert nn.SpectrogramAugmentation().config() == augmentation
    clipping = {"clipnorm": None, "global_clipnorm": None}
    assert nn.SGD().config() == {"learning_rate": 0.01, "momentum": 0, **clipping}
    assert nn.RMSprop().config() == {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7, **clipping}
    adam = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    assert nn.Adam().config() == adam | clipping


HYPERPARAMETERS = {
    "filters": lambda value: nn.Conv2D(value, 3),
    "kernel_size": lambda value: nn.Conv2D(2, (3, value)),
    "strides": lambda value: nn.Conv2D(2, 3, value),
    "padding": lambda value: nn.Conv2D(2, 3, padding=value),
    "pool_size": nn.MaxPooling2D,
    "units": nn.Dense,
    "activation": lambda value: nn.Dense(2, value),
    "rate": nn.Dropout,
    "momentum": nn.BatchNormalization,
    "epsilon": lambda value: nn.BatchNormalization(epsilon=value),
    **{
        name: lambda value, name=name: nn.MelSpectrogram(**{name: value})
        for name in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "f_min", "f_max", "top_db")
    },
    **{
        name: lambda value, name=name: nn.SpectrogramAugmentation(**{name: value})
        for name in ("gain_db", "floor_db", "mask_mels", "mask_frames")
    },
}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
@pytest.mark.parametrize("value", [-1, np.nan, np.inf, True, "1", 1j])
def test_no_layer_takes_a_senseless_hyperparameter(name, value):
    if name == "floor_db" and value == -1:
        value = 1
    with pytest.raises(ValueError, match=rf"Received: {name}=\(?"):
        HYPERPARAMETERS[name](value)


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [
        ({"win_length": 2}, {"win_length": 1}),
        ({"win_length": 512}, {"win_length": 513}),
        ({"n_fft": 1 << 16, "n_mels": 64}, {"n_fft": (1 << 16) + 1, "n_mels": 1}),
        ({"n_fft": 1 << 15, "n_mels": 128}, {"n_fft": 1 << 15, "n_mels": 129}),
        ({"n_mels": 512}, {"n_mels": 513}),
        ({"n_mels": 1}, {"n_mels": 0}),
        ({"hop_length": 1}, {"hop_length": 0}),
        ({"f_min": 7_999}, {"f_min": 8_000}),
        ({"f_max": 8_000}, {"f_max": 8_001}),
        ({"top_db": 0.1}, {"top_db": 0}),
    ],
)
def test_feature_constants_fit_together(accepted, refused):
    nn.FeatureConfig(**accepted)
    with pytest.raises(ValueError, match="Received: FeatureConfig"):
        nn.FeatureConfig(**refused)


@pytest.mark.parametrize("layer", [nn.Conv2D(2, 3, use_bias=False), nn.Dense(2, use_bias=False)])
def test_use_bias(layer):
    layer = type(layer)(**layer.config())
    layer.build((4,) if isinstance(layer, nn.Dense) else (1, 4, 4), np.random.default_rng(0))
    assert list(layer.params) == ["kernel"]
    assert layer.n_parameters == layer.params["kernel"].size
    for value in (1, "no", None):
        with pytest.raises(ValueError, match="Received: use_bias="):
            type(layer)(**layer.config() | {"use_bias": value})


def test_an_activation_is_a_layer_of_its_own():
    layers = [nn.Conv2D(2, 3, activation="relu"), nn.Flatten(), nn.Dense(4, "relu"), nn.Dense(3, "softmax")]
    model = nn.Model(layers, (1, 5, 5), "abc")
    kinds = ["Conv2D", "ReLU", "Flatten", "Dense", "ReLU", "Dense", "Softmax"]
    assert [type(layer).__name__ for layer in model.layers] == kinds
    assert model.layers[3].config()["activation"] is None
    with pytest.raises(ValueError, match="Expected a Model"):
        built(nn.Dense(4, "relu"), (3,))


def augmented(shape=(64, 1, 30, 40), level=-20.0, seed=0, **options):
    """Pictures of one level, with one loudest point each, after SpectrogramAugmentation in training."""
    pictures = np.full(shape, level, np.float32)
    pictures[:, :, shape[2] // 2, shape[3] // 2] = 0
    layer = built(nn.SpectrogramAugmentation(**options), shape[1:], seed)
    before = pictures.copy()
    output = layer.forward(pictures, training=True)
    np.testing.assert_array_equal(pictures, before)
    return layer, pictures, output


def test_spectrogram_augmentation_is_the_identity_at_inference_and_stops_the_gradient_in_training():
    layer, pictures, output = augmented()
    assert output.shape == pictures.shape
    assert output.dtype == pictures.dtype
    assert (output != pictures).any()
    assert layer.backward(output) is None
    assert layer.forward(pictures) is pictures
    assert layer.backward(output) is output
    np.testing.assert_array_equal(augmented()[2], output)
    assert (augmented(seed=1)[2] != output).any()


def test_spectrogram_augmentation_gain():
    """Smooth over frequency, the same at all times, with the standard deviation of a sum of five cosines."""
    _, _, output = augmented((2_000, 1, 3, 40), gain_db=2.0, floor_db=-79.0, mask_mels=0, mask_frames=0)
    np.testing.assert_array_equal(output[:, :, 0], output[:, :, 2])
    gains = output[:, 0, 0] - output[:, 0, 0].mean(axis=1, keepdims=True)
    waves = np.cos(np.pi * np.outer(np.arange(40), np.arange(40) + 0.5) / 40)
    strengths = gains @ waves.T / (waves**2).sum(axis=1)
    np.testing.assert_allclose(strengths[:, 1:6].std(axis=0), 2 / np.sqrt(np.arange(1, 6)), rtol=0.1)
    np.testing.assert_allclose(strengths[:, 6:], 0, atol=1e-4)


def test_spectrogram_augmentation_floor_and_maximum():
    _, _, output = augmented((500, 1, 30, 40), -100.0, gain_db=0.0, floor_db=-60.0, mask_mels=0, mask_frames=0)
    floors = output[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(np.unique(output[7])), [floors[7], 0])  # the loudest is 0 dB
    assert floors.min() < -79
    assert -61 < floors.max() < -60
    assert abs(floors.mean() + 70) < 1
    loud = augmented(gain_db=8.0, mask_mels=0, mask_frames=0)[2]
    np.testing.assert_allclose(loud.max(axis=(1, 2, 3)), 0, atol=1e-5)


@pytest.mark.parametrize(("axis", "options"), [(0, {"mask_mels": 0}), (1, {"mask_frames": 0})])
def test_spectrogram_augmentation_masks(axis, options):
    """Every second picture gets a mask, of each length up to the longest and at each place."""
    options = {"gain_db": 0.0, "mask_mels": 6, "mask_frames": 6, **options}
    _, _, output = augmented((4_000, 1, 30, 40), **options)
    masked = (output[:, 0] < -20).all(axis=2 - axis)
    lengths, is_masked = masked.sum(axis=1), masked.any(axis=1)
    np.testing.assert_array_equal(np.unique(lengths), range(7))
    assert abs(is_masked.mean() - 0.5 * 6 / 7) < 0.03  # a mask may have length 0
    assert (np.diff(masked.astype(int), axis=1) == 1).sum(axis=1).max() == 1  # in one piece
    assert masked.any(axis=0).all()
    floors = output[is_masked, 0].min(axis=(1, 2))
    assert floors.min() >= -80
    assert floors.max() <= -50
    assert lengths[is_masked].mean() == pytest.approx(3.5, abs=0.2)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="kernel_size=0"):
        nn.Conv2D(4, 0)
    with pytest.raises(ValueError, match="padding='full'"):
        built(nn.Conv2D(4, 3, padding="full"), (1, 8, 8))
    with pytest.raises(ValueError, match="takes images"):
        built(nn.Conv2D(4, 3), (16,))
    with pytest.raises(ValueError, match="does not fit into 2"):
        built(nn.MaxPooling2D(3), (1, 2, 2))
    with pytest.raises(ValueError, match="Flatten"):
        built(nn.Dense(2), (1, 8, 8))
    with pytest.raises(ValueError, match="units=0"):
        nn.Dense(0)
    with pytest.raises(ValueError, match="momentum=1"):
        nn.BatchNormalization(momentum=1)
    with pytest.raises(ValueError, match="win_length"):
        nn.MelSpectrogram(win_length=600)
