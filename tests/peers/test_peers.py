"""The same numbers as PyTorch and librosa."""

import librosa
import numpy as np
import pytest
import torch
from networks import CONVOLUTIONS, PICTURE, carry_over, in_torch, in_torch_as, ours, random_network

import nn
from nn.layer import backward, forward


def distance(one, other):
    """Relative difference of two arrays, as the length of the difference."""
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.fixture(params=[(name, dtype) for name in CONVOLUTIONS for dtype in ("float32", "float64")], ids=" ".join)
def pair(request):
    """Our network and PyTorch's with the same random weights and statistics, inputs, and targets.

    The seed is one for which no two values in a pooling window, and no value and zero in a ReLU, are so close that the
    rounding of float32 decides which gets the gradient. There the gradients of two libraries differ by up to 6e-2.
    """
    name, dtype = request.param
    model, module, rng = ours(name, dropout=0.0), in_torch(name, dropout=0.0), np.random.default_rng(1)
    for key, array in (model.params | model.buffers).items():
        if key.split("/")[1] in ("gamma", "variance"):
            array[...] = rng.uniform(0.5, 1.5, array.shape) * (
                rng.choice([-1, 1], array.shape) if "gamma" in key else 1
            )
        if key.split("/")[1] in ("beta", "bias", "mean"):
            array[...] = rng.normal(0, 0.1, array.shape)
    pairs = carry_over(model, module)
    inputs = rng.normal(size=(6, *PICTURE)).astype(dtype)
    targets = np.eye(2, dtype=dtype)[rng.integers(0, 2, 6)]
    return model, module.to(getattr(torch, dtype)), pairs, inputs, targets


@pytest.mark.parametrize("fused", [False, True], ids=["layer by layer", "fused"])
def test_network(pair, fused):
    model, module, pairs, inputs, targets = pair
    tolerance = 1e-4 if inputs.dtype == np.float32 else 1e-6  # parameters and running statistics stay float32
    steps = (model.steps if fused else model.layers)[:-1]
    theirs = torch.tensor(inputs, requires_grad=True)

    module.eval()
    with torch.no_grad():
        assert distance(forward(steps, inputs), module(theirs).numpy()) < tolerance

    module.train()
    loss = nn.CategoricalCrossentropy()
    scores, their_scores = forward(steps, inputs, training=True), module(theirs)
    their_loss = torch.nn.functional.cross_entropy(their_scores, torch.tensor(targets))
    assert distance(scores, their_scores.detach().numpy()) < tolerance
    assert loss.forward_scores(scores, targets) == pytest.approx(their_loss.item(), rel=tolerance)
    their_loss.backward()
    input_gradient = backward(steps, loss.backward())
    if not fused:  # the fused steps leave out what nothing needs
        assert distance(input_gradient, theirs.grad.numpy()) < tolerance
    largest = max(np.abs(gradient).max() for gradient in model.grads.values())
    single = {}
    for name, parameter, is_transposed in pairs:
        expected = parameter.grad.numpy().T if is_transposed else parameter.grad.numpy()
        if expected.size == 1:
            single.setdefault(name.split("/")[0], []).append((model.grads[name], expected))
        elif np.abs(expected).max() < 1e-5 * largest:  # a bias before a normalization: zero, but for rounding
            assert np.abs(model.grads[name]).max() < 1e-5 * largest
        else:
            assert distance(model.grads[name], expected) < tolerance, name
    # Gamma and beta of a single channel as one vector: gamma's gradient is one sum in which nearly everything cancels;
    # in PyTorch's own float32 it is 1.5e-4 away from its float64.
    for layer, both in single.items():
        assert len(both) == 2, layer
        assert distance(*map(np.concatenate, zip(*both))) < tolerance, layer


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed, fast):
    """Outputs, loss, all gradients and running statistics of a network of random layers are PyTorch's, in float64."""
    model, rng = random_network(seed, fast), np.random.default_rng(seed)
    inputs, targets = rng.normal(size=(9, *model.input_shape)), np.eye(3)[rng.integers(0, 3, 9)]
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in model.params.items()}
    tensors |= {key: torch.tensor(array) for key, array in model.buffers.items()}
    theirs, steps = torch.tensor(inputs, requires_grad=True), model.steps[:-1]

    expected = in_torch_as(model, tensors, theirs, training=False).detach().numpy()
    np.testing.assert_allclose(forward(steps, inputs), expected, rtol=1e-8, atol=1e-8)

    class_weight, label_smoothing = rng.uniform(0.1, 2, 3), rng.uniform(0, 0.5)
    loss = nn.CategoricalCrossentropy(class_weight, label_smoothing)
    scores, their_scores = forward(steps, inputs, training=True), in_torch_as(model, tensors, theirs, training=True)
    options = {"weight": torch.tensor(class_weight), "label_smoothing": label_smoothing}
    their_loss = torch.nn.functional.cross_entropy(their_scores, torch.tensor(targets), **options)
    np.testing.assert_allclose(scores, their_scores.detach().numpy(), rtol=1e-8, atol=1e-8)
    assert loss.forward_scores(scores, targets) == pytest.approx(their_loss.item(), rel=1e-8)
    their_loss.backward()
    input_gradient = backward(steps, loss.backward())
    if not fast:  # the fused steps leave out what nothing needs
        np.testing.assert_allclose(input_gradient, theirs.grad.numpy(), rtol=1e-6, atol=1e-9)
    for key, gradient in model.grads.items():
        np.testing.assert_allclose(gradient, tensors[key].grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=key)
    for key, array in model.buffers.items():
        layer, expected = model[key.split("/")[0]], tensors[key].numpy()
        rows = len(inputs) * np.prod(layer.input_shape[1:])
        if key.endswith("variance"):  # PyTorch's is the unbiased one
            before = random_network(seed, fast).buffers[key] * layer.momentum
            expected = before + (expected - before) * (rows - 1) / rows
        np.testing.assert_allclose(array, expected, rtol=1e-8, atol=1e-8, err_msg=key)


