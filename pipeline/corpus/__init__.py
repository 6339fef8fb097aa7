"""From sources of sound to a dataset of clips of one second.

Sound: `catalogue` names the packages that `packages` fetches; `scores`, played by `render` or `sampler` (from folders or
`patches` of notes), `noises` and recordings are the `sounds` that `performances` put together. Clips: `collection` holds
all as labelled recordings, and `dataset` cuts and, with `augment`, spoils them; `rehearsal` makes a tiny one. Others'
songs: `playlists`, `idlists`.
"""
