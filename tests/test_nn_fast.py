"""The fast path: what `nn.fast` computes is what the layers compute one by one."""

import gc
import weakref

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nn_gradients import build, check_gradients, paddings, seeds
from test_nn_layers import built

import nn
from nn.fast.fusion import FusedStack, fuse
from nn.fast.tiles import Direct, Winograd, tiles_of, toom_cook
from nn.layer import Layer, backward, forward
from nn.parallel import set_threads


@given(
    shape=st.tuples(st.integers(2, 11), st.integers(1, 6), st.integers(7, 13), st.integers(7, 13)),
    kernel=st.tuples(*[st.integers(1, 6)] * 2),
    strides=st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 1), (2, 3), (13, 40)]),
    padding=paddings, pool=st.one_of(st.sampled_from([(2, 2), (4, 2), (2, 4)]), st.tuples(*[st.integers(1, 7)] * 2)),
    leading=st.sampled_from(["nothing", "normalization", "trained"]), tail=st.tuples(*[st.booleans()] * 4), seed=seeds,
)  # fmt: skip
@settings(max_examples=250)
def test_fused_runs_are_their_layers(shape, kernel, strides, padding, pool, leading, tail, seed):
    """Outputs, gradients and running statistics of a fused run are those of its plain layers."""
    fits = strides == (1, 1) and (padding == "same" or max(kernel) == 1)

    def layers():
        run = [nn.Conv2D(3, kernel, strides, padding, use_bias=tail[3])]
        run += [kind() for kind, wanted in zip((nn.BatchNormalization, nn.ReLU), tail) if wanted]
        run += [nn.MaxPooling2D(pool)] if tail[2] and fits else []
        head = {"nothing": [], "normalization": [nn.BatchNormalization()], "trained": [Scale()]}[leading]
        return build(head + run, shape[1:], np.random.default_rng(seed))

    plain, fused = layers(), layers()
    steps = fuse(fused)
    assert isinstance(steps[-1], FusedStack)
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=shape)
    for training in (False, True):
        expected = forward(plain, inputs, training)
        np.testing.assert_allclose(forward(steps, inputs, training), expected, rtol=1e-9, atol=1e-9)
    projection = rng.normal(size=expected.shape)
    expected, gradient = backward(plain, projection), backward(steps, projection)
    if leading == "trained":
        np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-9)
    for one, other in zip(plain, fused):
        for kind in ("grads", "buffers"):
            for name, array in getattr(one, kind).items():
                np.testing.assert_allclose(getattr(other, kind)[name], array, rtol=1e-8, atol=1e-8, err_msg=name)


class Scale(Layer):
    """A trained layer, so that what follows must give it the gradient of its output."""

    def build(self, input_shape, rng):
        self.params = {"factor": np.ones(1)}
        return super().build(input_shape, rng)

    def forward(self, inputs, training=False):
        self.output = inputs * self.params["factor"]
        return self.output

    def backward(self, output_gradient):
        self.grads = {"factor": np.sum(output_gradient * self.output, keepdims=True).reshape(1) / self.params["factor"]}
        return output_gradient * self.params["factor"]


@pytest.mark.parametrize("bn", [False, True])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_whole_fused_network(bn, one_by_one, monkeypatch):
    if one_by_one:
        monkeypatch.setattr("nn.fast.run.GROUP_BYTES", 1)
    rng = np.random.default_rng(3)
    layers = [nn.BatchNormalization()]
    for filters, size in ((4, 3), (6, 5)):
        layers += [nn.Conv2D(filters, size)] + [nn.BatchNormalization()] * bn + [nn.ReLU(), nn.MaxPooling2D(2)]
    layers = build([*layers, nn.Flatten(), nn.Dense(5), nn.ReLU(), nn.Dense(3)], (1, 12, 17), rng)
    steps, inputs = fuse(layers), rng.normal(size=(9, 1, 12, 17))
    for training in (False, True):
        expected = forward(layers, inputs, training)
        np.testing.assert_allclose(forward(steps, inputs, training), expected, rtol=1e-9, atol=1e-9)
    backward(steps, np.ones_like(expected))  # of which nothing is left in the gradients of the next batch
    check_gradients(layers, inputs, rng, steps=steps)


