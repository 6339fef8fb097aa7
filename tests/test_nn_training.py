"""Training as a whole: it learns, it is repeatable to the bit, and it goes on where it stopped."""

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

import nn
from nn.parallel import map_items, one_blas_thread, set_threads

CLIP = 2_000  # samples: short clips keep the suite quick


def tones(n=96, n_classes=2, seed=0, **options):
    """Noisy tones, whose pitch is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    pitch = 400 * (1 + labels[:, np.newaxis]) * rng.uniform(0.95, 1.05, (n, 1))
    clips = 8_000 * np.sin(2 * np.pi * pitch * np.arange(CLIP) / 16_000) + rng.normal(0, 500, (n, CLIP))
    return nn.ClipSequence(clips.astype(np.int16), labels, n_classes, **({"batch_size": 16, "shuffle": True} | options))


def network(n_classes=2, seed=0, fast=True):
    layers = [nn.MelSpectrogram(n_mels=32), nn.BatchNormalization(0.5)]
    for filters in (4, 8):
        layers += [nn.Conv2D(filters, 3), nn.BatchNormalization(0.5), nn.ReLU(), nn.MaxPooling2D(2)]
    layers += [nn.Flatten(), nn.Dropout(0.2), nn.Dense(16), nn.ReLU(), nn.Dense(n_classes), nn.Softmax()]
    return nn.Model(layers, (CLIP,), [f"class {i}" for i in range(n_classes)], seed, fast)


def weights(model):
    return {**model.params, **model.buffers}


def assert_same(one, other):
    for key, array in weights(one).items():
        np.testing.assert_array_equal(array, weights(other)[key], err_msg=key)


@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize(
    "optimizer",
    [nn.RMSprop(0.003), nn.Adam(0.003), nn.SGD(0.03, momentum=0.9)],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_it_learns(n_classes, optimizer):
    optimizer = type(optimizer)(**optimizer.config())
    model = network(n_classes)
    history = model.fit(
        tones(192, n_classes), validation_data=tones(96, n_classes, 1), epochs=6, optimizer=optimizer, progress=False
    )
    assert list(history.epochs) == ["loss", "accuracy", "seconds", "val_loss", "val_accuracy"]
    assert list(history.batches) == ["epoch", "batch", "loss", "accuracy"]
    assert len(history.batches) == 6 * 12
    assert history.epochs.val_accuracy.iloc[-1] > 0.95
    probabilities = model.predict(tones(n_classes=n_classes).clips)
    assert probabilities.shape == (96, n_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("one_hot", [False, True])
def test_arrays_are_trained_on_as_a_shuffled_clip_sequence(one_hot):
    from_sequence, from_arrays, data, validation = network(), network(), tones(seed=1), tones(seed=2)
    data = nn.ClipSequence(data.clips, data.labels, 2, 16, shuffle=True)
    validation = nn.ClipSequence(validation.clips, validation.labels, 2)
    labels, validation_labels = [np.eye(2)[each.labels] if one_hot else each.labels for each in (data, validation)]
    from_sequence.fit(data, validation_data=validation, epochs=2, progress=False)
    pair = validation.clips, validation_labels
    from_arrays.fit(data.clips, labels, validation_data=pair, epochs=2, batch_size=16, progress=False)
    assert_same(from_sequence, from_arrays)
    expected = from_sequence.evaluate(validation)
    assert from_arrays.evaluate(*pair) == pytest.approx(expected)
    assert from_arrays.history.epochs.val_loss.iloc[-1] == pytest.approx(expected["loss"])


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f4", "float64"])
def test_clips_of_other_floating_types_are_learnt(dtype):
    data = tones()
    clips = (data.clips / 32768).astype("float16")
    model, other = network(), network()
    model.fit(nn.ClipSequence(clips.astype(np.float32), data.labels, 2), epochs=2, progress=False)
    other.fit(nn.ClipSequence(clips.astype(dtype), data.labels, 2), epochs=2, progress=False)
    for key, array in weights(model).items():
        np.testing.assert_allclose(weights(other)[key], array, rtol=1e-2, atol=1e-3, err_msg=key)
    np.testing.assert_array_equal(model.predict(clips.astype(dtype).astype(np.float32)), model.predict(clips))


def test_big_endian_samples_are_16_bit_samples():
    model, clips = network(), tones().clips
    np.testing.assert_array_equal(model.predict(clips.astype(">i2")), model.predict(clips))


def test_same_seed_same_weights_with_any_number_of_threads():
    trained = []
    try:
        for n_threads in (1, 2, 3, 2):
            set_threads(n_threads)
            trained.append(network())
            trained[-1].fit(tones(40, batch_size=32), epochs=2, progress=False)
    finally:
        set_threads(2)
    for other in trained[1:]:
        assert_same(trained[0], other)
    different = network(seed=1)
    assert any((different.params[key] != network().params[key]).any() for key in different.params)


def test_threads_that_ask_one_model_get_its_answers_and_leave_no_trace():
    model, clips = network(), [tones(seed=seed).clips for seed in range(4)]
    expected = [model.predict(part) for part in clips]
    before = sys.getswitchinterval(), threadpool_info()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for answer, right in zip(pool.map(model.predict, clips), expected):
                np.testing.assert_array_equal(answer, right)
    assert (sys.getswitchinterval(), threadpool_info()) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_can_predict():
    model, clips = network(), tones().clips
    model.predict(clips)  # starts threads, which a forked process has none of
    process = multiprocessing.get_context("fork").Process(target=model.predict, args=(clips,))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
    assert process.exitcode == 0


def test_training_goes_on_in_a_new_process_bit_for_bit(tmp_path):
    whole = network()
    whole.fit(tones(), epochs=5, progress=False)
    half = network()
    half.fit(tones(), epochs=2, progress=False)
    half.save(tmp_path / "half.npz")
    code = (
        "import sys; from test_nn_training import *\n"
        "model = nn.Model.load(sys.argv[1]); model.fit(tones(), epochs=3, progress=False); model.save(sys.argv[2])"
    )
    run_python(code, tmp_path / "half.npz", tmp_path / "resumed.npz")
    resumed = nn.Model.load(tmp_path / "resumed.npz")
    assert_same(whole, resumed)
    for key, slot in whole.optimizer.slots.items():
        np.testing.assert_array_equal(resumed.optimizer.slots[key], slot)
    pd.testing.assert_frame_equal(resumed.history.batches, whole.history.batches)
    columns = ["loss", "accuracy"]
    pd.testing.assert_frame_equal(resumed.history.epochs[columns], whole.history.epochs[columns])


def test_a_model_learns_the_same_layer_by_layer(tmp_path):
    fast, plain = network(), network(fast=False)
    assert len(fast.steps) < len(fast.layers)
    assert plain.steps == plain.layers
    for model in (fast, plain):
        model.fit(tones(), epochs=2, optimizer=nn.SGD(0.03), progress=False)
    for key, array in weights(fast).items():
        np.testing.assert_allclose(weights(plain)[key], array, rtol=1e-3, atol=1e-4, err_msg=key)
    fast.save(tmp_path / "model.npz")
    loaded = nn.Model.load(tmp_path / "model.npz", fast=False)
    assert loaded.steps == loaded.layers


def run_python(code, *arguments, root=Path(__file__).parents[1], **options):
    path = os.pathsep.join([str(root), str(root / "tests")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=environment, check=True, **options)


def test_ctrl_c_ends_after_the_running_batch():
    class Interrupting(nn.ClipSequence):
        def __getitem__(self, index):
            if index == 3 and self.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(index)

    data, model, before = tones(), network(), signal.getsignal(signal.SIGINT)
    data.__class__ = Interrupting
    history = model.fit(data, validation_data=tones(seed=1), epochs=5, progress=False)
    assert len(history.epochs) == 1
    assert 6 < len(history.batches) < 12
    assert signal.getsignal(signal.SIGINT) is before
    assert all(np.isfinite(array).all() for array in weights(model).values())
    model.fit(tones(), epochs=1, progress=False)  # and it can go on
    assert len(history.epochs) == 2


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("in_main_thread", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_no_thread_goes_on_after_an_error(in_main_thread, error, n_threads):
    running, begun = set(), []

    def work(item):
        running.add(item)
        begun.append(item)
        if (threading.current_thread() is threading.main_thread()) == in_main_thread:
            raise error
        time.sleep(0.05)
        running.remove(item)

    set_threads(n_threads)
    try:
        with pytest.raises(error):
            map_items(work, list(range(20)))
        assert len(running) <= (1 if in_main_thread else n_threads - 1)  # those that have failed
        assert len(begun) <= 2 * n_threads
        assert map_items(lambda item: item + 1, [1, 2, 3]) == [2, 3, 4]
    finally:
        set_threads(2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not pin threads to cores")
def test_each_thread_keeps_to_its_cores_and_gives_them_back():
    before, found = os.sched_getaffinity(0), {}

    def work(item):
        found[threading.get_ident()] = os.sched_getaffinity(0)
        time.sleep(0.02)

    for n_threads in (2, len(before) + 3):
        set_threads(n_threads)
        found.clear()
        try:
            with one_blas_thread():
                map_items(work, list(range(4 * n_threads)))
        finally:
            set_threads(2)
        assert len(found) == n_threads
        assert set.union(*found.values()) == before
        sizes = sum(len(cores) for cores in found.values())
        assert sizes == len(before) if n_threads <= len(before) else all(found.values())
        assert os.sched_getaffinity(0) == before


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("fast", [True, False])
def test_a_refused_batch_leaves_no_trace(fast):
    model, other, bad = network(fast=fast), network(fast=fast), tones().clips.astype(np.float32)
    bad[5, 1_000] = np.nan
    before = copy.deepcopy(weights(model))
    for clips in (bad, np.full_like(bad, np.inf)):
        with pytest.raises(FloatingPointError, match="bad clips"):
            model.fit(nn.ClipSequence(clips, tones().labels, 2, 96), epochs=1, progress=False)
    for key, array in weights(model).items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)
    assert model.optimizer.steps == 0
    model["dropout_1"].generator.bit_generator.state = other["dropout_1"].generator.bit_generator.state
    for each in (model, other):
        each.fit(tones(), epochs=1, progress=False)
    assert_same(model, other)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_step_that_is_too_large_is_told_at_once():
    """The loss is computed before the step, so that of the last one nothing would be seen."""
    model = nn.Model([nn.Dense(2), nn.Softmax()], (3,), "ab")
    clips = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    data = nn.ClipSequence(clips, np.arange(8) % 2, 2)
    with pytest.raises(FloatingPointError, match="A weight became infinite"):
        model.fit(data, epochs=1, optimizer=nn.SGD(1e300), progress=False)
    model = nn.Model([nn.Dense(9), nn.Dense(9), nn.Dense(2), nn.Softmax()], (3,), "ab")
    with pytest.raises(FloatingPointError, match="The last step"):
        model.fit(data, epochs=1, optimizer=nn.SGD(1e30), progress=False)
    model = nn.Model([nn.Dense(2), nn.Softmax()], (3,), "ab")
    before = model.params["dense_1/kernel"].copy()
    model["dense_1"].params["kernel"][...] = before[...] = 0
    loss = nn.CategoricalCrossentropy([10, 10])
    with pytest.raises(FloatingPointError, match="A gradient became infinite"):
        model.fit(np.full_like(clips, 3e38), np.zeros(8, int), epochs=1, loss=loss, progress=False)
    np.testing.assert_array_equal(model.params["dense_1/kernel"], before)


def test_copies_are_models_of_their_own():
    model = network()
    model.fit(tones(), epochs=1, progress=False)
    model.feature_maps(tones().clips[0], "conv2d_1")
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in copies:
        assert_same(model, other)
        assert len(other.steps) == len(model.steps)
    model.fit(tones(), epochs=1, progress=False)
    for other in copies:
        assert len(other.history.epochs) == 1
        assert any((array != model.params[key]).any() for key, array in other.params.items())
        other.fit(tones(), epochs=1, progress=False)
        assert_same(model, other)
    plain = copy.deepcopy(network(fast=False))
    assert plain.steps == plain.layers


@pytest.mark.parametrize("optimizer", [nn.SGD, nn.RMSprop, nn.Adam])
def test_a_schedule_may_end_at_zero(optimizer, tmp_path):
    schedule = nn.LearningRateSchedule(lambda epoch: 0.01 * (1 - epoch))
    model = network()
    model.fit(tones(), epochs=2, optimizer=optimizer(), callbacks=[schedule], progress=False)
    model.save(tmp_path / "model.npz")
    loaded = nn.Model.load(tmp_path / "model.npz")
    assert loaded.optimizer.learning_rate == 0
    assert_same(model, loaded)
    for rate in (-1e-9, np.nan, np.inf, "0.1", True, None):
        schedule = nn.LearningRateSchedule(lambda epoch, rate=rate: rate)
        with pytest.raises(ValueError, match="Received: learning_rate="):
            model.fit(tones(), epochs=1, callbacks=[schedule], progress=False)
    assert_same(model, loaded)


def test_optimizers_by_hand():
    first, second = np.array([1.0, -0.2]), np.array([0.5, 0.3])

    def step(optimizer):
        params = {"a": np.zeros(2)}
        for gradient in (first, second):
            before = params["a"].copy()
            optimizer.update(params, {"a": gradient.copy()})
        return params["a"] - before  # the second step

    np.testing.assert_allclose(step(nn.SGD(0.1)), -0.1 * second)
    np.testing.assert_allclose(step(nn.SGD(0.1, momentum=0.9)), -0.1 * (0.9 * first + second))
    square = 0.8 * 0.2 * first**2 + 0.2 * second**2
    np.testing.assert_allclose(step(nn.RMSprop(0.1, rho=0.8, epsilon=0.01)), -0.1 * second / (np.sqrt(square) + 0.01))
    mean = (0.7 * 0.3 * first + 0.3 * second) / (1 - 0.7**2)
    square /= 1 - 0.8**2
    expected = -0.1 * mean / (np.sqrt(square) + 0.01)
    np.testing.assert_allclose(step(nn.Adam(0.1, beta_1=0.7, beta_2=0.8, epsilon=0.01)), expected)


def test_gradient_clipping():
    def step(scale=1, **options):
        params = {"a": np.zeros(2), "b": np.zeros((1, 1))}
        grads = {"a": np.float32([3 * scale, 0]), "b": np.float32([[4 * scale]])}
        nn.SGD(1.0, **options).update(params, grads)
        return -params["a"][0], -params["b"][0, 0]

    assert step() == (3, 4)
    assert step(clipnorm=3.5) == (3, 3.5)
    assert step(clipnorm=4) == (3, 4)
    assert step(global_clipnorm=2.5) == pytest.approx((1.5, 2))
    assert step(global_clipnorm=5.1) == (3, 4)
    assert step(1e30, global_clipnorm=5) == pytest.approx((3, 4))
    with pytest.raises(ValueError, match="one of both"):
        nn.Adam(clipnorm=1, global_clipnorm=1)
    model = network()
    model.fit(tones(), epochs=1, optimizer=nn.RMSprop(clipnorm=0.1), progress=False)
    assert copy.deepcopy(model).optimizer.config() == model.optimizer.config()


@pytest.mark.parametrize("kind", [nn.SGD, nn.RMSprop, nn.Adam])
@pytest.mark.parametrize("value", [-1, np.nan, np.inf, True, "1", 10**400])
def test_no_optimizer_takes_a_senseless_hyperparameter(kind, value):
    for name in kind().config():
        with pytest.raises(ValueError, match=f"Received: {name}="):
            kind(**{name: value})
    for name in ("momentum", "rho", "beta_1", "beta_2"):
        if name in kind().config():
            with pytest.raises(ValueError, match=f"Received: {name}=1"):
                kind(**{name: 1})


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, True, "1", None])
def test_no_other_argument_may_be_senseless(value):
    data, model = tones(), network()
    calls = {
        "epochs": lambda: model.fit(data, epochs=value, progress=False),
        "batch_size": lambda: model.fit(data.clips, data.labels, batch_size=value, progress=False),
        "patience": lambda: nn.EarlyStopping(patience=value),
        "average": lambda: nn.MovingAverage(value),
        "monitor": lambda: nn.EarlyStopping("" if value == "1" else value),
        "n_steps": lambda: nn.MovingAverage(model, value),
        "path": lambda: (nn.CSVLogger if value else nn.ModelCheckpoint)(None if value == "1" else value),
        "schedule": lambda: nn.LearningRateSchedule(value),
        "class_weight": lambda: nn.CategoricalCrossentropy({0: 1, 2: 2} if value is None else [1, value]),
        "label_smoothing": lambda: nn.CategoricalCrossentropy(label_smoothing=value),
        "n_threads": lambda: set_threads(value),
        "seed": lambda: network(seed=value),
        "input_shape": lambda: nn.Model([nn.Dense(2)], (value,), "ab"),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"Received: {name}="):
            call()
    for call in (
        lambda: model.predict(data.clips, value),
        lambda: model.evaluate(data.clips, data.labels, batch_size=value),
    ):
        with pytest.raises(ValueError, match="Received: batch_size="):
            call()
    flags = {
        "progress": lambda value: model.fit(data, progress=value),
        "save_best_only": lambda value: nn.ModelCheckpoint("x", save_best_only=value),
        "restore_best_weights": lambda value: nn.EarlyStopping(restore_best_weights=value),
        "fast": lambda value: network(fast=value),
    }
    for name, call in flags.items():
        with pytest.raises(ValueError, match=f"Received: {name}="):
            call("yes")
    assert model.history.batch_rows == []


def test_class_weights():
    scores = np.random.default_rng(0).normal(size=(6, 3))
    targets = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    plain, weighted = nn.CategoricalCrossentropy(), nn.CategoricalCrossentropy({0: 1, 2: 0, 1: 10})
    single = np.array([plain.forward_scores(scores[[i]], targets[[i]]) for i in range(6)])
    expected = (single * [1, 1, 10, 0, 0, 0]).sum() / 6
    assert abs(weighted.forward_scores(scores, targets) - expected) < 1e-12
    np.testing.assert_array_equal(weighted.backward()[3:], 0)
    with pytest.raises(ValueError, match="each of 3 classes"):
        nn.CategoricalCrossentropy([1, 2]).forward_scores(scores, targets)
    model = network()
    model.fit(tones(), epochs=3, loss=nn.CategoricalCrossentropy([1, 0]), progress=False)
    assert (model.predict(tones().clips).argmax(axis=1) == 0).all()  # the other class never counted


def test_a_moving_average_follows_every_step():
    steps = []

    class Recorder(nn.callbacks.Callback):
        def on_batch_end(self, model):
            steps.append(copy.deepcopy(weights(model)))

    model, average = network(), network()
    model.fit(tones(), epochs=1, callbacks=[nn.MovingAverage(average, n_steps=3), Recorder()], progress=False)
    assert len(steps) == 6
    for key, array in weights(average).items():
        expected = steps[0][key]
        for number, step in enumerate(steps[1:], start=2):
            expected = expected + (step[key] - expected) / min(number, 3)
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6, err_msg=key)
    assert any((array != model.params[key]).any() for key, array in average.params.items())


def test_a_moving_average_has_the_layers_of_the_model():
    other = nn.Model([nn.Dense(2), nn.Softmax()], (CLIP,), "ab")
    with pytest.raises(ValueError, match="the same layers"):
        network().fit(tones(), epochs=1, callbacks=[nn.MovingAverage(other)], progress=False)


class Scripted(nn.callbacks.Callback):
    """Writes figures of its own into the rows that the callbacks after it read."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = list(values), name

    def on_epoch_end(self, model, epoch, row):
        row[self.name] = self.values[epoch]


