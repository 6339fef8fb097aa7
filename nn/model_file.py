"""The model file: one .npz with architecture, weights, running statistics, optimizer and training record.

It holds arrays and one text of JSON, and is read without pickle, so a file from a stranger can do no harm.
"""

import json
import os
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np

from nn import layers as layer_types
from nn import optimizers
from nn.history import History

FORMAT = 1  # raised when an older reader would misunderstand a file
MAX_BYTES = 1 << 30  # unpacked; far above any network of this kind

DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError)  # what bad content leads to


class ModelFileError(ValueError):
    """A model file that is missing, damaged, foreign, or written by a newer version."""


def save(model, path, include_optimizer=True):
    """Write `model` to `path`; a file that is there already stays whole until the new one is.

    Raises ValueError for a layer or optimizer that is not one of `nn`.
    """
    optimizer = model.optimizer if include_optimizer else None
    header = {
        "format": FORMAT,
        "layers": [_description(layer_types, layer) for layer in model.layers],
        "input_shape": model.input_shape,
        "class_names": model.class_names,
        "seed": model.seed,
        "generators": {
            layer.name: layer.generator.bit_generator.state for layer in model.layers if layer.generator is not None
        },
        "optimizer": optimizer and {**_description(optimizers, optimizer), "steps": optimizer.steps},
        "epochs": model.history.epoch_rows,
        "metadata": model.metadata,
    }
    arrays = {f"params/{key}": array for key, array in model.params.items()}
    arrays |= {f"buffers/{key}": array for key, array in model.buffers.items()}
    if optimizer:
        arrays |= {f"slots/{key}": array for key, array in optimizer.slots.items()}
    arrays["batches"] = np.asarray(model.history.batch_rows, np.float64).reshape(-1, 4)
    with replacing(path) as file:
        np.savez_compressed(file, header=np.array(json.dumps(header, default=np.generic.item)), **arrays)


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
    header, arrays = _read(path)
    if header.get("format") != FORMAT:
        raise ModelFileError(f"{path} was written in format {header.get('format')}, this version reads {FORMAT}")
    try:
        layers = [_instance(layer_types, config) for config in header["layers"]]
        model = model_class(layers, header["input_shape"], header["class_names"], _Blank(np.random.PCG64()), fast)
        model.seed = header["seed"]
        _fill(model.params, arrays, "params")
        _fill(model.buffers, arrays, "buffers")
        for name, state in header["generators"].items():
            model[name].generator.bit_generator.state = state
        if header["optimizer"]:
            config = dict(header["optimizer"])
            steps = config.pop("steps")
            model.optimizer = _instance(optimizers, config)
            model.optimizer.steps = steps
            for key in [key for key in arrays if key.startswith("slots/")]:
                _, name = key.split("/", 1)
                model.optimizer.slots[name] = np.empty_like(model.params[name.rpartition("/")[0]])
            _fill(model.optimizer.slots, arrays, "slots")
        rows = ((int(epoch), int(batch), loss, accuracy) for epoch, batch, loss, accuracy in arrays["batches"].tolist())
        model.history = History(rows, header["epochs"])
        model.metadata = dict(header["metadata"])
    except DAMAGE as error:
        raise ModelFileError(f"{path} does not describe a model: {error}") from error
    return model


class _Blank(np.random.Generator):
    """Draws zeros, so that a file that asks for huge layers costs no memory before its arrays are found missing."""

    def normal(self, loc, scale, size):
        return np.zeros(size, np.float32)

    uniform = normal

    def spawn(self, n_children):
        return [np.random.default_rng() for _ in range(n_children)]


def _read(path):
    """Header and arrays of the file at `path`."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ModelFileError(f"{path} unpacks to more than {MAX_BYTES >> 20} MB: not a model of this kind")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return dict(json.loads(str(arrays.pop("header")))), arrays
    except FileNotFoundError:
        raise ModelFileError(f"No model file at {path}; train one, or check the path") from None
    except ModelFileError:
        raise
    except (*DAMAGE, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelFileError(f"{path} is not a model file, or a damaged one: {error}") from error


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


def _fill(targets, arrays, group):
    for key, target in targets.items():
        array = arrays[f"{group}/{key}"]
        if array.shape != target.shape or array.dtype != target.dtype:
            raise ValueError(f"{key} is {array.dtype}{array.shape}, expected {target.dtype}{target.shape}")
        target[...] = array
