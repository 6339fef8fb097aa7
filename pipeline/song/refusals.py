"""Why YouTube, or the network, did not give a song: what yt-dlp raises -> a DownloadError in one sentence.
The words decide, which are YouTube's own or Python's, since yt-dlp keeps the exception behind them only sometimes.
Whatever is not recognized is taken for a change at YouTube, against which a newer yt-dlp is the remedy.
"""

import re

from pipeline.errors import DownloadError, printable

UPDATE = '.venv/bin/python -m pip install -U --pre "yt-dlp[default,deno]"'
SIGN_IN = "give the cookies of a browser in which you are signed in (--cookies-from-browser firefox)"

_BY_STATUS = {400: "outdated", 403: "forbidden", 404: "gone", 410: "gone", 429: "rate_limited"}

# In this order: "Sign in to confirm your age" is about the age. The words of "outdated" came for every video after
# changes at YouTube, until yt-dlp was updated.
_BY_WORDS = {
    "timeout": r"timed out|timeout",
    "incomplete": r"bytes read|bytes, expected|reset by peer|connection aborted|incomplete",
    "no_network": r"failed to resolve|failed to establish|unreachable|connection refused|certificate|\bSSL\b|proxy",
    "disk_full": r"no space left|quota exceeded",
    "outdated": r"on this app|latest version of youtube|application or device|on this device|on other websites|"
    r"needs to be reloaded|error code:? 15\d|format is not available|no video formats",
    "bot": r"not a bot|captcha",
    "age_restricted": r"confirm your age|age.restricted|inappropriate for some users",
    "members_only": r"members.only|channel's members|join this channel",
    "private": r"private (video|playlist)|(video|playlist) is private",
    "geo_blocked": r"in your country|geo.?restrict|your location",
    "upcoming": r"premieres in|premiere will begin|live event will begin",
    "rate_limited": r"rate.limited|too many requests|try again later",
    "protected": r"\bDRM\b",
    "paid": r"purchase|requires payment|to rent|paid content",
    "gone": r"removed|terminated|deleted|does not exist|no longer exists|unviewable",
    "unavailable": r"unavailable|(not|no longer|isn.t) available",
    "sign_in": r"sign in|log.?in\b|account",
    "blocked": r"IP is likely being blocked",
}

_SENTENCES = {
    "age_restricted": f"This video is only for grown-ups who have signed in; {SIGN_IN}.",
    "blocked": f"YouTube blocks requests from this network; wait an hour, or {SIGN_IN}.",
    "bot": f"YouTube wants proof that you are not a bot; {SIGN_IN}.",
    "cookies": "The cookies could not be read; export cookies.txt again, or name a browser that is installed here.",
    "disk_full": "There is no room for the song in the temporary folder; make some and try again.",
    "forbidden": f"YouTube refused to send the sound (403); update yt-dlp with {UPDATE}, or {SIGN_IN}.",
    "geo_blocked": "This video is not shown in your country; try another recording of the song.",
    "gone": "This is no longer on YouTube, or never was; check the link, or try another recording of the song.",
    "incomplete": "The download stopped before its end; try again.",
    "members_only": f"This video is only for members of its channel; if you are one, {SIGN_IN}.",
    "no_network": "YouTube cannot be reached; check the connection to the internet.",
    "outdated": f"yt-dlp could not read YouTube's answer; update it with {UPDATE} and try again.",
    "paid": "This video has to be paid for; try another recording of the song.",
    "private": f"This video or playlist is private; if it was shared with you, {SIGN_IN}.",
    "protected": "This video is protected against downloads; try another recording of the song.",
    "rate_limited": f"YouTube has had too many requests from this network; wait an hour, or {SIGN_IN}.",
    "sign_in": f"YouTube shows this only to those who have signed in; {SIGN_IN}.",
    "timeout": "YouTube stopped answering; check the connection to the internet and try again.",
    "unavailable": f"YouTube does not show this; if it plays in a browser, update yt-dlp with {UPDATE}.",
    "upcoming": "This video has not begun yet; try again after its premiere.",
}
_KINDS = {"blocked": "forbidden", "bot": "sign_in", "gone": "unavailable"}  # where two sentences share a kind


def explain(error):
    """The DownloadError that tells a person what an exception of yt-dlp means."""
    from yt_dlp.cookies import CookieLoadError
    from yt_dlp.utils import ExtractorError, GeoRestrictedError

    cause = (getattr(error, "exc_info", None) or (None, None))[1]  # of yt-dlp's DownloadError, where it knows
    words = re.sub(r"\[youtube[^]]*\] \S+: ", "", f"{error} {cause}")  # an id may hold any word
    if isinstance(error, CookieLoadError) or isinstance(error.__context__, CookieLoadError):
        return _error("cookies")
    if isinstance(cause, GeoRestrictedError):
        return _error("geo_blocked")
    if status := re.search(r"HTTP Error (\d+)", words):
        if reason := _BY_STATUS.get(int(status[1])):
            return _error(reason)
        return DownloadError(
            "server_error", f"YouTube answered with an error ({status[1]}); try again in some minutes."
        )
    if isinstance(cause, ExtractorError) and not cause.expected:
        return _error("outdated")
    for reason, pattern in _BY_WORDS.items():
        if re.search(pattern, words, re.IGNORECASE):
            return _error(reason)
    if isinstance(cause, ExtractorError):
        said = printable(cause.orig_msg.partition("\n")[0])[:150].rstrip(". ")
        return DownloadError("refused", f"YouTube said: {said}.")
    return _error("outdated")


def _error(reason):
    return DownloadError(_KINDS.get(reason, reason), _SENTENCES[reason])