def test_the_best_accuracy_is_the_highest():
    model, name = network(), "val_accuracy"
    callbacks = [Scripted([0.5, 0.7, 0.9, np.nan, 0.8, 1], name), nn.EarlyStopping(name, patience=2)]
    model.fit(tones(), epochs=6, callbacks=callbacks, progress=False)
    assert len(model.history.epochs) == 5


def test_a_model_whose_loss_is_no_number_is_never_the_best(tmp_path):
    callbacks = [Scripted([3, 1, np.nan, 2]), nn.ModelCheckpoint(tmp_path / "best.npz"), nn.EarlyStopping(patience=2)]
    model = network()
    model.fit(tones(), epochs=5, callbacks=callbacks, progress=False)
    assert len(model.history.epochs) == 4
    assert len(nn.Model.load(tmp_path / "best.npz").history.epochs) == 2


def test_the_best_model_is_kept_and_training_stops_early(tmp_path):
    def callbacks():
        return [Scripted([3, 1, 2, 4, 0]), nn.ModelCheckpoint(tmp_path / "best.npz"), nn.EarlyStopping(patience=2)]

    model = network()
    model.fit(tones(), epochs=5, callbacks=callbacks(), progress=False)
    assert len(model.history.epochs) == 4  # 1 was best, and 2 and 4 did not become better
    assert len(nn.Model.load(tmp_path / "best.npz").history.epochs) == 2

    resumed = network()
    resumed.fit(tones(), epochs=3, callbacks=callbacks(), progress=False)
    resumed.save(tmp_path / "last.npz")
    resumed = nn.Model.load(tmp_path / "last.npz")
    resumed.fit(tones(), epochs=2, callbacks=callbacks(), progress=False)  # new callbacks know what was best before
    assert len(resumed.history.epochs) == 4
    assert len(nn.Model.load(tmp_path / "best.npz").history.epochs) == 2
    with pytest.raises(ValueError, match="monitor='val_accuracy'"):
        network().fit(tones(), epochs=1, callbacks=[nn.EarlyStopping("val_accuracy")], progress=False)


