"""From a dataset to a model: `networks`, their `training` and their `evaluation`; `weights` makes the model that ships.

`classes` learns a folder of one's own, `sweep` searches hyperparameters, `experiments`, `tracing` and `comparison` are
what the notebooks ask.
"""
