"""Many songs: `labelling` runs through a `song_list`, its `downloader` fetches what is a link, its `journal` forgets nothing.

`scale` measures how fast that is and how much it holds in memory: `stages` by their work, `lengths` by how much there is of
it, and `findings` tells.
"""

PER_HOUR = 300  # videos that YouTube grants a guest