def test_the_best_weights_are_restored():
    class Keep(nn.callbacks.Callback):
        def __init__(self):
            self.epochs = []

        def on_epoch_end(self, model, epoch, row):
            self.epochs.append(copy.deepcopy(weights(model)))

    def train(values, **options):
        model, keep = network(), Keep()
        stopping = nn.EarlyStopping(restore_best_weights=True, **options)
        model.fit(tones(), epochs=len(values), callbacks=[Scripted(values), keep, stopping], progress=False)
        for number, arrays in enumerate(keep.epochs):
            if all((array == arrays[key]).all() for key, array in weights(model).items()):
                return len(keep.epochs), number + 1

    assert train([3, 1, 2, 4, 0]) == (4, 2)  # epochs trained, and the one whose weights are there
    assert train([3, 1, 2]) == (3, 2)
    assert train([3, 2, 1]) == (3, 3)
    assert train([3, 2, 2, 1], patience=0) == (3, 2)
    assert train([3, 2, 2, 1], patience=1) == (3, 2)


def test_a_bar_for_each_epoch_shows_loss_and_accuracy(capsys):
    history = network().fit(tones(), epochs=2)
    lines = [line for line in capsys.readouterr().out.replace("\r", "\n").splitlines() if "100%" in line]
    for number, line in ((1, lines[0]), (2, lines[-1])):
        assert line.startswith(f"epoch {number}: 100%")
    row = history.epochs.loc[2]
    assert f"accuracy={row.accuracy:.3g}" in lines[-1]
    assert f"loss={row.loss:.3g}" in lines[-1]
    assert "6/6" in lines[-1]


