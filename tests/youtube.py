"""YouTube on a loopback server: the real yt-dlp, with the product's own options, meets real files and real failures.

    with LoopbackYouTube({"aaaaaaaaaaa": path, "bbbbbbbbbbb": "private"}) as youtube:
        download(link, ydl_factory=youtube.ydl_factory)                       # in this process
        subprocess.run(["python", "-m", "pipeline", ...], env=youtube.environment)  # in another, by yt-dlp's plugins

Only the two extractors are replaced, by subclasses of the same names that ask the loopback server instead of YouTube's.
"""

import json
import os
import re
import tempfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av

TESTS = Path(__file__).parent
_COOKIES = "Use --cookies-from-browser or --cookies for the authentication."

# What YouTube says, as yt-dlp raises it: the exception, the words, and whether yt-dlp expected them.
REFUSALS = {
    "private": (
        "ExtractorError",
        f"Private video. Sign in if you've been granted access to this video. {_COOKIES}",
        True,
    ),
    "deleted": ("ExtractorError", "Video unavailable. This video has been removed by the uploader", True),
    "never": ("ExtractorError", "This video is not available", True),
    "terminated": (
        "ExtractorError",
        "This video is no longer available because the YouTube account associated with this video has been terminated.",
        True,
    ),
    "age": (
        "ExtractorError",
        f"Sign in to confirm your age. This video may be inappropriate for some users. {_COOKIES}",
        True,
    ),
    "members": (
        "ExtractorError",
        "Join this channel to get access to members-only content like this video, and other exclusive perks.",
        True,
    ),
    "geo": ("GeoRestrictedError", "The uploader has not made this video available in your country", True),
    "premiere": ("ExtractorError", "Premieres in 3 hours", True),
    "announced": ("ExtractorError", "This live event will begin in 5 hours.", True),
    "bot": ("ExtractorError", f"Sign in to confirm you’re not a bot. {_COOKIES}", True),
    "session": (
        "ExtractorError",
        "Video unavailable. This content isn't available, try again later. The current session has been "
        "rate-limited by YouTube for up to an hour.",
        True,
    ),
    "drm": ("ExtractorError", "This video is DRM protected", True),
    "paid": ("ExtractorError", "This video requires payment to watch.", True),
    "login": ("ExtractorError", f"Please sign in. {_COOKIES}", True),
    "blocked": ("ExtractorError", "All player responses are invalid. Your IP is likely being blocked by Youtube", True),
    "pictures": (
        "ExtractorError",
        "Requested format is not available. Use --list-formats for a list of available formats",
        True,
    ),
    "app": (
        "ExtractorError",
        "The following content is not available on this app.. Watch on the latest version of YouTube.",
        True,
    ),
    "device": ("ExtractorError", "YouTube is no longer supported in this application or device.", True),
    "reload": ("ExtractorError", "The page needs to be reloaded.", True),
    "embedded": (
        "ExtractorError",
        "Video unavailable. Playback on other websites has been disabled by the video owner",
        True,
    ),
    "code": ("ExtractorError", "Video unavailable. Watch video on YouTube. Error code: 152 - 18", True),
    "content": ("ExtractorError", "Video unavailable. This content isn’t available.", True),
    "strange": ("ExtractorError", "Something unknown\nsecond line", True),
    "player": ("ExtractorError", "Failed to extract any player response", False),
    "regex": ("RegexNotFoundError", "Unable to extract initial player response", False),
    "bug": ("KeyError", "streamingData", False),
    "private_list": ("ExtractorError", "This playlist is private", True),
    "no_list": ("ExtractorError", "YouTube said: The playlist does not exist.", True),
}


@dataclass
class Video:
    """A video on the loopback server.

    `how` is what happens to its sound: "fine", "slow" (a kilobyte now and then), "hang" (no answer), "stall" (stops
    half-way), "short" (closes half-way), "busy_once" (503, then fine), a number (that HTTP status), or "page_hang",
    "page_429" and "no_network" (already where yt-dlp reads the video's page). `info` adds to what yt-dlp is told.
    """

    path: Path
    how: str = "fine"
    title: str = "A song"
    info: dict = field(default_factory=dict)


