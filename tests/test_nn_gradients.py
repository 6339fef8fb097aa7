"""Every gradient of `nn`, compared with finite differences along random directions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from nn.layer import backward, forward

settings.register_profile("quick", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("quick")

sizes = st.integers(1, 4)
pairs = st.tuples(sizes, sizes)
images = st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(5, 11), st.integers(5, 11))
paddings = st.sampled_from(["same", "valid"])
seeds = st.integers(0, 2**32 - 1)


def build(layers, shape, rng):
    """Layers built for inputs of `shape`, with every parameter random and in float64."""
    for layer in layers:
        shape = layer.build(shape, rng)
        for arrays in (layer.params, layer.buffers):
            for name, array in arrays.items():
                arrays[name] = (
                    np.abs(rng.normal(1, 0.5, array.shape)) if name == "variance" else rng.normal(size=array.shape)
                )
    return layers


def check_gradients(layers, inputs, rng, training=True, steps=None, tolerance=1e-6):
    """Compare `backward` of a sequence of layers with central differences of `forward`, in random directions.

    The loss is a random projection of the outputs. Along a random direction of the inputs and of each parameter, its
    slope must be the inner product of that direction with the gradient: two forward passes test a whole array.
    """
    steps = steps or layers
    states = [layer.generator and layer.generator.bit_generator.state for layer in layers]
    running = [{name: array.copy() for name, array in layer.buffers.items()} for layer in layers]

    def output():
        for layer, state, buffers in zip(layers, states, running):
            layer.buffers = {name: array.copy() for name, array in buffers.items()}
            if state:
                layer.generator.bit_generator.state = state
        return forward(steps, inputs, training)

    projection = rng.normal(size=output().shape)
    input_gradient = backward(steps, projection)
    pairs = [
        (f"{type(each).__name__} {k}", each.params[k], each.grads[k].copy()) for each in layers for k in each.params
    ]
    if input_gradient is not None:
        pairs.append(("inputs", inputs, input_gradient.copy()))
    for name, array, gradient in pairs:
        assert gradient.shape == array.shape, name
        direction, step, original = rng.normal(size=array.shape), 1e-6, array.copy()
        values = []
        for sign in (1, -1):
            array[...] = original + sign * step * direction
            values.append(np.sum(output() * projection))
        array[...] = original
        slope = (values[0] - values[1]) / (2 * step)
        expected = np.sum(direction * gradient)
        rounding = 1e-9 * np.abs(projection * output()).sum()
        error = abs(slope - expected) - rounding
        assert error < tolerance * np.linalg.norm(direction * gradient), f"{name}: {slope} is not {expected}"


def distinct(rng, shape):
    """Values that differ by far more than the step of a difference, so that no maximum changes hands."""
    return rng.permutation(np.linspace(-2, 2, int(np.prod(shape)))).reshape(shape)


def test_a_wrong_gradient_is_found():
    class Wrong(nn.ReLU):
        def backward(self, output_gradient):
            return super().backward(output_gradient) * 1.0001

    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="inputs"):
        check_gradients(build([Wrong()], (6,), rng), distinct(rng, (4, 6)), rng)


@given(shape=images, filters=sizes, kernel=pairs, strides=pairs, padding=paddings, use_bias=st.booleans(), seed=seeds)
def test_conv2d(shape, filters, kernel, strides, padding, use_bias, seed):
    rng = np.random.default_rng(seed)
    layers = build([nn.Conv2D(filters, kernel, strides, padding, use_bias=use_bias)], shape[1:], rng)
    check_gradients(layers, rng.normal(size=shape), rng)


@given(shape=images, pool=pairs, strides=pairs, padding=paddings, seed=seeds)
def test_pooling2d(shape, pool, strides, padding, seed):
    rng = np.random.default_rng(seed)
    for kind in (nn.MaxPooling2D, nn.AveragePooling2D):
        check_gradients(build([kind(pool, strides, padding)], shape[1:], rng), distinct(rng, shape), rng)
    for kind in (nn.GlobalMaxPooling2D, nn.GlobalAveragePooling2D):
        check_gradients(build([kind()], shape[1:], rng), distinct(rng, shape), rng)


@given(shape=images, training=st.booleans(), seed=seeds)
def test_batch_normalization(shape, training, seed):
    rng = np.random.default_rng(seed)
    check_gradients(build([nn.BatchNormalization()], shape[1:], rng), rng.normal(size=shape), rng, training)


@given(batch=st.integers(1, 6), features=st.integers(1, 9), units=sizes, use_bias=st.booleans(), seed=seeds)
def test_dense_and_activations(batch, features, units, use_bias, seed):
    rng = np.random.default_rng(seed)
    first, last = nn.Dense(units + 1, use_bias=use_bias), nn.Dense(units)
    layers = build([first, nn.ReLU(), nn.Dropout(0.4), last, nn.Softmax()], (features,), rng)
    check_gradients(layers, rng.normal(size=(batch, features)), rng)


def test_normalized_vectors_and_flatten():
    rng = np.random.default_rng(1)
    layers = build([nn.Flatten(), nn.BatchNormalization(), nn.Dense(3)], (2, 3, 4), rng)
    check_gradients(layers, rng.normal(size=(5, 2, 3, 4)), rng)


@pytest.mark.parametrize("of", ["probabilities", "scores", "unnormalized"])
@pytest.mark.parametrize("class_weight", [None, [0.5, 2, 1, 3]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_categorical_crossentropy(of, class_weight, label_smoothing):
    rng, loss = np.random.default_rng(0), nn.CategoricalCrossentropy(class_weight, label_smoothing)
    inputs, targets = rng.uniform(0.1, 2, size=(6, 4)), np.eye(4)[rng.integers(0, 4, 6)]
    softmax = nn.Softmax()
    function = {
        "probabilities": lambda inputs, targets: loss.forward(softmax.forward(inputs), targets),
        "scores": loss.forward_scores,
        "unnormalized": loss.forward,
    }[of]
    value = function(inputs, targets)
    gradient = softmax.backward(loss.backward()) if of == "probabilities" else loss.backward()
    probabilities = inputs / inputs.sum(axis=1, keepdims=True) if of == "unnormalized" else softmax.forward(inputs)
    smoothed = targets * (1 - label_smoothing) + label_smoothing / 4
    by_class = -smoothed * np.log(probabilities) * (class_weight or 1)
    assert value == pytest.approx(by_class.sum(axis=1).mean(), rel=1e-12)
    for place in np.ndindex(inputs.shape):
        step = np.zeros_like(inputs)
        step[place] = 1e-6
        slope = (function(inputs + step, targets) - function(inputs - step, targets)) / 2e-6
        assert abs(slope - gradient[place]) < 1e-8
