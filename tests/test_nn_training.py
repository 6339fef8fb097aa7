"""Training as a whole: it learns, it is repeatable to the bit, and it goes on where it stopped."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

import nn
from nn.parallel import set_threads

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
    history = model.fit(tones(192, n_classes), tones(96, n_classes, 1), 6, optimizer, progress=False)
    assert list(history.epochs) == ["loss", "accuracy", "seconds", "val_loss", "val_accuracy"]
    assert list(history.batches) == ["epoch", "batch", "loss", "accuracy"]
    assert len(history.batches) == 6 * 12
    assert history.epochs.val_accuracy.iloc[-1] > 0.95
    probabilities = model.predict(tones(n_classes=n_classes).clips)
    assert probabilities.shape == (96, n_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


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
    history = model.fit(data, tones(seed=1), epochs=5, progress=False)
    assert len(history.epochs) == 1
    assert 6 < len(history.batches) < 12
    assert signal.getsignal(signal.SIGINT) is before
    assert all(np.isfinite(array).all() for array in weights(model).values())
    model.fit(tones(), epochs=1, progress=False)  # and it can go on
    assert len(history.epochs) == 2


def test_class_weights():
    scores = np.random.default_rng(0).normal(size=(6, 3))
    targets = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    plain, weighted = nn.CategoricalCrossentropy(), nn.CategoricalCrossentropy([1, 10, 0])
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
    class Recorder(nn.callbacks.Callback):
        steps = []

        def on_batch_end(self, model):
            self.steps.append({key: array.copy() for key, array in weights(model).items()})

    model, average = network(), network()
    model.fit(tones(), epochs=1, callbacks=[nn.MovingAverage(average, n_steps=3), Recorder()], progress=False)
    assert len(Recorder.steps) == 6
    for key, array in weights(average).items():
        expected = Recorder.steps[0][key]
        for number, step in enumerate(Recorder.steps[1:], start=2):
            expected = expected + (step[key] - expected) / min(number, 3)
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6, err_msg=key)
    assert any((array != model.params[key]).any() for key, array in average.params.items())


class Scripted(nn.callbacks.Callback):
    """Writes figures of its own into the rows that the callbacks after it read."""

    def __init__(self, values):
        self.values = list(values)

    def on_epoch_end(self, model, epoch, row):
        row["val_loss"] = self.values[epoch]


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
        model.fit(tones(), tones(), epochs=1, callbacks=[nn.CSVLogger(tmp_path / "log.csv")], progress=False)
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
    picture = model.feature_maps(clip, "melspectrogram_1")[np.newaxis].astype(np.float64)
    rest = model.layers[1:-1]  # from the picture to the score before the softmax
    direction = np.random.default_rng(0).normal(size=picture.shape)

    def score(step):
        values = picture + step * direction
        for layer in rest:
            values = layer.forward(values)
        return values[0, 1]

    slope = (score(1e-5) - score(-1e-5)) / 2e-5
    assert slope == pytest.approx(np.sum(saliency * direction), rel=1e-3)
    assert model.feature_maps(clip, "conv2d_2").shape == model["conv2d_2"].output_shape
    np.testing.assert_allclose(
        model.forward(clip[np.newaxis] / np.float32(32768)), model.predict(clip[np.newaxis]), atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_mistakes_are_named():
    model = network()
    with pytest.raises(ValueError, match="2 class names"):
        nn.Model([nn.Flatten(), nn.Dense(3)], (4,), ["a", "b"])
    with pytest.raises(ValueError, match="data of 2 classes, as the model. Received: 3"):
        model.fit(tones(n_classes=3), progress=False)
    with pytest.raises(ValueError, match="data of 2 classes, as the model. Received: 3"):
        model.fit(tones(), tones(n_classes=3), progress=False)
    with pytest.raises(ValueError, match=r"clips of shape \(2000,\)"):
        model.predict(np.zeros(2_000, np.float32))
    short = nn.ClipSequence(tones().clips[:, :1_500], tones().labels, 2)
    for use in (model.evaluate, lambda data: model.fit(data, progress=False)):
        with pytest.raises(ValueError, match=r"clips of shape \(2000,\). Received: \(1500,\)"):
            use(short)
    with pytest.raises(ValueError, match="16 bit or floating. Received: int32"):
        model.predict(tones().clips.astype(np.int32))
    relu = nn.ReLU()
    with pytest.raises(ValueError, match="a layer of its own. Received: ReLU"):
        nn.Model([nn.Dense(3), relu, nn.Dense(2), relu], (4,), ["a", "b"])
    with pytest.raises(ValueError, match="a layer of its own. Received: MelSpectrogram"):
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
