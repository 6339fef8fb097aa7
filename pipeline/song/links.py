"""A text that somebody pasted -> a video or a playlist on YouTube, or a refusal in one sentence.
Nothing is looked up on the network: yt-dlp's own patterns say what a link is, and only its id goes on.
The address that is opened later is built anew from that id, so nothing else in the text can have an effect.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from pipeline.errors import LinkError

HOSTS = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "gaming.youtube.com",
        "youtu.be",
        "youtube-nocookie.com",
        "www.youtube-nocookie.com",
    }
)
_COUNTRY = re.compile(r"(www\.)?[a-z]{2}\.youtube\.com")
_REDIRECTS = {"/attribution_link": "u", "/m": "continue", "/ml": "continue"}  # pages that lead to another of YouTube
_LIST_PAGES = ("/playlist", "/watch", "/embed/videoseries")
_VIDEO_PAGES = frozenset(["e", "embed", "live", "shorts", "v"])
_OTHER_PAGES = frozenset(
    ["attribution_link", "browse", "feed", "hashtag", "m", "post", "premium", "redirect", "signin"]
)
MAX_LENGTH = 2000  # characters; real links have about 100, and yt-dlp's patterns backtrack on long texts
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # byte order mark, zero-width characters
# What people put around links: spaces, brackets (but not those of an IPv6 address), quotes.
_AROUND = re.compile(r"(?:[^\S\t]|(?<!//)\[|\](?![:/])|[<>(){}\"'`\u00ab\u00bb\u2018-\u201f\u3008-\u3011])+")
VIDEO_ID = re.compile(r"[\w-]{11}", re.ASCII)
EXAMPLE = "https://www.youtube.com/watch?v=..."


@dataclass(frozen=True)
class Link:
    """A video or a playlist on YouTube.

    Attributes
    ----------
    kind : "video" or "playlist"
    id : str
        Of the video or of the playlist.
    playlist_id : str or None
        The playlist itself, or the one in which the link shows the video: `Link("playlist", link.playlist_id)`.
    """

    kind: str
    id: str
    playlist_id: str | None = None

    @property
    def url(self):
        """The canonical address, made of the id alone."""
        if self.kind == "video":
            return f"https://www.youtube.com/watch?v={self.id}"
        return f"https://www.youtube.com/playlist?list={self.id}"


def parse(text):
    """Read an untrusted text as the link of a video or a playlist.

    Parameters
    ----------
    text : str
        A link, alone or with brackets, quotes or a title around it, also without `https://`, and as a shell or a web
        page writes it (`\\?`, `&amp;`). `watch?v=...&list=...` is the video.

    Returns
    -------
    Link

    Raises
    ------
    LinkError
        Of the kind empty, too_long, not_a_link, other_site, incomplete, channel, album, mix or not_a_video.
    """
    words = _words(text)
    if len(words) > 1:
        with suppress(LinkError):
            found = {parse(word) for word in words}
            if len(found) == 1:
                return found.pop()
        raise LinkError("not_a_link", "There are several links in this text; paste one of them.")
    host, path, query = _split(words[0])
    if redirect := dict(parse_qsl(query)).get(_REDIRECTS.get(path)):
        return parse(f"https://www.youtube.com{redirect}" if redirect.startswith("/") else redirect)
    if path.startswith("/browse/MPREb_"):
        message = "This is an album's page in YouTube Music; choose Share there, and paste the link that you get."
        raise LinkError("album", message)
    if path.startswith("/vi/"):  # the pictures of a video
        path = "/v/" + path.split("/")[2]
    if path.startswith("/browse/VL"):  # how YouTube Music shows a playlist
        path, query = "/playlist", urlencode({"list": path.removeprefix("/browse/VL")})
    pairs = [(name.removeprefix("amp;"), value) for name, value in parse_qsl(query, keep_blank_values=True)]
    playlist_id = next((value for name, value in pairs if name == "list"), None)
    # yt-dlp takes a video shown within a playlist for the playlist; asked without `list`, it sees the video.
    alone = urlencode([(name, value) for name, value in pairs if name != "list"])

    # Imported here, because it takes half a second.
    from yt_dlp.extractor.youtube import YoutubeIE, YoutubePlaylistIE, YoutubeTabIE

    video_url = f"https://{host}{path}?{alone}"
    if YoutubeIE.suitable(video_url):
        return Link("video", YoutubeIE.get_temp_id(video_url), playlist_id if _is_playlist_id(playlist_id) else None)
    list_url = f"https://{host}{path}?{query}"
    is_list = path.rstrip("/") in _LIST_PAGES and not dict(pairs).get("v")
    for extractor in (YoutubeTabIE, YoutubePlaylistIE) if is_list else ():
        if playlist_id and extractor.suitable(list_url) and extractor.get_temp_id(list_url) == playlist_id:
            if _is_playlist_id(playlist_id):
                return Link("playlist", playlist_id, playlist_id)
            if _is_mix(playlist_id):
                raise LinkError("mix", "This is one of YouTube's endless mixes; paste the link of a video in it.")
            raise LinkError("incomplete", "The playlist in this link has no valid id; copy the whole link again.")
    raise _refusal(path, pairs, YoutubeTabIE.suitable(list_url))


def _words(text):
    """The links in a text, without what a shell, a web page or a person has put around them; a LinkError if none."""
    text = _INVISIBLE.sub("", text).strip()
    if not text:
        raise LinkError("empty", f"There is no link; paste one such as {EXAMPLE}")
    if len(text) > MAX_LENGTH:
        message = f"This text of {len(text):,} characters is too long for a link; paste one such as {EXAMPLE}"
        raise LinkError("too_long", message)
    words = [word for word in (word.rstrip(".,;:!\u2026") for word in _AROUND.split(text)) if word]
    if len(words) > 1:
        words = sorted({word for word in words if "://" in word or word.partition("/")[0].lower() in HOSTS})
    # urlsplit drops tabs silently, so they are refused before it sees them.
    if not words or not all(map(str.isprintable, words)):
        raise _not_a_link()
    return [re.sub(r"\\(?=[?=&_.~:/-])", "", re.sub("&(amp;|#38;)+", "&", word)) for word in words]


def _not_a_link():
    return LinkError("not_a_link", f"This is not a link; paste one such as {EXAMPLE}")


def _split(text):
    """The host (as yt-dlp knows it), path and query of a link, or a LinkError."""
    if text.startswith("//"):
        text = "https:" + text
    elif "://" not in text.partition("?")[0]:
        if "/" not in text and text.lower() not in HOSTS:  # a word or the name of a file
            raise _not_a_link()
        text = "https://" + text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a port that is no number, brackets that do not match, look-alike characters in the host
        raise _not_a_link() from None
    if parts.scheme not in ("http", "https"):
        raise LinkError("not_a_link", f"Only links that begin with https:// are read; paste one such as {EXAMPLE}")
    if host == "consent.youtube.com" or _COUNTRY.fullmatch(host):
        host = "www.youtube.com"
    if host not in HOSTS:
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)+|localhost|\[?[0-9a-f:]+\]?", host) or host.startswith("-"):
            raise _not_a_link()
        raise LinkError("other_site", f"This link leads to {host[:60]}; only links of YouTube work, such as {EXAMPLE}")
    if port is not None or "@" in parts.netloc:
        raise LinkError("not_a_link", f"A link with a user name or a port is not opened; paste one such as {EXAMPLE}")
    return host.replace("-nocookie", ""), parts.path, parts.query  # -nocookie shows the same


def _is_mix(playlist_id):
    # Mixes are made up while one listens and have no page of their own; RDCLAK are the editors' playlists.
    return playlist_id.startswith("RD") and not playlist_id.startswith("RDCLAK")


def _is_playlist_id(playlist_id):
    return bool(playlist_id and re.fullmatch(r"[\w-]{2,64}", playlist_id, re.ASCII)) and not _is_mix(playlist_id)


def _refusal(path, pairs, is_channel):
    """Why a link of YouTube is neither a video nor a playlist."""
    names = [name for name, _ in pairs]
    first = path.strip("/").partition("/")[0]
    if (("v" in names or "list" in names) and first in ("watch", "playlist")) or first in _VIDEO_PAGES:
        return LinkError("incomplete", "The id in this link is cut short; copy the whole link again.")
    if is_channel and (first not in _OTHER_PAGES or path.startswith("/browse/UC")):
        message = "This is the page of a channel; open one of its videos or playlists and paste that link."
        return LinkError("channel", message)
    message = "This page of YouTube is neither a video nor a playlist; open a video and paste its link."
    return LinkError("not_a_video", message)
