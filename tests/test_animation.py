"""The two animations: the committed clips are sound and loop, and their keys are the notes of the note list.

What needs Blender is checked in its own environment, by figures/animation/check_scenes.py.
"""

from pathlib import Path

import av
import numpy as np
import pytest

from figures.animation import encode, keyboard, rhythm, score

FIGURES = Path(__file__).resolve().parents[1] / "figures"
CLIPS = [(name, ending) for name in encode.LENGTH for ending in encode.CODECS]
each_clip = pytest.mark.parametrize(("name", "ending"), CLIPS)
each_name = pytest.mark.parametrize("name", encode.LENGTH)


def read_frames(name, ending="mp4", width=320, height=180):
    """All frames of a clip as float32 (frames, height, width, 3) in 0..1."""
    with av.open(str(FIGURES / f"{name}.{ending}")) as clip:
        return (
            np.stack(
                [frame.to_ndarray(format="rgb24", width=width, height=height) for frame in clip.decode(video=0)]
            ).astype(np.float32)
            / 255
        )


@pytest.fixture(scope="module", params=encode.LENGTH)
def frames(request):
    return read_frames(request.param)


def neighbour_differences(frames):
    """Mean difference of each frame from the one before; the first is compared with the last."""
    return np.array([np.abs(frames[i] - frames[i - 1]).mean() for i in range(len(frames))])


def flicker(frames):
    """How much pixels jump to and fro: the middle of three frames against the mean of its neighbours, where nothing
    moves (the calmest half of the picture)."""
    still = np.abs(np.diff(frames, axis=0)).mean(axis=(0, 3))
    calm = still <= np.median(still)
    return np.abs(frames[1:-1] - (frames[:-2] + frames[2:]) / 2)[:, calm].mean()


@each_clip
def test_format_length_and_size(name, ending):
    path = FIGURES / f"{name}.{ending}"
    with av.open(str(path)) as clip:
        video = clip.streams.video[0]
        assert [stream.type for stream in clip.streams] == ["video"]
        assert video.codec_context.codec.canonical_name == {"mp4": "h264", "webm": "vp9"}[ending]
        assert video.codec_context.pix_fmt == "yuv420p"
        assert video.average_rate == score.FPS
        assert video.width >= 640
        assert video.height >= 360
        assert video.width % 2 == video.height % 2 == 0
        times = [frame.time for frame in clip.decode(video)]
    assert len(times) == encode.LENGTH[name] >= 6 * score.FPS
    assert np.allclose(np.diff(times), 1 / score.FPS, atol=0.002)
    assert path.stat().st_size < 2_000_000


