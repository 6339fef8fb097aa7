"""Many songs: `labelling` runs through a `song_list`, its `downloader` fetches links, its `journal` keeps every answer."""

PER_HOUR = 300  # videos that YouTube grants a guest
