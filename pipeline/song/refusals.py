"""Why YouTube, or the network, did not give a song: what yt-dlp raises -> a DownloadError in one sentence.
The words decide, which are YouTube's own or Python's, since yt-dlp keeps the exception behind them only sometimes.
Whatever is not recognized is taken for a change at YouTube, against which a newer yt-dlp is the remedy.
"""

import re

from pipeline.errors import DownloadError, printable

UPDATE = '.venv/bin/python -m pip install -U --pre "yt-dlp[default,deno]"'
SIGN_IN = "give the cookies of a browser in which you are signed in (--cookies-from-browser firefox)"

_BY_STATUS = {
    403: ("forbidden", f"YouTube refused to send the sound (403); update yt-dlp with {UPDATE}, or {SIGN_IN}."),
    404: ("unavailable", "There is nothing behind this link (404); the video was removed, or the link is wrong."),
    410: ("unavailable", "There is nothing behind this link any more (410); the video was removed."),
    429: ("rate_limited", f"YouTube has had too many requests from this network (429); wait an hour, or {SIGN_IN}."),
}

# In this order: "Sign in to confirm your age" is about the age.
_BY_WORDS = [
    (re.compile(words, re.IGNORECASE), kind, sentence)
    for words, kind, sentence in [
        (
            r"timed out|timeout",
            "timeout",
            "YouTube stopped answering; check the connection to the internet and try again.",
        ),
        (
            r"bytes read|bytes, expected|reset by peer|connection aborted|incomplete",
            "incomplete",
            "The download stopped before its end; try again.",
        ),
        (
            r"failed to resolve|failed to establish|unreachable|connection refused|certificate|\bSSL\b|proxy",
            "no_network",
            "YouTube cannot be reached; check the connection to the internet.",
        ),
        (
            r"no space left|quota exceeded",
            "disk_full",
            "There is no room for the song in the temporary folder; make some and try again.",
        ),
        (r"not a bot|captcha", "sign_in", f"YouTube wants proof that you are not a bot; {SIGN_IN}."),
        (
            r"confirm your age|age.restricted|inappropriate for some users",
            "age_restricted",
            f"This video is only for grown-ups who have signed in; {SIGN_IN}.",
        ),
        (
            r"members.only|channel's members|join this channel",
            "members_only",
            f"This video is only for members of its channel; if you are one, {SIGN_IN}.",
        ),
        (
            r"private (video|playlist)|(video|playlist) is private",
            "private",
            f"This video or playlist is private; if it was shared with you, {SIGN_IN}.",
        ),
        (
            r"in your country|geo.?restrict|your location",
            "geo_blocked",
            "This video is not shown in your country; try another recording of the song.",
        ),
        (
            r"premieres in|premiere will begin|live event will begin",
            "upcoming",
            "This video has not begun yet; try again after its premiere.",
        ),
        (
            r"rate.limited|too many requests|try again later",
            "rate_limited",
            f"YouTube has had too many requests from this network; wait an hour, or {SIGN_IN}.",
        ),
        (r"\bDRM\b", "protected", "This video is protected against downloads; try another recording of the song."),
        (
            r"purchase|requires payment|to rent|paid content",
            "paid",
            "This video has to be paid for; try another recording of the song.",
        ),
        (
            r"unavailable|not available|removed|terminated|deleted|does not exist|no longer exists|unviewable",
            "unavailable",
            "This is no longer on YouTube, or never was; check the link, or try another recording of the song.",
        ),
        (r"sign in|log.?in\b|account", "sign_in", f"YouTube shows this only to those who have signed in; {SIGN_IN}."),
        (
            r"IP is likely being blocked",
            "forbidden",
            f"YouTube blocks requests from this network; wait an hour, or {SIGN_IN}.",
        ),
    ]
]


def explain(error):
    """The DownloadError that tells a person what an exception of yt-dlp means."""
    from yt_dlp.cookies import CookieLoadError
    from yt_dlp.utils import ExtractorError, GeoRestrictedError

    cause = (getattr(error, "exc_info", None) or (None, None))[1]  # of yt-dlp's DownloadError, where it knows
    words = re.sub(r"\[youtube[^]]*\] \S+: ", "", f"{error} {cause}")  # an id may hold any word
    if isinstance(error, CookieLoadError) or isinstance(error.__context__, CookieLoadError):
        message = "The cookies could not be read; export cookies.txt again, or name a browser that is installed here."
        return DownloadError("cookies", message)
    if isinstance(cause, GeoRestrictedError):
        words = "geo-restricted"
    if status := re.search(r"HTTP Error (\d+)", words):
        kind, sentence = _BY_STATUS.get(int(status[1])) or (
            "server_error",
            f"YouTube answered with an error ({status[1]}); try again in some minutes.",
        )
        return DownloadError(kind, sentence)
    # "Format not available": its challenges were not solved, so only pictures were offered.
    is_known = not (isinstance(cause, ExtractorError) and not cause.expected) and "format is not available" not in words
    for pattern, kind, sentence in _BY_WORDS:
        if is_known and pattern.search(words):
            return DownloadError(kind, sentence)
    if is_known and isinstance(cause, ExtractorError):
        said = printable(cause.orig_msg.partition("\n")[0])[:150].rstrip(". ")
        return DownloadError("refused", f"YouTube said: {said}.")
    return DownloadError("outdated", f"yt-dlp could not read YouTube's answer; update it with {UPDATE} and try again.")
