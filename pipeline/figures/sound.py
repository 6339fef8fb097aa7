"""Figures of sound: samples, envelope and mask, spectra, mel filters and mel spectrograms."""

import itertools

import librosa
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from pipeline.figures.style import BLUE, DARK, GREY, ORANGE, WIDTH
from pipeline.song import cleaning
from pipeline.song.audio import SAMPLE_RATE

N_PEAKS = 5  # of a spectrum that are named
HZ_TICKS = (250, 500, 1000, 2000, 4000)


def waveforms(songs):
    """Samples over time of several sounds, a row each. `songs`: dict of name to float array (n,)."""
    figure, axes = plt.subplots(len(songs), 1, figsize=(WIDTH, 1.05 * len(songs) + 0.4), sharex=True, squeeze=False)
    for ax, (name, samples) in zip(axes[:, 0], songs.items()):
        draw_samples(ax, samples)
        peak = np.abs(samples).max()
        ax.set(ylim=(-1.05 * peak, 1.05 * peak), title=name)
    ax.set(xlabel="Time (s)", xlim=(0, max(len(samples) for samples in songs.values()) / SAMPLE_RATE))
    figure.supylabel("Amplitude", fontsize=9)
    return figure


def zoom(samples):
    """The same sound at three scales: all of it, a tenth of a second, and 5 ms, where single samples show."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.1))
    loudest, whole = int(np.argmax(cleaning.envelope(samples))), len(samples) / SAMPLE_RATE
    for ax, seconds in zip(axes, (whole, 0.1, 0.005)):
        start = 0 if seconds == whole else max(loudest - int(seconds * SAMPLE_RATE / 2), 0)
        part = samples[start : start + int(seconds * SAMPLE_RATE)]
        time = (start + np.arange(len(part))) / SAMPLE_RATE
        marker = {"marker": "o", "markersize": 2.5} if len(part) < 200 else {}
        ax.plot(time, part, color=BLUE, linewidth=0.6, rasterized=len(part) > 20_000, **marker)
        title = f"{seconds:g} s" if seconds >= 0.1 else f"{1000 * seconds:g} ms"
        ax.set(xlabel="Time (s)", title=title, xlim=(time[0], time[-1]))
        ax.xaxis.set_major_locator(plt.MaxNLocator(3))
    axes[0].set_ylabel("Amplitude")
    return figure


def envelope_and_mask(samples):
    """The sound envelope, also in decibels, with its threshold and the parts that the mask drops."""
    envelope, threshold = cleaning.envelope(samples), cleaning.THRESHOLD
    time = np.arange(len(samples)) / SAMPLE_RATE
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 3.8), sharex=True)
    draw_samples(top, samples, color=GREY, label="samples")
    step = slice(None, None, 80)  # the envelope is flat for 50 ms at a time
    level = 20 * np.log10(np.maximum(envelope[step], 1e-5))
    top.plot(time[step], envelope[step], color=ORANGE, linewidth=1.1, label="envelope")
    bottom.plot(time[step], level, color=ORANGE, linewidth=1.1, label="envelope")
    words = f"threshold {threshold * 32768:.0f}/32768"
    bottom.axhline(20 * np.log10(threshold), color=BLUE, linestyle="--", label=words)
    look = {"facecolor": "#dddddd", "hatch": "///", "edgecolor": "white", "zorder": 0}
    for ax in (top, bottom):
        for start, stop in dropped(cleaning.mask(samples)):
            ax.axvspan(start, stop, label="dropped by the mask", **look)
    peak = 1.1 * np.abs(samples).max()
    top.set(ylabel="Amplitude", ylim=(-peak, peak))
    bottom.set(ylabel="Level (dB)", ylim=(-104, 4), xlabel="Time (s)", xlim=(0, time[-1]))
    found = {label: handle for ax in (top, bottom) for handle, label in zip(*ax.get_legend_handles_labels())}
    figure.legend(found.values(), found, loc="outside upper center", ncols=4)
    return figure


def dropped(mask):
    """Beginning and end in seconds of each part that a mask drops: float array (n, 2)."""
    return np.flatnonzero(np.diff(np.r_[1, mask, 1].astype(int))).reshape(-1, 2) / SAMPLE_RATE


def spectrum(clip, frame, features):
    """A Fourier transform: one window of samples, and the magnitude of its spectrum with the strongest partials named.

    `clip` float (16000,), `frame` the number of the window. The transform has 8192 points, so that peaks are sharp.
    """
    start, n_fft = frame * features.hop_length, 8192
    window = clip[start : start + 2048] * np.hanning(2048)
    magnitude = np.abs(np.fft.rfft(window, n_fft))
    level = 20 * np.log10(np.maximum(magnitude / magnitude.max(), 1e-4))
    frequency = np.fft.rfftfreq(n_fft, 1 / features.sample_rate)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), width_ratios=(1, 1.9))
    left.plot(np.arange(2048) / features.sample_rate * 1000, window, color=BLUE, linewidth=0.7)
    left.set(xlabel="Time (ms)", ylabel="Amplitude", title="A window of samples", xlim=(0, 2048 / 16))
    right.plot(frequency, level, color=BLUE, linewidth=0.8)
    right.fill_between(frequency, -80, level, color=BLUE, alpha=0.15, linewidth=0, rasterized=True)
    above = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    for peak in _peaks(level):
        note = f"{librosa.hz_to_note(frequency[peak])}\n{frequency[peak]:.0f} Hz"
        right.annotate(note, (frequency[peak], level[peak]), fontsize=7, color=DARK, **above)
    right.set(xscale="log", xlim=(45, 8000), ylim=(-80, 14))
    right.set(xlabel="Frequency (Hz)", ylabel="Magnitude (dB)", title="Its Fourier transform")
    right.xaxis.set_ticks((62.5, 125, *HZ_TICKS, 8000))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter(NullFormatter())
    return figure


def stft(magnitudes, features):
    """The short-time Fourier transform of a clip: magnitudes (frames, bins) on a linear and on a logarithmic scale."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    extent = (0, len(magnitudes) * features.hop_length / features.sample_rate, 0, features.sample_rate / 2000)
    level = 20 * np.log10(np.maximum(magnitudes / magnitudes.max(), 1e-4))
    for ax, values, title in ((axes[0], magnitudes, "Magnitude"), (axes[1], level, "In decibels")):
        image = ax.imshow(values.T, origin="lower", extent=extent)
        ax.set(xlabel="Time (s)", title=title)
        figure.colorbar(image, ax=ax, label="dB" if ax is axes[1] else None, pad=0.02)
    axes[0].set_ylabel("Frequency (kHz)")
    return figure


