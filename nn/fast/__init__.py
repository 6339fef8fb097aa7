"""What the layers of a convolutional network compute one by one, in one go: the same numbers but for rounding, faster.

Nothing here is needed to understand the network, and `nn` without this package learns the same. `fusion` takes runs of
layers (`run`) together, `inference` computes them in prediction; in training `training` does, for which `correlation` is
the arithmetic, `memory` keeps all arrays from batch to batch and `parallel` lets threads wait for each other. The tests
hold it against the plain layers.
"""
