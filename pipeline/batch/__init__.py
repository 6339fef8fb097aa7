"""Many songs: `labelling` goes through a `song_list`, `downloader` fetches links, `journal` keeps every answer."""

PER_HOUR = 300  # videos that YouTube grants a guest
