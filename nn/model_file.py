"""The model file: one .npz with architecture, weights, running statistics, optimizer and training record.

It holds arrays and one text of JSON, and is read without pickle. Counts are limited before memory is taken and all
values are checked, so a file from a stranger can do no harm.
"""

import io
import json
import os
import stat
import zipfile
from contextlib import contextmanager

import numpy as np

from nn import layers as layer_types
from nn import optimizers
from nn.checks import integer, number
from nn.history import History

FORMAT = 1  # raised when an older reader would misunderstand a file

# Limits, far above any network of this kind.
MAX_BYTES = 384 << 20  # unpacked
MAX_DIRECTORY = 1 << 20  # bytes of the list of arrays in the file
MAX_TEXT = 1 << 23  # characters of JSON
MAX_LAYERS = 1000
MAX_CHANNELS = 1 << 24  # of the outputs of all layers
MAX_BATCHES = 1 << 20  # in the history


class ModelFileError(ValueError):
    """A model file that is missing, damaged, foreign, or written by a newer version."""


def save(model_class, model, path, include_optimizer=True):
    """Write `model`, a `model_class`, to `path`; a file that is there already stays whole until the new one is.

    The new file is read back first, so that no model is lost in a file that cannot be loaded. Of the batches in the
    history, the last million are kept. Raises ValueError for a layer or optimizer that is not one of `nn`, for weights
    that are not finite and for a model beyond the limits; TypeError for metadata that are no plain values.
    """
    optimizer = model.optimizer if include_optimizer else None
    header = {
        "format": FORMAT,
        "layers": [_description(layer_types, layer) for layer in model.layers],
        "input_shape": model.input_shape,
        "class_names": model.class_names,
        "seed": model.seed if isinstance(model.seed, int | np.integer) else None,
        "generators": {
            layer.name: layer.generator.bit_generator.state for layer in model.layers if layer.generator is not None
        },
        "optimizer": optimizer and {**_description(optimizers, optimizer), "steps": optimizer.steps},
        "epochs": model.history.epoch_rows,
        "metadata": model.metadata,
    }
    batches = np.asarray(model.history.batch_rows[-MAX_BATCHES:], np.float64).reshape(-1, 4)
    arrays = {name: holder[key] for name, (holder, key) in _places(model, optimizer).items()}
    arrays |= {"header": np.array(json.dumps(header, default=plain)), "batches": batches}
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)
        file.flush()
        try:
            _read(model_class, file.name, fast=False)
        except Exception as error:
            raise ValueError(f"This model cannot be saved: {_reason(error)}") from error


@contextmanager
def replacing(path):
    """A binary file that becomes the one at `path` once it is complete; what was there stays whole until then."""
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load(model_class, path, fast=True):
    """The model in the file at `path`. Raises ModelFileError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("it is a folder or a device")
        return _read(model_class, path, fast)
    except FileNotFoundError:
        raise ModelFileError(f"No model file at {path}; train one, or check the path") from None
    except Exception as error:  # the readers of zip, NumPy and JSON raise more kinds than they document
        raise ModelFileError(f"{path} cannot be loaded as a model: {_reason(error)}") from error


def _read(model_class, path, fast):
    """The model in the file at `path`. Raises whatever a damaged file leads to."""
    with _ShortReads(path) as file, zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES >> 20} MB")
        header = json.loads(_array(archive, "header", 4 * MAX_TEXT).item())
        if header["format"] != FORMAT:
            raise ValueError(f"it was written in format {header['format']!r}, this version reads {FORMAT}")
        model = _model(header, model_class, fast)
        names = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
        if header["optimizer"] is not None:
            model.optimizer = _optimizer(header["optimizer"], model.params, names)
        places = _places(model, model.optimizer)
        if sorted(names) != sorted(["header", *places, "batches"]):
            difference = sorted({"header", *places, "batches"}.symmetric_difference(names))
            raise ValueError(f"arrays are missing, unknown or repeated: {', '.join(map(repr, difference))}")
        for name, (holder, key) in places.items():
            array = _array(archive, name, holder[key].nbytes)
            _check(array, name, holder[key].dtype, holder[key].shape)
            holder[key] = array
        batches = _array(archive, "batches", 32 * MAX_BATCHES)
        _check(batches, "batches", np.float64, (len(batches), 4))
    epochs, numbers, losses, accuracies = batches.T.tolist()
    rows = [{name: value + 0.0 for name, value in row.items()} for row in header["epochs"]]  # a text is a TypeError
    model.history = History(zip(map(int, epochs), map(int, numbers), losses, accuracies), rows)
    return model


class _ShortReads(io.FileIO):
    """A file that returns at most a megabyte at once: `zipfile` reads the list of arrays, however long, in one call."""

    def read(self, size=-1):
        return super().read(min(size, MAX_DIRECTORY))


def _array(archive, name, n_bytes):
    """The array called `name`; of more than `n_bytes`, nothing is read."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > n_bytes + (1 << 16):
        raise ValueError(f"{name!r} has more than {n_bytes:,} bytes")
    # What is compressed in another way, zipfile unpacks all at once.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is not compressed as NumPy does it")
    with archive.open(entry) as stream:
        # In other versions of the format, an array's description may be gigabytes long.
        if stream.peek(8)[:8] != np.lib.format.magic(1, 0):
            raise ValueError(f"{name!r} is no array in NumPy's format 1.0")
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError(f"{name!r} has bytes after its array")
    return array


