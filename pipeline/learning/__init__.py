"""From a dataset to a model: `networks`, their `training` and `evaluation`; `weights` builds the released model.

`voting` compares ways to pool the clips of a song. `hard_songs` makes songs that are easily confused with a piano.
`classes` trains on a folder of one's own and writes a `report`.
"""
