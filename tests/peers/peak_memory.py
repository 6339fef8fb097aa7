"""One piece of work in a process of its own, and the peak of its memory: run by tests/benchmark.py."""

import sys
import threading
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import networks
import numpy as np

import nn


@contextmanager
def reporting_memory():
    """Print the peak of RssAnon in this process, in MB: pages mapped from files do not count."""
    peaks, done = [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            peaks[0] = max(peaks[0], *(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    done.set()
    watcher.join()
    print(peaks[0] / 1024)


def label(path):
    from pipeline.song.recognition import Recognizer

    Recognizer().recognize(path)


def train(who, path, n_clips, n_steps):
    from pipeline.learning.networks import recognizer_network

    class Steps(nn.ClipSequence):
        def __len__(self):
            return n_steps

    data = Steps(np.memmap(path, np.int16, "r", shape=(n_clips, 16_000)), np.arange(n_clips) % 2, 2, shuffle=True)
    if who == "ours":
        recognizer_network().fit(data, epochs=1, progress=False)
    else:
        train_with_torch(data)


def train_with_torch(data):
    import torch

    torch.set_num_threads(2)
    module, mel = networks.in_torch("released network").to(memory_format=torch.channels_last), networks.MelInTorch()
    optimizer = torch.optim.RMSprop(module.parameters(), 1e-3)
    for index in range(len(data)):
        samples, targets = map(torch.tensor, data[index])
        pictures = mel(samples).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(pictures), targets).backward()
        optimizer.step()


if __name__ == "__main__":
    with reporting_memory():
        if sys.argv[1] == "label":
            label(sys.argv[2])
        else:
            train(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
