"""From a dataset to a model: `networks`, their `training` and `evaluation`; `weights` builds the released model.

`voting` compares ways to pool the seconds of a song, `hard_songs` renders songs that sound like a piano. `classes` trains
on a folder of one's own and writes a `report`.
"""
