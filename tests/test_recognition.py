"""From a source to a label, with the model and the songs that ship."""

import io
import json
from collections import Counter
from types import SimpleNamespace

import media
import numpy as np
import pytest
import soundfile
from youtube import LoopbackYouTube

from nn import Dense, Flatten, MelSpectrogram, Model, ModelFileError, Softmax
from pipeline import Recognizer
from pipeline.errors import AudioError, LinkError, SourceError
from pipeline.song.audio import SAMPLE_RATE, load
from pipeline.song.cleaning import Clips, cut
from pipeline.song.recognition import MODEL_PATH, Failure, Recognition, _draw

SAMPLES = MODEL_PATH.parent / "samples"
SONGS = sorted(path for path in SAMPLES.iterdir() if path.stem.startswith(("piano-", "other-")))


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


@pytest.mark.parametrize("path", SONGS, ids=lambda path: path.name)
def test_every_sample_song_gets_the_label_in_its_name(recognizer, path):
    result = recognizer.recognize(str(path))
    assert result.label.lower() == path.stem.split("-")[0]
    assert result.label == max(result.votes, key=result.votes.get)
    assert result.confidence == result.probabilities[result.label]
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert len(result.timeline) == int(np.ceil(result.seconds))


def test_the_samples_hold_what_the_first_run_should_show():
    kinds = Counter(path.stem.split("-")[0] for path in SONGS)
    assert kinds["piano"] >= 3
    assert kinds["other"] >= 5
    for path in SONGS:
        assert 9.5 <= len(load(path)) / SAMPLE_RATE <= 60.5


def test_the_timeline_is_what_the_model_says_of_each_second(recognizer):
    samples = load(SONGS[-1])
    clips = cut([samples])
    result = recognizer.judge(clips)
    heard = [clip.samples for clip in cut([samples])]
    piano = recognizer.model.predict(np.stack(heard))[:, recognizer.class_names.index("Piano")]
    expected = [None if index < 0 else pytest.approx(piano[index], abs=1e-5) for index in clips.timeline()]
    assert result.timeline == expected
    loudness, odds = np.sqrt(np.mean(np.square(heard), axis=1)), np.clip(piano, 1e-4, 1 - 1e-4)
    score = (np.log(odds / (1 - odds)) * loudness).sum() / loudness.sum()
    assert result.piano_probability == pytest.approx(1 / (1 + np.exp(-score)), abs=1e-4)
    assert abs(result.piano_probability - piano.mean()) > 1e-3
    assert sum(result.probabilities.values()) == pytest.approx(1)
    assert result.votes["Piano"] == (piano > recognizer.threshold).sum()


def noise(seconds):
    return cut([np.random.default_rng(0).uniform(-0.3, 0.3, seconds * SAMPLE_RATE).astype(np.float32)])


@pytest.mark.parametrize(
    ("piano", "label"), [([0.6, 0.6, 0.01], "Piano"), ([0.9, 0.4], "Piano"), ([0.6, 0.1], "Other")]
)
def test_most_clips_decide_and_where_they_are_even_the_mean(recognizer, monkeypatch, piano, label):
    monkeypatch.setattr(
        recognizer, "model", SimpleNamespace(predict=lambda clips: np.transpose([piano, np.subtract(1, piano)]))
    )
    result = recognizer.judge(noise(len(piano)))
    assert result.label == label
    assert result.confidence == result.probabilities[label]


def test_a_clip_votes_for_piano_above_the_threshold_of_the_model_only(tmp_path):
    model = Model.load(MODEL_PATH)
    model.metadata["threshold"] = 0.7
    model.save(tmp_path / "strict.npz")
    strict = Recognizer(tmp_path / "strict.npz")
    strict.class_names = ["Piano", "Violin", "Flute"]
    strict.model = SimpleNamespace(
        predict=lambda clips: np.array([[0.6, 0.1, 0.3], [0.8, 0.1, 0.1], [0.4, 0.35, 0.25]])
    )
    assert strict.judge(noise(3)).votes == {"Piano": 1, "Violin": 1, "Flute": 1}


@pytest.mark.parametrize("path", SONGS, ids=lambda path: path.name)
def test_the_answer_does_not_depend_on_the_volume(recognizer, tmp_path, path):
    samples = load(path)[: 12 * SAMPLE_RATE]
    expected = recognizer.judge(cut([samples]))
    for decibels in (-30, -70, 30, 90):  # 90 makes integers of 16 bits
        louder = samples * np.float32(10 ** (decibels / 20))
        soundfile.write(tmp_path / "song.wav", louder, SAMPLE_RATE, "FLOAT")
        answer = recognizer.recognize(str(tmp_path / "song.wav"))
        assert answer.label == expected.label, decibels
        assert answer.piano_probability == pytest.approx(expected.piano_probability, abs=0.03)


def test_a_song_that_was_cut_short_says_so(recognizer, tmp_path):
    whole = tmp_path / "song.wav"
    soundfile.write(whole, load(SONGS[-1])[: 6 * SAMPLE_RATE], SAMPLE_RATE)
    assert "cut_short" not in recognizer.recognize(str(whole)).to_dict()
    result = recognizer.recognize(str(media.cut(whole, 0.5)))
    assert (result.label, result.cut_short, result.to_dict()["cut_short"]) == ("Piano", True, True)
    assert result.seconds == pytest.approx(3, abs=0.1)