def test_csv_log_and_schedule(tmp_path):
    rates = []

    class Watch(nn.callbacks.Callback):
        def on_epoch_end(self, model, epoch, row):
            rates.append(model.optimizer.learning_rate)

    schedule = nn.LearningRateSchedule(lambda epoch: 0.01 / (1 + epoch))
    model = network()
    for _ in range(2):  # the second training adds to the file of the first
        model.fit(tones(), epochs=2, callbacks=[schedule, Watch(), nn.CSVLogger(tmp_path / "log.csv")], progress=False)
    assert rates == [0.01 / n for n in (1, 2, 3, 4)]
    log = pd.read_csv(tmp_path / "log.csv", index_col="epoch")
    pd.testing.assert_frame_equal(log, model.history.epochs, check_index_type=False)
    with pytest.raises(ValueError, match="val_loss"):
        model.fit(
            tones(), validation_data=tones(), epochs=1, callbacks=[nn.CSVLogger(tmp_path / "log.csv")], progress=False
        )
    assert len(pd.read_csv(tmp_path / "log.csv")) == 4


def test_summary_evaluation_and_explanations():
    model, data = network(), tones()
    summary = model.summary()
    assert summary.loc["conv2d_1", "parameters"] == 4 * 9 + 4
    assert summary.loc["total", "parameters"] == sum(array.size for array in model.params.values())
    assert "conv2d_2" in summary._repr_html_()
    model.fit(data, epochs=4, progress=False)
    figures = model.evaluate(data)
    predicted = model.predict(data.clips).argmax(axis=1)
    assert figures["accuracy"] == pytest.approx((predicted == data.labels).mean())

    clip, name = data.clips[0], "class 1"
    saliency = model.saliency(clip, name)
    assert saliency.shape == (13, 32)
    np.testing.assert_allclose(model.saliency(clip, "class 0"), -saliency, rtol=1e-5, atol=1e-9)
    picture = model.feature_maps(clip, "melspectrogram_1")[np.newaxis].astype(np.float64)
    rest = model.layers[1:-1]  # from the picture to the score before the softmax
    direction = np.random.default_rng(0).normal(size=picture.shape)

    def margin(step):
        values = picture + step * direction
        for layer in rest:
            values = layer.forward(values)
        return values[0, 1] - values[0, 0]

    slope = (margin(1e-5) - margin(-1e-5)) / 2e-5
    assert slope == pytest.approx(np.sum(saliency * direction), rel=1e-3)
    assert model.feature_maps(clip, "conv2d_2").shape == model["conv2d_2"].output_shape
    np.testing.assert_allclose(
        model.forward(clip[np.newaxis] / np.float32(32768)), model.predict(clip[np.newaxis]), atol=1e-6
    )


