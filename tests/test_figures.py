"""Every figure is drawn from small data, saved, and searched for what it must show."""

import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

matplotlib.use("agg")

from nn import Dense, FeatureConfig, Flatten, MelSpectrogram, Model, Softmax
from nn.spectrogram import mel_filters
from pipeline.figures import data, diagrams, evaluation, sound, style, sweep, thumbnails, training
from pipeline.learning.networks import dense_network, thesis_network
from pipeline.song import cleaning
from pipeline.studies import experiments, tracing

FEATURES = FeatureConfig()
style.use()


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


@pytest.fixture(autouse=True)
def no_warning_and_no_open_figure(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield
        for number in matplotlib.pyplot.get_fignums():
            matplotlib.pyplot.figure(number).savefig(tmp_path / "figure.png")
    matplotlib.pyplot.close("all")


@pytest.fixture(scope="module")
def tone():
    """Two seconds of A4 with partials, then one of silence."""
    time = np.arange(32_000) / 16_000
    sounding = sum(np.sin(2 * np.pi * 440 * n * time) / n**2 for n in (1, 2, 3)) * np.exp(-time)
    return np.concatenate([0.4 * sounding, np.zeros(16_000)]).astype(np.float32)


@pytest.fixture(scope="module")
def clips_table():
    rows = [("Piano", "performance", "Grand"), ("Other", "instrument", "Harp"), ("Other", "noise", "hum")]
    splits = ["train"] * 8 + ["validation", "test"]
    return pd.DataFrame(
        [
            {
                "label": label,
                "kind": kind,
                "instrument": instrument,
                "source": "package",
                "split": split,
                "recording": f"{kind}{number % 3}",
            }
            for label, kind, instrument in rows
            for number, split in enumerate(splits)
        ]
    )


def test_publish_shows_with_words_and_writes_two_files(tmp_path, tone, monkeypatch):
    shown = []
    monkeypatch.setattr(style, "display", lambda data, raw: shown.append(data))
    style.publish(sound.waveforms({"Tone": tone}), 'A "tone" that fades', "0.1", tmp_path / "new")
    style.publish(sound.waveforms({"Tone": tone}), "Not written", caption="A tone < 1 s")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure-0.1.png", "figure-0.1.svg"]
    with Image.open(tmp_path / "new" / "figure-0.1.png") as picture:
        assert picture.width == style.WIDTH * style.PRINT_DPI
    image = '<img alt="A &quot;tone&quot; that fades" width="700" src="data:image/png;base64,iVBOR'
    assert shown[0]["text/html"].removeprefix('<figure style="margin: 1em 0">').startswith(image)
    assert shown[0]["text/plain"] == 'A "tone" that fades'
    assert "figcaption" not in shown[0]["text/html"]
    assert shown[1]["text/html"].endswith(">A tone &lt; 1 s</figcaption></figure>")
    assert not matplotlib.pyplot.get_fignums()


def test_a_figure_in_256_colours_looks_like_itself(tmp_path):
    figure = sound.mel_spectrogram(-80 * np.random.default_rng(0).random((100, 128)), FEATURES)
    for _ in range(2):  # the layout is at rest from the second time on
        figure.savefig(tmp_path / "whole.png", dpi=style.PRINT_DPI)
    style.save(figure, "0.2", tmp_path)
    matplotlib.pyplot.close(figure)
    with Image.open(tmp_path / "whole.png") as whole, Image.open(tmp_path / "figure-0.2.png") as small:
        assert small.mode == "P"
        assert small.info["dpi"] == pytest.approx((style.PRINT_DPI, style.PRINT_DPI), abs=0.1)
        assert np.abs(np.asarray(whole.convert("RGB"), int) - np.asarray(small.convert("RGB"), int)).max() <= 16


def test_the_same_figure_is_the_same_file(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(style, "display", lambda *_, **__: None)
    for name in ("a", "b"):
        style.publish(sound.waveforms({"Tone": tone}), "A tone", name, tmp_path)
    assert (tmp_path / "figure-a.svg").read_bytes() == (tmp_path / "figure-b.svg").read_bytes()


def test_colours_of_the_classes_differ_in_lightness():
    lightness = [
        np.dot(matplotlib.colors.to_rgb(color), (0.299, 0.587, 0.114)) for color in style.CLASS_COLORS.values()
    ]
    assert abs(lightness[0] - lightness[1]) > 0.05


def test_envelope_figure_marks_what_the_mask_drops(tone):
    figure = sound.envelope_and_mask(tone)
    spans = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(spans) == 1
    left, right = spans[0].get_extents().transformed(figure.axes[0].transData.inverted()).intervalx
    kept = cleaning.mask(tone)
    assert (left, right) == (pytest.approx(kept.sum() / 16_000, abs=1e-3), pytest.approx(3.0, abs=1e-3))


def test_spectrum_names_the_note(tone):
    assert any(text.startswith("A4\n") for text in texts(sound.spectrum(tone[:16_000], 10, FEATURES)))


def test_pictures_of_sound(tone):
    layer = MelSpectrogram()
    layer.build((16_000,), None)
    picture = layer.forward(tone[np.newaxis, :16_000])[0, 0].copy()
    figure = sound.mel_spectrogram(picture, FEATURES)
    assert figure.axes[0].images[0].get_array().shape == (128, 100)
    peak = figure.axes[0].images[0].get_array().mean(axis=1).argmax()
    ticks = dict(zip((label.get_text() for label in figure.axes[0].get_yticklabels()), figure.axes[0].get_yticks()))
    assert ticks["250"] < peak < ticks["500"], "440 Hz lies between the ticks of 250 and 500 Hz"
    sound.mel_gallery({"a": [picture, picture], "b": [picture, picture]}, FEATURES)
    sound.stft(np.abs(np.random.default_rng(0).normal(size=(100, 257))), FEATURES)
    sound.filterbank(mel_filters(FEATURES), FEATURES)
    sound.zoom(tone)


def test_pipeline_diagram_names_functions_and_results(tone):
    clips, _ = cleaning.cut_array(tone)
    steps = [
        (cleaning.mask, "kept", thumbnails.waveform(tone, cleaning.mask(tone))),
        (cleaning.cut_array, "2 clips", thumbnails.stack(clips)),
        (MelSpectrogram.forward, "pictures", thumbnails.pictures(np.zeros((2, 100, 128)))),
        (dense_network, "probabilities", thumbnails.points(np.array([0.1, 0.9]))),
        (thesis_network, "votes", thumbnails.bars({"Piano": 3, "Other": 1})),
        (style.publish, "words", thumbnails.text("end")),
    ]
    found = " ".join(texts(diagrams.pipeline_steps(steps)))
    for words in ("cleaning.mask", "MelSpectrogram.forward", "networks.thesis_network", "2 clips", "end"):
        assert words in found


def test_network_diagrams_show_the_real_shapes():
    model = thesis_network()
    table = texts(diagrams.summary_table(model))
    total = sum(array.size for array in model.params.values())
    assert f"{total:,}" in table
    assert "(16, 25, 32)" in table
    assert {"1×100×128", "32×6×8", "1536", "64", "2"} <= set(texts(diagrams.architecture(model)))


def test_data_flow_has_a_gradient_for_every_trained_layer():
    model, rng = thesis_network(), np.random.default_rng(0)
    before = {name: array.copy() for name, array in model.params.items()}
    flow = tracing.trace(
        model, rng.normal(0, 0.1, (4, 16_000)).astype(np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    )
    assert list(flow.index) == [layer.name for layer in model.layers]
    assert (flow["output"] > 0).all()
    assert list(flow["parameter gradient"].notna()) == [layer.n_parameters > 0 for layer in model.layers]
    assert np.isnan(flow["input gradient"].iloc[0])
    assert (flow["input gradient"].iloc[1:] > 0).all()
    assert all(np.array_equal(before[name], array) for name, array in model.params.items())
    assert "conv2d_3" in texts(diagrams.data_flow(model, flow, flow))


def test_dead_units_are_zero_for_every_clip():
    model = dense_network(sound="samples", units=(8, 4))
    clips = np.random.default_rng(0).normal(0, 0.1, (50, 16_000)).astype(np.float32)
    model["dense_1"].params["bias"][:2] = -1e6
    model["dense_2"].params["bias"][:] = -1e6
    assert tracing.dead_units(model, clips) == {"relu_1": 0.25, "relu_2": 1.0}


def test_occlusion_finds_the_part_that_decides():
    """A network that only looks at the loudness of one corner of the picture."""
    layers = [MelSpectrogram(), Flatten(), Dense(2), Softmax()]
    model = Model(layers, (16_000,), ("a", "b"))
    weights = np.zeros((100, 128, 2), np.float32)
    weights[20:30, 64:80, 0] = 1e-3
    model["dense_1"].params["kernel"][...] = weights.reshape(model["dense_1"].params["kernel"].shape)
    clip = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    found = tracing.occlusion(model, clip, "a")
    assert found.shape == (100, 128)
    assert np.unravel_index(found.argmax(), found.shape) >= (20, 64)
    assert found[20:30, 64:80].mean() > 4 * abs(found[60:, :32]).mean()
    assert np.allclose(tracing.occlusion(model, clip, "b"), -found, atol=1e-3)


@pytest.fixture(scope="module")
def trained():
    """Runs of two networks from two seeds, with an invented history."""
    runs = []
    for name, final in (("good", 0.9), ("bad", 0.5)):
        experiment = experiments.Experiment(name, None, (0, 1))
        for seed in experiment.seeds:
            model = dense_network(seed=seed, sound="samples")
            accuracies = np.linspace(0.5, final, 60) + 0.01 * seed
            model.history.batch_rows = [(1 + n // 30, n % 30, 1 - a, a) for n, a in enumerate(accuracies)]
            model.history.epoch_rows = [
                {"loss": 0.5, "accuracy": final, "seconds": 1.0, "val_loss": 0.5, "val_accuracy": final + 0.02 * epoch}
                for epoch in (0, 1)
            ]
            runs.append(experiments.Run(experiment, model, np.zeros((2, 4))))
    return runs


def test_curves_show_every_seed_thin_and_their_mean_thick(trained):
    curves, epochs = experiments.curves(trained), experiments.epochs(trained)
    assert len(epochs) == 8
    assert set(epochs["epoch"]) == {1, 2}
    assert curves["epoch"].between(0, 2).all()
    figure = training.learning_curves(curves, epochs, "accuracy", highlight=["good"])
    first, second, mean, *others = figure.axes[0].lines
    assert first.get_linewidth() == second.get_linewidth() < mean.get_linewidth()
    assert mean.get_color() != others[0].get_color() == style.GREY
    assert mean.get_ydata()[-1] == pytest.approx(0.905, abs=0.01), "the mean of two seeds that end at 0.90 and 0.91"
    assert {"good", "bad", "chance level"} <= set(texts(figure)), "names beside the lines"
    training.learning_curves(curves, epochs, "loss")
    dots, *_ = training.batch_accuracies(trained[2].model.history.batches).axes[0].lines
    assert len(dots.get_ydata()) == 60


def test_names_beside_lines_keep_a_distance():
    ax = matplotlib.pyplot.subplots()[1]
    ax.set_ylim(0, 1)
    training._label_ends(ax, 1, {f"line {n}": (0.5 + 0.001 * n, "black") for n in range(4)})
    heights = sorted(text.xy[1] for text in ax.texts)
    assert np.diff(heights).min() > 0.07


def test_intervals_and_shifts_are_drawn_as_they_are():
    rows = pd.DataFrame(
        {"name": ["a", "b"], "group": ["x", "y"], "value": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.6, 0.8]}
    )
    figure = training.intervals(rows, "Accuracy", chance=0.5)
    assert {"a", "b", "70.0 (60.0 to 80.0)"} <= set(texts(figure))
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [0.4, 0.5, 0.6, 0.7, 0.5]
    shifts = [("net", seed, kind, by, 0.5, 0.9) for seed in (0, 1) for kind in ("frames", "semitones") for by in (0, 1)]
    table = pd.DataFrame(shifts, columns=["network", "seed", "shift", "by", "accuracy", "kept"])
    assert "net" in texts(training.shifts(table))


def test_figures_of_a_trained_network(trained):
    model = thesis_network()
    training.filters(model["conv2d_1"].params["kernel"])
    clip = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    maps = {name: model.feature_maps(clip, name) for name in ("relu_1", "relu_5")}
    figure = training.feature_maps(model.feature_maps(clip, "melspectrogram_1")[0], maps, FEATURES)
    assert len(figure.findobj(matplotlib.image.AxesImage)) == 1 + 2 * 8
    costs = experiments.epochs(trained).assign(milliseconds=10.0)
    training.efficiency(costs)


def test_distribution_counts_every_clip(clips_table):
    figure = data.distribution(clips_table)
    assert {"10", "20", "train 16"} <= set(texts(figure))
    data.by_source(clips_table)
    assert any("2 recordings" in text or "6 recordings" in text for text in texts(data.by_recording(clips_table)))


def test_figures_of_a_sweep():
    rng, n = np.random.default_rng(0), 12
    trials = pd.DataFrame(
        {
            "value": rng.random(n),
            "state": ["COMPLETE", "PRUNED"] * (n // 2),
            "filter_shape": ["3x3", "7x7"] * (n // 2),
            "depth": [2, 3, 4] * (n // 3),
            "learning_rate": 10 ** rng.uniform(-4, -2, n),
        }
    )
    assert "best so far" in texts(sweep.history(trials))
    sweep.importance({"depth": 0.7, "learning_rate": 0.3}, 21)
    figure = sweep.parallel_coordinates(trials, ["filter_shape", "depth", "learning_rate"])
    assert {"3x3", "7x7", "4"} <= set(texts(figure))
    assert len(figure.axes[0].lines) == n + 4, "a line a trial and one for each axis"
    sweep.finalists(pd.DataFrame({"network": ["a", "a", "b"], "test_accuracy": [0.8, 0.9, 0.85]}))


def test_figures_of_an_evaluation():
    rng = np.random.default_rng(0)
    is_piano = np.arange(60) % 2 == 0
    score = np.clip(0.6 * is_piano + rng.uniform(0, 0.4, 60), 0, 1)
    left, right = evaluation.thresholds(is_piano, score, chosen=0.55).axes
    false_positives, true_positives = left.lines[2].get_xydata()[0]
    assert (false_positives, true_positives) == (0, 1), "0.55 divides these scores without a mistake"
    recall = next(line for line in right.lines if line.get_label() == "recall")
    assert recall.get_ydata()[0] == 1
    assert recall.get_ydata()[-1] < 1
    bins = pd.DataFrame({"probability": [0.2, 0.8], "frequency": [0.1, 0.9], "n": [40, 20], "low": 0.05, "high": 0.95})
    assert any("0.100" in text for text in texts(evaluation.reliability(bins, 0.1)))
    shares = pd.DataFrame({"label": ["Piano", "Other"], "n": [10, 1200], "share": [0.9, 0.05]}, index=["Grand", "Harp"])
    drawn = evaluation.shares(shares.assign(low=shares["share"] - 0.05, high=shares["share"] + 0.05))
    assert {"Harp  (1,200)", "5.0%"} <= set(texts(drawn))
    case = ("Harp", -80 * rng.random((100, 128)), rng.normal(size=(100, 128)))
    for n_cases in (1, 5):
        shown = [text for text in texts(evaluation.mistakes([case] * n_cases, FEATURES)) if text == "Harp"]
        assert len(shown) == n_cases
    tried = pd.DataFrame({"variant": ["recognizer", "narrow recognizer"], "clips": ["all", "33602"]})
    tried = tried.assign(released=[True, False], recordings_clips_auc=[0.98, 0.97])
    assert {"network", "narrow network"} <= set(texts(evaluation.screening(tried)))
    rows = {
        name: {
            f"{figure}{end}": value
            for figure in ("balanced_accuracy", "f1", "auc")
            for end, value in (("", 0.8), ("_low", 0.7), ("_high", 0.9))
        }
        for name in ("a", "b")
    }
    figure = evaluation.comparison(pd.DataFrame(rows).T)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Balanced accuracy", "F1 of piano", "AUC"]
    counts = pd.DataFrame([[8, 2], [0, 0]], ["Harp", "Flute"], ["Harp", "Flute"])
    matrix = evaluation.confusion(counts).axes[0]
    assert matrix.images[0].get_array().tolist() == [[0.8, 0.2], [0, 0]]
    assert {text.get_text() for text in matrix.texts} == {"8", "2"}


def test_what_was_scraped_counts_songs_by_label_and_family():
    songs = pd.DataFrame(
        {
            "label": ["Piano", "Piano", "Other", "Other", "Other"],
            "family": ["solo piano", "solo piano", "harp", "harp", "violin"],
            "seconds": [3600, np.nan, 10, 10, np.nan],
            "error": [None, "private", None, None, "unavailable"],
        }
    )
    left, right = data.scraped(songs).axes
    assert [bar.get_height() for bar in left.patches] == [1, 1, 2, 1]
    assert [text.get_text() for text in left.texts] == ["1 came, 1.0 h\n1 gone", "2 came, 0.0 h\n1 gone"]
    assert [bar.get_width() for bar in right.patches] == [0, 2, 1, 0]


def test_disagreements_are_strips_of_seconds():
    figure = evaluation.disagreements(["a", "b"], ["Piano", "Other"], [np.array([0.2, 0.9]), np.full(4, 0.7)])
    assert [ax.patches[0].get_data().values.tolist() for ax in figure.axes] == [[0.2, 0.9], [0.7] * 4]
