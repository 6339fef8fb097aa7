"""What the layers of a convolutional network compute one by one, in one go: the same numbers but for rounding, faster.

Nothing here is needed to understand the network, and `nn` without this package learns the same. `fusion` takes runs of
layers (`run`) together; `training` and `inference` compute them, by the arithmetic of `tiles` and `windows`; `parallel`
lets threads wait for each other. The tests compare all of it with the plain layers (tests/test_nn_fast.py).
"""