def test_saliency_is_of_a_class_and_the_best_other_one():
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4) ** 2
    for layers in ([nn.Dense(4), nn.Softmax()], [nn.Dense(4)]):
        model = nn.Model(layers, (3,), "abcd")
        model["dense_1"].params["kernel"][...] = kernel
        for clip, best in (([1, 1, 1], 3), ([-1, -1, -1], 0)):
            for number, name in enumerate("abcd"):
                rival = best if number != best else {3: 2, 0: 1}[best]
                expected = kernel[:, number] - kernel[:, rival]
                np.testing.assert_allclose(model.saliency(np.float32(clip), name), expected)
    colours = nn.Model([nn.Flatten(), nn.Dense(2)], (3, 4, 5), "ab")
    assert colours.saliency(np.ones((3, 4, 5), np.float32), "a").shape == (3, 4, 5)
    alone = nn.Model([nn.Dense(1), nn.Softmax()], (3,), ["a"])
    np.testing.assert_array_equal(alone.saliency(np.ones(3, np.float32), "a"), 0)  # nothing alters the decision


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_mistakes_are_named():
    model = network()
    for names, reason in (
        (["a", "a"], "different class names"),
        (["a", None], "class_names=None"),
        (["a", ""], "class_names=''"),
        (None, "class_names=None"),
    ):
        with pytest.raises(ValueError, match=reason):
            nn.Model([nn.Dense(2)], (4,), names)
    for arguments, reason in (
        (([nn.Dense(2)], (), "ab"), "a shape"),
        (([], (2,), "ab"), "at least one layer"),
        ((nn.Dense(2), (3,), "ab"), "a list"),
        (([nn.Dense], (3,), "ab"), "a layer, such as"),
        ((["Dense"], (3,), "ab"), "a layer, such as"),
    ):
        with pytest.raises(ValueError, match=reason):
            nn.Model(*arguments)
    assert nn.Model([nn.Dense(2)], 3, "ab").input_shape == (3,)
    for options, reason in (
        ({"optimizer": "adam"}, "an optimizer, such as"),
        ({"loss": "categorical_crossentropy"}, "a loss, such as"),
        ({"callbacks": ["early"]}, "callbacks from"),
        ({"callbacks": 1}, "a list"),
        ({"validation_data": tones().clips}, "clips and labels. Received: ndarray, NoneType"),
        ({"y": tones()}, "clips and labels. Received: ClipSequence, ClipSequence"),
        ({"validation_data": (tones().clips[:, :9], tones().labels)}, "clips of shape"),
    ):
        with pytest.raises(ValueError, match=reason):
            model.fit(tones(), progress=False, **options)
    assert model.history.batch_rows == []
    loss, identity = nn.CategoricalCrossentropy(), np.eye(3)
    for targets in ([[0], [1], [2]], [0, 1, 2], np.eye(4), np.eye(3)[:2]):
        for function in (loss.forward, loss.forward_scores):
            with pytest.raises(ValueError, match="one-hot targets"):
                function(identity, np.array(targets))
    with pytest.raises(ValueError, match="of one shape"):
        nn.categorical_accuracy(identity, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="not negative"):
        loss.forward(identity - 0.5, identity)
    with pytest.raises(ValueError, match="2 class names"):
        nn.Model([nn.Flatten(), nn.Dense(3)], (4,), ["a", "b"])
    with pytest.raises(ValueError, match=r"data of 2 classes, as the model. Received: 3"):
        model.fit(tones(n_classes=3), progress=False)
    with pytest.raises(ValueError, match=r"data of 2 classes, as the model. Received: 3"):
        model.fit(tones(), validation_data=tones(n_classes=3), progress=False)
    with pytest.raises(ValueError, match=r"clips of shape \(2000,\)"):
        model.predict(np.zeros(2_000, np.float32))
    short = nn.ClipSequence(tones().clips[:, :1_500], tones().labels, 2)
    for use in (model.evaluate, lambda data: model.fit(data, progress=False)):
        with pytest.raises(ValueError, match=r"clips of shape \(2000,\). Received: \(1500,\)"):
            use(short)
    with pytest.raises(ValueError, match=r"16 bit or floating. Received: int32"):
        model.predict(tones().clips.astype(np.int32))
    relu = nn.ReLU()
    with pytest.raises(ValueError, match=r"a layer of its own. Received: ReLU"):
        nn.Model([nn.Dense(3), relu, nn.Dense(2), relu], (4,), ["a", "b"])
    with pytest.raises(ValueError, match=r"a layer of its own. Received: MelSpectrogram"):
        nn.Model([*model.layers[:-2], nn.Dense(3)], (CLIP,), ["a", "b", "c"])
    optimizer = nn.Adam()
    network().fit(tones(), epochs=1, optimizer=optimizer, progress=False)
    with pytest.raises(ValueError, match="a new optimizer, or the model's own"):
        model.fit(tones(), optimizer=optimizer, progress=False)
    with pytest.raises(ValueError, match="class 0, class 1"):
        model.saliency(np.zeros(CLIP, np.float32), "class 9")
    with pytest.raises(KeyError, match="conv2d_9"):
        model.feature_maps(np.zeros(CLIP, np.float32), "conv2d_9")
    with pytest.raises(ValueError, match="learning_rate=-1"):
        nn.RMSprop(-1)
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        model.fit(tones(), epochs=50, optimizer=nn.SGD(1e30), progress=False)