class LoopbackYouTube:
    """A context manager around the server; see the top of this file.

    Parameters
    ----------
    videos : dict of video id to Path, Video, or a name in `REFUSALS`
    playlists : dict of playlist id to a list of video ids (None: one that yt-dlp could not read), or to a refusal

    Attributes
    ----------
    requests : list of the paths asked for so far
    """

    def __init__(self, videos, playlists=None):
        self.videos = {id: Video(Path(video)) if isinstance(video, Path) else video for id, video in videos.items()}
        self.playlists = playlists or {}
        self.requests, self.closing = [], threading.Event()

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.youtube = self
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.plugins = tempfile.TemporaryDirectory()
        plugin = Path(self.plugins.name, "yt_dlp_plugins", "extractor", "loopback.py")
        plugin.parent.mkdir(parents=True)
        plugin.write_text(
            f"from youtube import extractors\nYoutubeIE, YoutubeTabIE = extractors({self.address!r}, __name__)\n"
        )
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.plugins.cleanup()

    def ydl_factory(self, options):
        """The seam of `pipeline.song.download`: yt-dlp with the two extractors in place."""
        from yt_dlp import YoutubeDL

        ydl = YoutubeDL(options)
        for extractor in extractors(self.address):
            ydl.add_info_extractor(extractor(ydl))
        return ydl

    @property
    def environment(self):
        """Environment variables for any other process that uses yt-dlp: a command line, a Jupyter kernel, a worker."""
        path = os.pathsep.join([self.plugins.name, str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return os.environ | {"PYTHONPATH": path, "no_proxy": "127.0.0.1"}

    def describe(self, video_id):
        """What the extractor is told of a video."""
        video = self.videos.get(video_id, "deleted")
        if isinstance(video, str):
            return {"refusal": video}
        suffix = video.path.suffix[1:]
        url = f"{self.address}/media/{video_id}.{suffix}"
        if video.how == "no_network":
            url = "http://127.0.0.1:1/"
        sound = {
            "format_id": "140",
            "url": url,
            "ext": suffix,
            "vcodec": "none",
            "acodec": "opus" if suffix == "webm" else "mp4a.40.2",
        }
        info = {"id": video_id, "title": video.title, "duration": seconds_of(video.path), "formats": [sound]}
        return {"info": info | video.info}


def seconds_of(path):
    """The length of a file as YouTube would announce it, in whole seconds; None for a file that is no sound."""
    try:
        with av.open(str(path)) as container:
            return round(container.duration / 1e6)
    except (av.error.FFmpegError, TypeError):
        return None


def extractors(address, module=__name__):
    """yt-dlp's two extractors for YouTube, asking the server at this address."""
    from yt_dlp import utils
    from yt_dlp.extractor import youtube

    def ask(extractor, path, id):
        answer = extractor._download_json(f"{address}/{path}/{id}", id)
        if "refusal" not in answer:
            return answer
        name, words, expected = REFUSALS[answer["refusal"]]
        if name == "KeyError":
            raise KeyError(words)
        raise getattr(utils, name)(words, **({} if name == "GeoRestrictedError" else {"expected": expected}))

    class YoutubeIE(youtube.YoutubeIE):
        def _real_initialize(self):
            """Nothing to prepare: no page of YouTube is read."""

        def _real_extract(self, url):
            return ask(self, "video", self._match_id(url))["info"]

    class YoutubeTabIE(youtube.YoutubeTabIE):
        def _real_initialize(self):
            """Nothing to prepare either."""

        def _real_extract(self, url):
            playlist_id = re.search(r"list=([\w-]+)", url)[1]
            answer = ask(self, "playlist", playlist_id)
            entries = [
                id and self.url_result(f"https://www.youtube.com/watch?v={id}", "Youtube", id, f"Song {id}")
                for id in answer["ids"]
            ]
            return self.playlist_result(entries, playlist_id, "A playlist")

    YoutubeIE.__module__ = YoutubeTabIE.__module__ = module
    return YoutubeIE, YoutubeTabIE


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Tests are quiet."""

    def do_GET(self):
        self.youtube = self.server.youtube
        self.youtube.requests.append(self.path)
        _, kind, name = self.path.split("/")
        try:
            getattr(self, f"_{kind}")(name)
        except OSError:  # whoever asked has gone
            self.close_connection = True

    def _video(self, id):
        how = getattr(self.youtube.videos.get(id), "how", "fine")
        if how == "page_hang":
            self._hang()
        elif how == "page_429":
            self.send_error(429)
        else:
            self._send(json.dumps(self.youtube.describe(id)).encode())

    def _playlist(self, id):
        found = self.youtube.playlists.get(id, "no_list")
        self._send(json.dumps({"refusal": found} if isinstance(found, str) else {"ids": found}).encode())

    def _media(self, name):
        video = self.youtube.videos[name.partition(".")[0]]
        data = video.path.read_bytes()
        if video.how == "busy_once" and self.youtube.requests.count(self.path) == 1:
            self.send_error(503)
        elif isinstance(video.how, int):
            self.send_error(video.how)
        elif video.how == "hang":
            self._hang()
        else:
            self._send(data, video.how)

    def _hang(self):
        """Send nothing for as long as the test lasts."""
        self.close_connection = True
        self.youtube.closing.wait(60)

    def _send(self, data, how="fine"):
        """Answer with some bytes from where the request's Range begins, whole or as `how` says."""
        begin = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        part = data[int(begin[1]) :] if begin else data
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin[1]}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if how == "slow":
            for i in range(0, len(part), 1024):
                self.wfile.write(part[i : i + 1024])
                self.youtube.closing.wait(0.02)
        elif how in ("short", "stall"):
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            if how == "stall":
                self._hang()
        else:
            self.wfile.write(part)