def test_a_pool_over_the_whole_image_after_few_channels():
    images = np.random.default_rng(0).normal(size=(3, 1, 20, 30)).astype(np.float32)
    for pool in ((20, 30), (20, 2)):
        layers = [nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPooling2D(pool), nn.Flatten()]
        shape = (1, 20, 30)
        for layer in layers:
            shape = built(layer, shape).output_shape
        for training in (True, False):
            expected = forward(layers, images, training)
            np.testing.assert_allclose(forward(fuse(layers), images, training), expected, rtol=1e-5)


@pytest.mark.parametrize("taps", range(1, 6))
@pytest.mark.parametrize("n_outputs", range(1, 5))
def test_products_of_values_at_points_are_a_correlation(n_outputs, taps):
    from_products, to_kernel, to_inputs = toom_cook(n_outputs, taps)
    n = n_outputs + taps - 1
    assert (from_products.shape, to_kernel.shape, to_inputs.shape) == ((n_outputs, n), (n, taps), (n, n))
    rng = np.random.default_rng(taps)
    inputs, kernel = rng.integers(-9, 10, n), rng.integers(-9, 10, taps)
    outputs = from_products @ ((to_kernel @ kernel) * (to_inputs @ inputs))
    expected = [sum(kernel[j] * inputs[i + j] for j in range(taps)) for i in range(n_outputs)]
    np.testing.assert_allclose(outputs, expected, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("taps", range(1, 8))
def test_few_products_round_and_the_plain_sum_does_not(taps, training):
    """Whole numbers come out of a plain sum exactly, even in float32, and of values at points with their rounding."""
    layer, rng = built(nn.Conv2D(5, (taps, 3)), (4, 30, 11)), np.random.default_rng(taps)
    layer.params["kernel"][...] = rng.integers(-9, 10, layer.params["kernel"].shape)
    images = rng.integers(-99, 100, (3, 4, 30, 11)).astype(np.float32)
    expected = naive.conv2d(images, layer.params["kernel"], layer.params["bias"], (1, 1), "same")
    outputs = forward(fuse([layer]), images, training)
    assert np.linalg.norm(outputs - expected) < 3e-6 * np.linalg.norm(expected)
    kind = Winograd if taps <= 5 else Direct
    assert type(tiles_of(layer, (1, 1))) is kind
    assert (outputs == expected).all() == (kind is Direct)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_strides_beyond_the_image_take_no_memory(padding):
    """The frame around an image is as large with one step as with a thousand times as many."""
    shapes = [built(nn.Conv2D(4, 3, strides, padding), (5, 20, 24)) for strides in ((40, 40), (4000, 4000))]
    one, other = (tiles_of(layer, (1, 1)).frame(1, np.float32) for layer in shapes)
    assert one.size == other.size <= 5 * 22 * 26


@pytest.mark.parametrize(
    ("shape", "kernel", "pool", "kind", "tile"),
    [
        ((32, 50, 64), 3, (2, 2), Winograd, [4, 4]),
        ((96, 12, 16), 3, (12, 2), Winograd, [4, 4]),
        ((8, 50, 64), 5, (2, 2), Winograd, [4, 4]),
        ((8, 50, 64), 3, (3, 5), Winograd, [3, 1]),
        ((1, 100, 128), 7, (2, 2), Direct, (2, 2)),
        ((8, 50, 64), 7, (2, 2), Direct, (1, 1)),
    ],
)
def test_tiles_fit_the_pooling_window(shape, kernel, pool, kind, tile):
    tiles = tiles_of(built(nn.Conv2D(4, kernel), shape), pool)
    assert (type(tiles), tiles.tile) == (kind, tile)


def test_inference_is_the_same_with_any_number_of_threads():
    layers = [nn.BatchNormalization(), nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPooling2D(2), nn.Conv2D(8, 5)]
    shape = (1, 20, 14)
    for layer in layers:
        shape = built(layer, shape).output_shape
    steps, images = fuse(layers), np.random.default_rng(0).normal(size=(37, 1, 20, 14)).astype(np.float32)
    outputs = []
    try:
        for n_threads in (1, 2, 3):
            set_threads(n_threads)
            outputs.append(forward(steps, images).copy())
    finally:
        set_threads(2)
    np.testing.assert_array_equal(outputs[1:], outputs[:1] * 2)


@pytest.mark.parametrize("training", [True, False])
def test_memory_goes_with_the_layers_that_it_was_for(training):
    layers = [built(nn.Conv2D(8, 3), (1, 20, 14)), built(nn.MaxPooling2D(2), (8, 20, 14))]
    steps, images = fuse(layers), np.ones((40, 1, 20, 14), np.float32)
    forward(steps, images, training)
    kept = weakref.ref(steps[0]._training[0] if training else steps[0]._inference[0])
    assert kept()
    del steps
    gc.collect()
    assert kept() is None


def test_memory_used_again_does_not_mix_batches():
    """A smaller last batch, another length of slice, and the first batch again give what they gave at first."""
    layers = [nn.BatchNormalization(), nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPooling2D(2), nn.Conv2D(8, 3), nn.ReLU()]
    shape = (1, 9, 14)
    for layer in layers:
        shape = built(layer, shape).output_shape
    steps, rng = fuse(layers), np.random.default_rng(0)
    batches = [rng.normal(size=(n, 1, 9, 14)).astype(np.float32) for n in (32, 5, 17)]
    first = [forward(steps, batch).copy() for batch in batches]
    for batch, expected in zip(batches, first):
        np.testing.assert_array_equal(forward(steps, batch), expected)
        np.testing.assert_allclose(expected, forward(layers, batch), atol=1e-5)


def test_runs_are_found():
    def kinds(layers):
        shape = (1, 16, 16)
        for layer in layers:
            shape = built(layer, shape).output_shape
        return [
            [len(run) for run in step.runs] if isinstance(step, FusedStack) else type(step).__name__
            for step in fuse(layers)
        ]

    conv, norm, relu, pool = lambda: nn.Conv2D(2, 3), nn.BatchNormalization, nn.ReLU, nn.MaxPooling2D
    assert kinds([norm(), conv(), norm(), relu(), pool(), conv(), conv(), pool()]) == [[5, 1, 2]]
    assert kinds([conv(), norm(), norm(), conv(), nn.MaxPooling2D(3, 2)]) == [
        [2], "BatchNormalization", [1], "MaxPooling2D"
    ]  # fmt: skip
    assert kinds([relu(), norm(), conv(), nn.Flatten()]) == ["ReLU", [2], "Flatten"]
    assert kinds([relu(), norm(), relu(), nn.Flatten()]) == ["ReLU", "BatchNormalization", "ReLU", "Flatten"]


def test_inference_sees_weights_that_were_changed():
    layers = build([nn.Conv2D(4, 3), nn.BatchNormalization(), nn.ReLU()], (4, 9, 7), np.random.default_rng(0))
    steps, images = fuse(layers), np.random.default_rng(1).normal(size=(2, 4, 9, 7))
    for array in (layers[0].params["kernel"], layers[0].params["bias"], layers[1].buffers["variance"]):
        array *= 2
        for inputs in (images, images.astype(np.float32)):
            np.testing.assert_allclose(forward(steps, inputs), forward(layers, inputs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pool", [(2, 2), (4, 8), (8, 4), (3, 5)])
def test_of_equal_maxima_the_first_in_reading_order_gets_the_gradient(pool):
    def layers():
        return build([Scale(), nn.Conv2D(3, 1), nn.MaxPooling2D(pool)], (4, 16, 16), np.random.default_rng(0))

    images, gradient = np.random.default_rng(1).integers(0, 2, (3, 4, 16, 16)).astype(float), []
    for steps in (layers(), fuse(layers())):
        outputs = forward(steps, images, training=True)
        gradient.append(backward(steps, np.arange(outputs.size, dtype=float).reshape(outputs.shape)))
    np.testing.assert_allclose(*gradient, atol=1e-9)
