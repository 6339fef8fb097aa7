"""What each layer computes: by hand, against naive loops, and at the edges."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from nn.fast.fusion import fuse
from nn.layer import forward

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
)  # fmt: skip
@settings(max_examples=40, deadline=None, derandomize=True)
def test_convolution_and_pooling_are_the_naive_ones(shape, filters, kernel, strides, padding):
    rng = np.random.default_rng(0)
    images = rng.normal(size=shape)
    conv = built(nn.Conv2D(filters, kernel, strides, padding), shape[1:])
    conv.params = {key: rng.normal(size=array.shape) for key, array in conv.params.items()}
    expected = naive.conv2d(images, conv.params["kernel"], conv.params["bias"], strides, padding)
    np.testing.assert_allclose(conv.forward(images), expected, atol=1e-12)
    np.testing.assert_allclose(forward(fuse([conv]), images), expected, atol=1e-12)
    assert conv.output_shape == expected.shape[1:]
    pool = built(nn.MaxPooling2D(kernel, strides, padding), shape[1:])
    np.testing.assert_array_equal(pool.forward(images), naive.max_pool2d(images, kernel, strides, padding))


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
