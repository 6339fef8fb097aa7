"""From sources of sound to a dataset of clips of one second.

Sources: `catalogue` says what to take from the packages that `packages` fetches; `playlists` and `idlists` list songs of
YouTube. Sound: `scores` are played by sound fonts (`render`) or recorded notes (`sampler`, `gus_patches`); these, `noises`
and recordings are `sounds`, which `performances` combines. Clips: `collection` gathers all as labelled recordings, and
`dataset` cuts and augments them (`augment`); `tiny` makes a small one of the sample songs.
"""