def test_a_song_with_a_pause_has_null_where_it_is_silent(recognizer):
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32) / 4
    song = np.concatenate([tone, np.zeros(3 * SAMPLE_RATE, np.float32), tone])
    timeline = recognizer.judge(cut([song])).timeline
    assert [value is None for value in timeline] == [False, False, True, True, True, False, False]


def test_a_drawn_sample_votes_and_the_seed_fixes_it(recognizer):
    path = str(SONGS[0])
    first, again, other = (recognizer.recognize(path, n_clips=5, seed=seed) for seed in (3, 3, 4))
    assert sum(first.votes.values()) == 5
    assert first.to_dict() == again.to_dict()
    assert first.timeline != other.timeline
    assert sum(value is not None for value in first.timeline) >= 4


def test_more_clips_than_the_song_has_are_all_of_them(recognizer):
    path = str(SONGS[0])
    assert recognizer.recognize(path, n_clips=10_000).votes == recognizer.recognize(path).votes


def test_every_clip_is_drawn_as_often_as_any_other():
    counts = Counter(index for seed in range(3000) for index, _ in _draw(iter("abcdefghij"), 3, seed))
    assert set(counts) == set(range(10))
    assert all(abs(count - 900) < 5 * np.sqrt(900 * 0.7) for count in counts.values())


def test_sources_go_on_after_one_that_fails(recognizer, tmp_path):
    (tmp_path / "text.mp3").write_text("this is no sound")
    results = list(recognizer.recognize_each([str(tmp_path / "text.mp3"), str(tmp_path / "none.wav"), str(SONGS[0])]))
    assert [getattr(getattr(result, "error", None), "kind", None) for result in results] == [
        "not_audio",
        "missing",
        None,
    ]
    assert isinstance(results[0], Failure)
    assert isinstance(results[0].error, AudioError)


@pytest.mark.parametrize(
    "source", ["none.wav", "/no/songs", "data/sample", "my.folder/songs", "voice.amr", "x" * 3000, "vimeo.com/1"]
)
def test_what_is_neither_here_nor_a_link_is_taken_for_a_path(recognizer, source):
    with pytest.raises(SourceError, match="is neither a file or folder here nor a link of YouTube") as error:
        recognizer.recognize(source)
    assert error.value.kind == "missing"
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("https://vimeo.com/1", "other_site"),
        ("file:///song.wav", "not_a_link"),
        ("youtu.be/short", "not_a_video"),
    ],
)
def test_what_wants_to_be_a_link_is_told_so(recognizer, source, kind):
    with pytest.raises(LinkError) as error:
        recognizer.recognize(source)
    assert error.value.kind == kind


def test_cookies_that_can_be_read_once_do_for_every_link(recognizer):
    cookies = io.TextIOWrapper(
        io.BytesIO(b"# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\tsecret\n")
    )
    with LoopbackYouTube({"aaaaaaaaaaa": SONGS[0], "bbbbbbbbbbb": SONGS[1]}, {"PLsongs": ["bbbbbbbbbbb"]}) as youtube:
        sources = ["youtu.be/aaaaaaaaaaa", "youtube.com/playlist?list=PLsongs"]
        results = list(recognizer.recognize_each(sources, n_clips=1, cookies=cookies, ydl_factory=youtube.ydl_factory))
    assert [type(result) for result in results] == [Recognition, Recognition]


def test_an_answer_survives_json(recognizer):
    result = recognizer.recognize(str(SONGS[0])).to_dict()
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {
        "source",
        "label",
        "confidence",
        "probabilities",
        "votes",
        "seconds",
        "piano_probability",
        "timeline",
        "segments",
    }


def test_memory_is_not_held_for_a_long_song(recognizer):
    """The clips come from a generator of which one block exists at a time."""
    alive = 0

    def blocks():
        nonlocal alive
        rng = np.random.default_rng(0)
        for _ in range(60):
            alive += 1
            yield rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)

    clips = Clips(blocks)
    first = next(iter(clips))
    assert first.samples.shape == (SAMPLE_RATE,)
    assert alive <= 3
    assert sum(recognizer.judge(Clips(blocks)).votes.values()) == 60


def test_the_released_model_is_small():
    assert MODEL_PATH.stat().st_size < 5_000_000


def test_a_model_for_other_clips_is_refused(tmp_path):
    Model([Dense(2), Softmax()], (8_000,), ("Piano", "Other")).save(tmp_path / "half.npz")
    with pytest.raises(ModelFileError, match="give a model for one second"):
        Recognizer(tmp_path / "half.npz")
    layers = [MelSpectrogram(sample_rate=8_000, f_max=4_000), Flatten(), Dense(2), Softmax()]
    Model(layers, (16_000,), ("Piano", "Other")).save(tmp_path / "slow.npz")
    with pytest.raises(ModelFileError, match="takes sound of 8,000 Hz; give a model for 16,000"):
        Recognizer(tmp_path / "slow.npz")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04\x95pickle", b"PK\x03\x04cut short"])
def test_a_bad_model_file_is_refused_in_words(tmp_path, content):
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match="model"):
        Recognizer(path)