def _check(array, name, dtype, shape):
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name!r} is {array.dtype}{array.shape}, expected {dtype}{shape}")
    if not np.isfinite(array.sum(dtype=np.float64)):
        raise ValueError(f"{name!r} has values that are not finite")
    if name.endswith(("/variance", "/square")) and array.min() < 0:
        raise ValueError(f"{name!r} has values below zero")


def _model(header, model_class, fast):
    """The model of a header, its arrays still blank."""
    if len(header["layers"]) > MAX_LAYERS:
        raise ValueError(f"it has more than {MAX_LAYERS} layers")
    layers = [_instance(layer_types, config) for config in header["layers"]]
    if sum(isinstance(layer, layer_types.MelSpectrogram) for layer in layers) > 1:
        raise ValueError("it has more than one spectrogram")
    input_shape = shape = tuple(integer(size, "input_shape") for size in header["input_shape"])
    n_channels = 0
    for layer in layers:
        shape = layer.compute_output_shape(shape)
        n_channels += shape[0]
    if n_channels > MAX_CHANNELS:
        raise ValueError(f"it has more than {MAX_CHANNELS} channels")
    model = model_class(layers, input_shape, header["class_names"], _Blank(np.random.PCG64()), fast)
    model.seed = header["seed"] if header["seed"] is None else integer(header["seed"], "seed", minimum=0)
    generators = {layer.name: layer.generator for layer in model.layers if layer.generator is not None}
    if generators.keys() != header["generators"].keys():
        raise ValueError(f"the states of generators are those of {list(header['generators'])}")
    for name, generator in generators.items():
        generator.bit_generator.state = header["generators"][name]
    model.metadata = {**header["metadata"]}
    number(model.metadata.get("threshold", 0.5), "threshold", minimum=0, below=1)
    return model


def _optimizer(config, params, names):
    """The optimizer of a header, with blank averages for those among the `names` of arrays."""
    config = dict(config)
    steps = integer(config.pop("steps"), "steps", minimum=0)
    number(steps, "steps", below=1 << 53)
    optimizer = _instance(optimizers, config)
    optimizer.steps = steps
    keys = [name.removeprefix("slots/") for name in names if name.startswith("slots/")]
    optimizer.slots = {key: np.empty_like(params[key.rpartition("/")[0]]) for key in keys}
    if len(optimizer.slots) != len(params) * len({key.rpartition("/")[2] for key in keys}):
        raise ValueError("averages of the optimizer are missing")
    return optimizer


def _places(model, optimizer):
    """Where the arrays of a model are, by their names in the file: a dict and the key there."""
    places = {
        f"{group}/{layer.name}/{key}": (getattr(layer, group), key)
        for group in ("params", "buffers")
        for layer in model.layers
        for key in getattr(layer, group)
    }
    slots = optimizer.slots if optimizer else {}
    return places | {f"slots/{key}": (slots, key) for key in slots}


class _Blank(np.random.Generator):
    """Draws zeros, so that a file that asks for huge layers costs no memory before its arrays are found missing."""

    def normal(self, loc, scale, size):
        return np.zeros(size, np.float32)

    uniform = normal

    def spawn(self, n_children):
        return [np.random.default_rng() for _ in range(n_children)]


def _description(module, thing):
    """What `_instance` makes the same object of. Raises ValueError for a type that `module` does not offer."""
    kind = type(thing)
    if getattr(module, kind.__name__, None) is not kind:
        raise ValueError(f"A model file can hold what nn offers only. Received: {thing!r}")
    return {"type": kind.__name__, **thing.config()}


def _instance(module, config):
    """The object that `config` describes; its type must be one that `module` offers by name."""
    arguments = dict(config)
    kind = arguments.pop("type")
    if kind not in module.__all__:
        raise ValueError(f"unknown type {kind!r}")
    return getattr(module, kind)(**arguments)


def plain(value):
    """For JSON: a number of NumPy's as one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"A model file holds plain values: numbers, texts, lists and dicts. Received: {value!r}")


def _reason(error):
    """What was wrong, in one short line."""
    text = " ".join(str(error).split())[:300]
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