OPTIMIZERS = {
    "RMSprop": (nn.RMSprop(0.01, 0.9, 1e-7), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-7)),
    "SGD": (nn.SGD(0.01), lambda p: torch.optim.SGD(p, 0.01)),
    "SGD with momentum": (nn.SGD(0.01, 0.9), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
    "Adam": (nn.Adam(0.01), lambda p: torch.optim.Adam(p, 0.01, eps=1e-7)),
    "SGD, each gradient clipped": (nn.SGD(0.01, clipnorm=2), lambda p: torch.optim.SGD(p, 0.01)),
    "SGD, all gradients clipped": (nn.SGD(0.01, global_clipnorm=3), lambda p: torch.optim.SGD(p, 0.01)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_follow_through_fifty_steps(name):
    optimizer, make = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    params = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=5)}
    theirs = {key: torch.tensor(array, requires_grad=True) for key, array in params.items()}
    other = make(list(theirs.values()))
    for _ in range(50):
        for parameter in theirs.values():
            parameter.grad = torch.sin(3 * parameter.detach()) + torch.tensor(rng.normal(size=parameter.shape))
        optimizer.update(params, {key: parameter.grad.numpy().copy() for key, parameter in theirs.items()})
        if optimizer.clipnorm:
            for parameter in theirs.values():
                torch.nn.utils.clip_grad_norm_(parameter, optimizer.clipnorm)
        if optimizer.global_clipnorm:
            torch.nn.utils.clip_grad_norm_(theirs.values(), optimizer.global_clipnorm)
        other.step()
        for key, array in params.items():
            # PyTorch adds 1e-6 to the length of a gradient that it clips
            atol = 1e-6 if optimizer.clipnorm or optimizer.global_clipnorm else 1e-8
            np.testing.assert_allclose(array, theirs[key].detach().numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("kernel", [(3, 3), (2, 5)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_convolution(kernel, strides):
    layer, rng = nn.Conv2D(5, kernel, strides, padding="valid"), np.random.default_rng(0)
    layer.build((3, 11, 14), rng)
    layer.params = {key: rng.normal(size=array.shape) for key, array in layer.params.items()}
    inputs = rng.normal(size=(4, 3, 11, 14))
    theirs = torch.tensor(inputs, requires_grad=True)
    weight, bias = (torch.tensor(layer.params[key], requires_grad=True) for key in ("kernel", "bias"))
    output = torch.nn.functional.conv2d(theirs, weight, bias, strides)
    np.testing.assert_allclose(layer.forward(inputs), output.detach().numpy(), atol=1e-12)
    gradient = rng.normal(size=output.shape)
    output.backward(torch.tensor(gradient))
    np.testing.assert_allclose(layer.backward(gradient), theirs.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(layer.grads["kernel"], weight.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(layer.grads["bias"], bias.grad.numpy(), atol=1e-11)


POOLINGS = {
    "average": (nn.AveragePooling2D((3, 2), (2, 3)), lambda x: torch.nn.functional.avg_pool2d(x, (3, 2), (2, 3))),
    "average, padded": (
        nn.AveragePooling2D(3, 1, "same"),
        lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False),
    ),
    "max": (nn.MaxPooling2D((3, 2), (2, 3)), lambda x: torch.nn.functional.max_pool2d(x, (3, 2), (2, 3))),
    "max, padded": (nn.MaxPooling2D(3, 1, "same"), lambda x: torch.nn.functional.max_pool2d(x, 3, 1, padding=1)),
    "global average": (nn.GlobalAveragePooling2D(), lambda x: x.mean((2, 3))),
    "global max": (nn.GlobalMaxPooling2D(), lambda x: x.amax((2, 3))),
}


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling(name):
    (layer, function), rng = POOLINGS[name], np.random.default_rng(0)
    layer.build((3, 11, 14), rng)
    inputs = rng.normal(size=(4, 3, 11, 14))
    theirs = torch.tensor(inputs, requires_grad=True)
    output = function(theirs)
    np.testing.assert_allclose(layer.forward(inputs), output.detach().numpy(), atol=1e-12)
    gradient = rng.normal(size=output.shape)
    output.backward(torch.tensor(gradient))
    np.testing.assert_allclose(layer.backward(gradient), theirs.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-4), (np.float32, 0.01)])
def test_mel_spectrogram_is_librosas(dtype, tolerance):
    rng = np.random.default_rng(0)
    sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(30, 7_900, 16_000)) / 16_000)
    fading = rng.normal(0, 0.3, 16_000) * np.geomspace(1, 1e-4, 16_000)
    samples = np.stack([sweep, fading, rng.normal(0, 1e-3, 16_000), np.sign(sweep) * 0.9]).astype(dtype)
    layer = nn.MelSpectrogram()
    layer.build((16_000,), rng)
    # librosa puts the window of 400 samples into the middle of its 512
    padded = np.pad(samples, ((0, 0), (56, 512)))
    mels = librosa.feature.melspectrogram(
        y=padded, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=128, power=1, center=False
    )
    for picture, mel in zip(layer.forward(samples)[:, 0], mels):
        expected = librosa.amplitude_to_db(mel[:, :100], ref=np.max).T
        assert picture.dtype == dtype
        assert np.abs(picture - expected).max() < tolerance
