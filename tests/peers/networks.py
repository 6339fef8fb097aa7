"""The networks of this project in `nn`, PyTorch and Keras, from the mel picture to the scores; random small ones."""

import numpy as np

import nn

PICTURE = (1, 100, 128)  # channels, frames, mels
# Filters, their size, and the pooling window behind them; the released network has BatchNormalization between them.
CONVOLUTIONS = {
    "thesis network": ((8, 7, 2), (16, 5, 2), (16, 3, 2), (32, 3, 2), (32, 3, None)),
    "released network": ((32, 3, 2), (64, 3, 2), (96, 3, 2), (96, 3, (12, 2))),
}
DROPOUT = {"thesis network": 0.2, "released network": 0.3}


def ours(name, dropout=None, seed=0):
    """One of `CONVOLUTIONS` without its spectrogram."""
    layers = [nn.BatchNormalization(0.9)]
    for filters, size, pool in CONVOLUTIONS[name]:
        layers += [nn.Conv2D(filters, size)]
        layers += [nn.BatchNormalization(0.9)] if name == "released network" else []
        layers += [nn.ReLU()] + ([nn.MaxPooling2D(pool)] if pool else [])
    layers += [nn.Flatten(), nn.Dropout(DROPOUT[name] if dropout is None else dropout), nn.Dense(64), nn.ReLU()]
    return nn.Model([*layers, nn.Dense(2), nn.Softmax()], PICTURE, ["Piano", "Other"], seed)


def in_torch(name, dropout=None):
    """The same in PyTorch, up to the scores before the softmax."""
    from torch import nn as torch_nn

    def normalization(channels):
        return torch_nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)  # PyTorch's momentum is one minus ours

    layers, channels, height, width = [normalization(1)], *PICTURE
    for filters, size, pool in CONVOLUTIONS[name]:
        layers += [torch_nn.Conv2d(channels, filters, size, padding="same")]
        layers += [normalization(filters)] if name == "released network" else []
        layers += [torch_nn.ReLU()] + ([torch_nn.MaxPool2d(pool)] if pool else [])
        down, across = pool if isinstance(pool, tuple) else (pool or 1, pool or 1)
        channels, height, width = filters, height // down, width // across
    layers += [torch_nn.Flatten(), torch_nn.Dropout(DROPOUT[name] if dropout is None else dropout)]
    return torch_nn.Sequential(
        *layers, torch_nn.Linear(channels * height * width, 64), torch_nn.ReLU(), torch_nn.Linear(64, 2)
    )


