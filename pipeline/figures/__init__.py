"""Every figure of the notebooks, one function a figure: arrays and tables in, a matplotlib Figure out.

`data`, `sound`, `training`, `sweep`, `evaluation`, `voting`, `scale`, `benchmark` and `by_hand` are named after what
they show; `diagrams` puts the small drawings of `thumbnails` together. `style` holds the one look of all of them and
`publish`, which shows a figure and writes it down.
"""