@each_name
def test_the_mp4_starts_before_it_is_loaded(name):
    content = (FIGURES / f"{name}.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@each_name
def test_the_poster_is_a_frame_of_the_clip(name):
    with av.open(str(FIGURES / f"{name}-poster.jpg")) as picture:
        poster = next(picture.decode(video=0)).to_ndarray(format="rgb24", width=320, height=180) / 255
    difference = np.abs(read_frames(name) - poster).mean(axis=(1, 2, 3))
    assert difference.min() < 0.02
    assert (FIGURES / f"{name}-poster.jpg").stat().st_size < 150_000


@each_name
def test_both_formats_show_the_same(name):
    mp4, webm = read_frames(name), read_frames(name, "webm")
    assert np.abs(mp4 - webm).mean() < 0.02


def test_every_frame_moves_but_none_jumps(frames):
    differences = neighbour_differences(frames)[1:]
    assert differences.min() > 0.002
    assert differences.max() < 0.06


def loop_closes(frames, first):
    """From the last frame to the first the picture changes no more than it does from beat to beat within the clip."""
    return np.abs(first - frames[-1]).mean() <= 1.15 * neighbour_differences(frames)[1:].max()


def test_the_loop_closes(frames):
    assert loop_closes(frames, frames[0])
    assert not loop_closes(frames, np.roll(frames[0], 4, axis=1)), "a picture that jumps aside must not pass"


def test_a_piece_of_the_piano_clip_is_no_loop():
    frames = read_frames("piano")
    assert not any(loop_closes(frames[:length], frames[0]) for length in range(36, score.FRAMES - 12, 12))


def test_nothing_flickers(frames):
    assert flicker(frames) < 0.004
    noise = np.random.default_rng(0).normal(0, 0.02, frames.shape).astype(np.float32)
    assert flicker(frames + noise) > 0.004, "a noisy clip must not pass"


@pytest.mark.parametrize("hand", ["left", "right"])
def test_the_keys_in_the_clip_light_up_when_the_list_says_so(hand):
    """The keys fill the picture's lowest quarter; the left hand's light is blue, the right hand's red."""
    keys = read_frames("piano")[:, 135:]
    tint = (keys[..., 2] - keys[..., 0]) * (1 if hand == "left" else -1)
    light = np.clip(tint - np.median(tint, axis=0), 0, None).mean(axis=(1, 2))
    pressed = np.array(
        [
            sum(keyboard.note_depth(note, frame) for note in score.NOTES if note.hand == hand)
            for frame in range(score.FRAMES)
        ]
    )
    half = score.FRAMES_PER_SIXTEENTH // 2
    early, right, late = (np.corrcoef(light, np.roll(pressed, shift))[0, 1] for shift in (-half, 0, half))
    assert right > 0.6
    assert right > 0.1 + max(early, late), "half a sixteenth too early or too late must fit worse"


def test_names_of_notes():
    assert [score.midi_number(name) for name in ("A0", "C4", "A4", "D#5", "C8")] == [21, 60, 69, 75, 108]


def test_the_passage_is_fuer_elise():
    """Its first nine notes, and both hands striking together where the theme comes to rest."""
    names = {76: "E", 75: "D#", 71: "B", 74: "D", 72: "C", 69: "A"}
    right = [note for note in score.NOTES if note.hand == "right"]
    assert [names[note.key] for note in right[:7]] == ["E", "D#", "E", "B", "D", "C", "A"]
    assert [note.key for note in score.NOTES if note.start == right[6].start] == [45, 69]
    assert all(len(bar[hand].split()) == 6 for bar in score.BARS for hand in range(3))


def test_a_key_is_down_while_its_note_sounds_and_no_other_key_moves():
    played = {note.key for note in score.NOTES}
    for frame in range(score.FRAMES):
        for note in score.NOTES:
            if note.start <= frame < note.start + note.length:
                assert keyboard.key_depth(note.key, frame) >= 0.8
    for key in set(keyboard.KEYS) - played:
        assert max(keyboard.key_angle(key, frame) for frame in range(score.FRAMES)) == 0


def test_each_note_is_one_stroke():
    for key in {note.key for note in score.NOTES}:
        down = np.array([keyboard.key_depth(key, frame) > 0.5 for frame in range(score.FRAMES)])
        strokes = np.count_nonzero(down & ~np.roll(down, 1))
        assert strokes == sum(note.key == key for note in score.NOTES)


def test_a_loud_note_goes_deeper_and_faster():
    soft, loud = (score.Note(60, 50, 10, velocity, "left") for velocity in (0.2, 0.9))
    assert keyboard.note_depth(loud, 55) > keyboard.note_depth(soft, 55)
    assert keyboard.note_depth(soft, 48) > 0 == keyboard.note_depth(loud, 48)


def test_keys_and_rhythm_go_round_without_a_step():
    for key in {note.key for note in score.NOTES}:
        assert keyboard.key_angle(key, 0) == keyboard.key_angle(key, score.FRAMES)
        assert abs(keyboard.key_angle(key, -0.01) - keyboard.key_angle(key, score.FRAMES - 0.01)) < 1e-12
    for instrument in rhythm.PATTERN:
        assert rhythm.pulse(instrument, 5) == rhythm.pulse(instrument, 5 + rhythm.FRAMES)
    for band in range(44):
        assert rhythm.level(band, 44, 7) == pytest.approx(rhythm.level(band, 44, 7 + rhythm.FRAMES))


def test_the_keyboard_is_a_piano_keyboard():
    assert len(keyboard.KEYS) == 88
    assert len(keyboard.WHITES) == 52
    places = [keyboard.key_x(key) for key in keyboard.KEYS]
    assert places == sorted(places)
    assert places[0] == pytest.approx(-places[-1])
    assert places[-1] - places[0] == pytest.approx(51 * keyboard.WHITE_WIDTH)


@pytest.mark.parametrize("instruments", [rhythm.LEFT_HAND, rhythm.RIGHT_HAND])
def test_sticks_meet_their_drums_at_every_hit(instruments):
    places = {name: (float(i), 0.0, 0.0) for i, name in enumerate(instruments)}
    for frame, _, name in rhythm.hand_hits(instruments):
        assert rhythm.stick_tip(instruments, places, frame) == pytest.approx(places[name])
    assert all(len(bar) == rhythm.STEPS_PER_BAR for bars in rhythm.PATTERN.values() for bar in bars)
    assert len({frame for frame, *_ in rhythm.hand_hits(instruments)}) == len(rhythm.hand_hits(instruments))