def in_keras(name):
    """The same in Keras, channels last as it wants them on a CPU, compiled with its own RMSprop."""
    import keras

    layers = [keras.layers.Input((*PICTURE[1:], 1)), keras.layers.BatchNormalization(momentum=0.9)]
    for filters, size, pool in CONVOLUTIONS[name]:
        layers += [keras.layers.Conv2D(filters, size, padding="same")]
        layers += [keras.layers.BatchNormalization(momentum=0.9)] if name == "released network" else []
        layers += [keras.layers.ReLU()] + ([keras.layers.MaxPooling2D(pool)] if pool else [])
    layers += [keras.layers.Flatten(), keras.layers.Dropout(DROPOUT[name]), keras.layers.Dense(64, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(2)])
    model.compile("rmsprop", keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


class MelInTorch:
    """Samples `(batch, samples)` to mel pictures `(batch, 1, frames, mels)` in decibels, by torch.stft."""

    def __init__(self):
        import torch

        features = nn.FeatureConfig()
        self.window = torch.hann_window(features.win_length)
        self.filters = torch.tensor(nn.spectrogram.mel_filters(features).astype("f4"))

    def __call__(self, samples):
        import torch

        padded = torch.nn.functional.pad(samples, (0, 352))
        spectra = torch.stft(padded, 512, 160, 400, self.window, center=False, return_complex=True).abs()
        mels = torch.matmul(self.filters, spectra).clamp(min=1e-5)
        decibels = 20 * torch.log10(mels / mels.amax(dim=(1, 2), keepdim=True))
        return decibels.clamp(min=-80).transpose(1, 2)[:, None]


def augmented_in_torch(pictures, layer):
    """What `nn.SpectrogramAugmentation` does to mel pictures, in PyTorch, for all of a batch at once."""
    import torch

    batch, _, frames, mels = pictures.shape
    waves = torch.arange(1, layer.n_waves + 1)
    shapes = torch.cos(torch.pi * torch.outer(waves, torch.arange(mels) + 0.5) / mels)
    gains = (torch.randn(batch, layer.n_waves) * layer.gain_db / waves.sqrt()) @ shapes
    pictures = pictures + gains[:, None, None]
    pictures -= pictures.amax(dim=(2, 3), keepdim=True)
    floor = -80 + (layer.floor_db + 80) * torch.rand(batch, 1, 1, 1)
    pictures = torch.maximum(pictures, floor)
    for longest, size, axis in ((layer.mask_mels, mels, 3), (layer.mask_frames, frames, 2)):
        length = torch.randint(longest + 1, (batch, 1)) * torch.randint(2, (batch, 1))
        start = (torch.rand(batch, 1) * (size - length + 1)).long()
        place = torch.arange(size)
        masked = (place >= start) & (place < start + length)
        pictures = torch.where(masked[:, None, None] if axis == 3 else masked[:, None, :, None], floor, pictures)
    return pictures


def carry_over(model, module):
    """Copy parameters and running statistics of `model` into a PyTorch module.

    Returns for each parameter our name, PyTorch's parameter, and whether it is transposed there.
    """
    import torch

    names = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
    layers = [layer for layer in model.layers if layer.params]
    modules = [part for part in module if list(part.parameters())]
    pairs = []
    for layer, part in zip(layers, modules, strict=True):
        for key, array in layer.params.items():
            is_transposed = isinstance(layer, nn.Dense) and key == "kernel"
            target = getattr(part, names[key])
            target.data = torch.tensor(array.T.copy() if is_transposed else array)
            pairs.append((f"{layer.name}/{key}", target, is_transposed))
        for key, array in layer.buffers.items():
            getattr(part, f"running_{'var' if key == 'variance' else key}").copy_(torch.tensor(array))
    return pairs


def random_network(seed, fast):
    """A small network of layers in any order and of any size that fits, in float64, with random arrays."""
    rng = np.random.default_rng(seed)

    def pair(largest):
        return tuple(int(size) for size in rng.integers(1, largest + 1, 2))

    def window(kind, *arguments, **options):
        return kind(*arguments, pair(4), pair(3), str(rng.choice(["same", "valid"])), **options)

    kinds = [
        lambda: window(nn.Conv2D, int(rng.integers(1, 6)), use_bias=bool(rng.random() < 0.7)),
        lambda: nn.Conv2D(int(rng.integers(1, 6)), pair(5), use_bias=bool(rng.random() < 0.7)),
        lambda: nn.BatchNormalization(0.8, 1e-2),
        nn.ReLU,
        lambda: nn.MaxPooling2D(pair(3)),
        lambda: window(nn.MaxPooling2D),
        lambda: window(nn.AveragePooling2D),
    ]
    input_shape = shape = (int(rng.integers(1, 5)), *(int(size) for size in rng.integers(6, 20, 2)))
    layers = []
    while len(layers) < 7:
        layer = rng.choice(kinds)()
        try:
            shape = layer.compute_output_shape(shape)
        except ValueError:  # "valid", and too large
            continue
        layers.append(layer)
    layers.append(rng.choice([nn.Flatten, nn.GlobalAveragePooling2D, nn.GlobalMaxPooling2D])())
    layers += [nn.Dense(5, "relu", use_bias=bool(rng.random() < 0.5)), nn.BatchNormalization(), nn.Dense(3, "softmax")]
    model = nn.Model(layers, input_shape, "abc", fast=fast)
    for layer in model.layers:
        for arrays in (layer.params, layer.buffers):
            for name, array in arrays.items():
                arrays[name] = rng.uniform(0.5, 2, array.shape) if name == "variance" else rng.normal(size=array.shape)
    return model


def in_torch_as(model, tensors, values, training):
    """The scores, before the softmax, of the layers of `model` with their arrays as `tensors`, computed by PyTorch."""
    from torch.nn import functional

    for layer in model.layers[:-1]:
        own = {key.split("/")[1]: tensor for key, tensor in tensors.items() if key.split("/")[0] == layer.name}
        if isinstance(layer, nn.convolution.WindowLayer):
            (top, bottom), (left, right) = layer.pads
            outside = -np.inf if isinstance(layer, nn.MaxPooling2D) else 0.0
            padded = functional.pad(values, (left, right, top, bottom), value=outside)
        if isinstance(layer, nn.Conv2D):
            values = functional.conv2d(padded, own["kernel"], own.get("bias"), layer.strides)
        elif isinstance(layer, nn.MaxPooling2D):
            values = functional.max_pool2d(padded, layer.pool_size, layer.strides)
        elif isinstance(layer, nn.AveragePooling2D):
            inside = functional.pad(values.new_ones(values.shape), (left, right, top, bottom))
            sums, counts = (functional.avg_pool2d(each, layer.pool_size, layer.strides) for each in (padded, inside))
            values = sums / counts
        elif isinstance(layer, nn.BatchNormalization):
            arguments = own["mean"], own["variance"], own["gamma"], own["beta"], training
            values = functional.batch_norm(values, *arguments, 1 - layer.momentum, layer.epsilon)
        elif isinstance(layer, nn.Dense):
            values = functional.linear(values, own["kernel"].T, own.get("bias"))
        elif isinstance(layer, nn.ReLU):
            values = values.relu()
        elif isinstance(layer, nn.Flatten):
            values = values.flatten(1)
        elif isinstance(layer, nn.GlobalAveragePooling2D):
            values = values.mean((2, 3))
        else:
            values = values.amax((2, 3))
    return values
