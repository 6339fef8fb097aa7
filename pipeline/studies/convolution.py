"""Does convolution help, and why? The experiments of notebooks 04 and 05, and what is concluded from them."""

from functools import partial

from pipeline.learning.networks import dense_network, thesis_network
from pipeline.studies.experiments import BY_CLIP, BY_SOURCE, FALLING, Experiment

MANY, SEVERAL = tuple(range(10)), tuple(range(5))  # seeds: of the two networks that are compared, and of all others
THESIS, DENSE = "thesis network", "dense, normalised decibels"
RAW, SAMPLES = "dense, raw decibels", "dense, samples"
AS_MANY_PARAMETERS = (9, 250)  # units of a dense network with the parameters of the thesis network, within a hundred

RESAMPLES = 10_000

dense = {
    SAMPLES: partial(dense_network, sound="samples"),
    RAW: partial(dense_network, sound="decibels"),
    DENSE: dense_network,
}


def dense_experiments(many=MANY, several=SEVERAL):
    """The dense networks of notebook 04, under both protocols, and the best of them with a falling learning rate."""
    found = [
        Experiment(name, network, many if name == DENSE else several, protocol)
        for protocol in (BY_SOURCE, BY_CLIP)
        for name, network in dense.items()
    ]
    return [*found, Experiment(DENSE, dense_network, several, learning_rate=FALLING)]


def thesis_experiments(many=MANY, several=SEVERAL):
    """The thesis network under both protocols, and with a falling learning rate."""
    return [
        *(Experiment(THESIS, thesis_network, many, protocol) for protocol in (BY_SOURCE, BY_CLIP)),
        Experiment(THESIS, thesis_network, several, learning_rate=FALLING),
    ]


def ablations(seeds=SEVERAL):
    """What is left of the result when one thing is taken away from a network."""
    pictures = {"sound": "pictures"}
    return [
        Experiment("dense, as many parameters", partial(dense_network, units=AS_MANY_PARAMETERS), seeds),
        Experiment("thesis network, frozen filters", thesis_network, seeds, frozen=True),
        Experiment("thesis network, permuted pixels", partial(thesis_network, **pictures), seeds, permuted=True),
        Experiment("dense, permuted pixels", partial(dense_network, **pictures), seeds, permuted=True),
        Experiment("thesis network, raw decibels", partial(thesis_network, sound="decibels"), seeds),
    ]
