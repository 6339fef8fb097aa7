"""Every figure of the notebooks, one function a figure: arrays and tables in, a matplotlib Figure out.

`style` holds the one look of all of them and `publish`, which shows a figure and writes it down.
"""
