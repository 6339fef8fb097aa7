"""Why YouTube, or the network, did not give a song: what yt-dlp raises -> a DownloadError in one sentence.
The kind of the exception decides where it tells enough; else the words, which are YouTube's own.
Whatever is not recognized is taken for a change at YouTube, against which a newer yt-dlp is the remedy.
"""
import errno
import re

from pipeline.errors import DownloadError, printable

UPDATE = 'pip install -U --pre "yt-dlp[default,deno]"'
SIGN_IN = "give it the cookies of a browser in which you are signed in (--cookies-from-browser firefox, or --cookies FILE)"

_BY_STATUS = {
    403: ("forbidden", f"YouTube refused to send the sound (403); update yt-dlp with {UPDATE}, or {SIGN_IN}."),
    404: ("unavailable", "There is nothing behind this link (404); the video was removed, or the link is wrong."),
    410: ("unavailable", "There is nothing behind this link any more (410); the video was removed."),
    429: ("rate_limited", f"YouTube has had too many requests from this network (429); wait an hour, or {SIGN_IN}."),
}

# In this order: "Sign in to confirm your age" is about the age.
_BY_WORDS = [(re.compile(words, re.IGNORECASE), kind, sentence) for words, kind, sentence in [
    (r"not a bot|captcha", "sign_in", f"YouTube wants proof that you are not a bot; {SIGN_IN}."),
    (r"confirm your age|age.restricted|inappropriate for some users", "age_restricted",
     f"This video is only for grown-ups who have signed in; {SIGN_IN}."),
    (r"members.only|channel's members|join this channel", "members_only",
     f"This video is only for members of its channel; if you are one, {SIGN_IN}."),
    (r"private (video|playlist)|(video|playlist) is private", "private",
     f"This is private; if it was shared with you, {SIGN_IN}."),
    (r"in your country|geo.?restrict|from your location", "geo_blocked",
     "This video is not shown in your country; try another recording of the song."),
    (r"premieres in|premiere will begin|live event will begin|waiting for ", "upcoming",
     "This video has not begun yet; try again after its premiere."),
    (r"rate.limited|too many requests|try again later", "rate_limited",
     f"YouTube has had too many requests from this network; wait an hour, or {SIGN_IN}."),
    (r"\bDRM\b", "protected", "This video is protected against downloads; try another recording of the song."),
    (r"purchase|requires payment|to rent|paid content", "paid", "This video has to be paid for; try another recording of the song."),
    (r"unavailable|not available|removed|terminated|deleted|does not exist|no longer exists|unviewable", "unavailable",
     "This is no longer on YouTube, or never was; check the link, or try another recording of the song."),
    (r"sign in|log.?in\b|account", "sign_in", f"YouTube shows this only to those who have signed in; {SIGN_IN}."),
    (r"IP is likely being blocked", "forbidden", f"YouTube blocks requests from this network; wait an hour, or {SIGN_IN}."),
]]


def outdated():
    """YouTube changed something that the installed yt-dlp does not know."""
    return DownloadError("outdated", f"yt-dlp could not read YouTube's answer; update it with {UPDATE} and try again.")


def explain(error):
    """The DownloadError that tells a person what an exception of yt-dlp means."""
    from yt_dlp.cookies import CookieLoadError
    from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
    from yt_dlp.utils import ContentTooShortError, ExtractorError, GeoRestrictedError

    causes = list(_causes(error))
    words = " ".join(str(cause) for cause in causes)

    def caused_by(*types):
        return next((cause for cause in causes if isinstance(cause, types)), None)

    if caused_by(CookieLoadError):
        return DownloadError("cookies", "The cookies could not be read; export cookies.txt again, or name a browser that is installed here.")
    if http := caused_by(HTTPError):
        if http.status in _BY_STATUS:
            return DownloadError(*_BY_STATUS[http.status])
        return DownloadError("server_error", f"YouTube answered with an error ({http.status}); try again in some minutes.")
    if caused_by(IncompleteRead, ContentTooShortError, ConnectionResetError):
        return DownloadError("incomplete", "The download stopped before its end; try again.")
    if caused_by(TimeoutError) or caused_by(TransportError) and "timed out" in words:
        return timeout()
    if caused_by(TransportError, ConnectionError):
        return DownloadError("no_network", "YouTube cannot be reached; check the connection to the internet.")
    if (failure := caused_by(OSError)) and failure.errno == errno.ENOSPC:
        return DownloadError("disk_full", "There is no room for the song in the temporary folder; make some and try again.")
    if caused_by(GeoRestrictedError):
        words += " geo-restricted"
    if "format is not available" in words:  # its challenges were not solved, so only pictures were offered
        return outdated()
    if (extractor := caused_by(ExtractorError)) and not extractor.expected:
        return outdated()
    for pattern, kind, sentence in _BY_WORDS:
        if pattern.search(words):
            return DownloadError(kind, sentence)
    if extractor:
        said = printable(extractor.orig_msg.partition("\n")[0])[:150].rstrip(". ")
        return DownloadError("refused", f"YouTube said: {said}.")
    return outdated()


def timeout():
    """The server keeps the connection but sends nothing."""
    return DownloadError("timeout", "YouTube stopped answering; check the connection to the internet and try again.")


def _causes(error):
    """An exception and those behind it, as far as yt-dlp and Python tell."""
    seen = []
    while isinstance(error, BaseException) and error not in seen:
        seen.append(error)
        yield error
        behind = (getattr(error, "exc_info", None) or (None, None))[1]
        error = next((e for e in (behind, getattr(error, "cause", None), error.__cause__, getattr(error, "reason", None))
                      if isinstance(e, BaseException) and e not in seen), None)
