"""From a dataset to a model: `networks`, their `training` and their `evaluation`; `weights` makes the model that ships.

How it was chosen: `screening` of networks, `voting` of seconds; what it takes for a piano: `lookalikes`. `classes` learns
a folder of one's own and writes a `report` (`instruments` is the example), `sweep` searches hyperparameters,
`experiments`, `tracing` and `comparison` are what the notebooks ask.
"""