def filterbank(filters, features):
    """The mel filterbank: some filters as triangles, and all of them as an image. `filters` (mels, bins)."""
    frequency = np.linspace(0, features.sample_rate / 2, filters.shape[1])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7), width_ratios=(1.5, 1))
    relative = filters / np.maximum(filters.max(axis=1, keepdims=True), 1e-9)
    for weights, color in zip(relative[filters.any(axis=1)][::9], itertools.cycle((BLUE, ORANGE))):
        left.fill_between(frequency, weights, color=color, alpha=0.35, linewidth=0)
        left.plot(frequency, weights, color=color, linewidth=0.8)
    left.set(xlabel="Frequency (Hz)", ylabel="Weight, relative to its maximum", title="Every ninth filter")
    left.set(xlim=(0, 8000), ylim=(0, 1.05))
    right.imshow(relative, origin="lower", extent=(0, 8, 0, len(filters)), cmap="Blues")
    right.set(xlabel="Frequency (kHz)", ylabel="Filter", title=f"All {len(filters)}")
    return figure


def mel_spectrogram(picture, features):
    """One mel spectrogram, decibels (frames, mels), with time, frequency and level."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2))
    image = draw_mel(ax, picture, features)
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz, mel scale)")
    figure.colorbar(image, ax=ax, label="Level (dB below the loudest)", pad=0.02)
    return figure


def mel_gallery(pictures, features):
    """Mel spectrograms of several sounds, on one scale. `pictures`: dict of name to list of (frames, mels)."""
    n_rows = max(len(row) for row in pictures.values())
    shape = {"figsize": (WIDTH, 1.75 * n_rows + 0.5), "sharex": True, "sharey": True, "squeeze": False}
    figure, axes = plt.subplots(n_rows, len(pictures), **shape)
    for column, (name, row) in zip(axes.T, pictures.items()):
        for ax, picture in zip(column, row):
            image = draw_mel(ax, picture, features)
        column[0].set_title(name)
        column[-1].set(xlabel="Time (s)", xticks=(0, 0.5, 1))
    figure.supylabel("Frequency (Hz, mel scale)", fontsize=9)
    figure.colorbar(image, ax=axes, label="Level (dB)", pad=0.02, aspect=30)
    return figure


def draw_mel(ax, picture, features, **options):
    """Draw a mel spectrogram (frames, mels) into `ax`, its axes in seconds and hertz; returns the image."""
    seconds = len(picture) * features.hop_length / features.sample_rate
    settings = {"vmin": -features.top_db, "vmax": 0} | options
    image = ax.imshow(picture.T, origin="lower", extent=(0, seconds, 0, picture.shape[1]), **settings)
    centres = librosa.mel_frequencies(n_mels=features.n_mels + 2, fmin=features.f_min, fmax=features.f_max)[1:-1]
    ax.set_yticks(np.interp(HZ_TICKS, centres, np.arange(features.n_mels) + 0.5), [f"{tick:,}" for tick in HZ_TICKS])
    return image


def draw_samples(ax, samples, color=BLUE, label=None):
    """Samples as the range of values in each of 1,500 parts: it looks like a line of all samples, in a small file."""
    step = max(len(samples) // 1500, 1)
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    time = np.arange(len(blocks)) * step / SAMPLE_RATE
    ax.fill_between(time, blocks.min(axis=1), blocks.max(axis=1), color=color, linewidth=0.3, label=label)


def _peaks(level):
    """The indices of the highest local maxima from 60 Hz up that are at least half an octave apart."""
    candidates = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:])) + 1
    found = []
    for index in candidates[np.argsort(-level[candidates])]:
        if index > 30 and all(abs(np.log2(index / other)) > 0.5 for other in found):
            found.append(index)
    return found[:N_PEAKS]
