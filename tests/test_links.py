"""What a person may paste into the link box, and what comes of it."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import LinkError
from pipeline.song.links import HOSTS, Link, parse

VIDEO = "dQw4w9WgXcQ"
LIST = "PLBB231211A4F62143"
WATCH = f"https://www.youtube.com/watch?v={VIDEO}"


@pytest.mark.parametrize(
    "text",
    [
        WATCH,
        f"  {WATCH}\n",
        f"http://www.youtube.com/watch?v={VIDEO}",
        f"HTTPS://WWW.YouTube.COM/watch?v={VIDEO}",
        f"www.youtube.com/watch?v={VIDEO}",
        f"youtube.com/watch?v={VIDEO}&t=42s",
        f"//youtube.com/watch?v={VIDEO}",
        f"youtube.com/watch?v={VIDEO}&next=https://example.com/",
        f"https://m.youtube.com/watch?app=desktop&v={VIDEO}",
        f"https://music.youtube.com/watch?v={VIDEO}&si=abc",
        f"https://youtu.be/{VIDEO}",
        f"youtu.be/{VIDEO}?si=Zb-12_x",
        f"https://www.youtube.com/shorts/{VIDEO}",
        f"https://www.youtube.com/live/{VIDEO}?feature=share",
        f"https://www.youtube.com/embed/{VIDEO}?autoplay=1",
        f"https://www.youtube-nocookie.com/embed/{VIDEO}",
        f"https://youtube.com/v/{VIDEO}",
        f"{WATCH}#t=30",
        f"{WATCH}#__youtubedl_smuggle=%7B%22x%22%3A1%7D",
        f"{WATCH}&list=RD{VIDEO}&start_radio=1",  # an endless mix is not offered
        f"https://gaming.youtube.com/watch?v={VIDEO}",
        f"de.youtube.com/watch?v={VIDEO}",
        f"https://www.youtube.com/vi/{VIDEO}/hqdefault.jpg",
        f"https://www.youtube.com/watch\\?v\\={VIDEO}",  # zsh
        f"https://www.youtube.com/watch?feature=share&amp;v={VIDEO}",
        f"https://www.youtube.com/watch?feature=share&amp;amp;v={VIDEO}",
        f"https://www.youtube.com/watch?feature=share&amp%3Bv={VIDEO}",
        f"https://www.youtube.com/attribution_link?a=x&u=%2Fwatch%3Fv%3D{VIDEO}%26feature%3Dshare",
        f"https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D{VIDEO}&gl=DE",
        f"<{WATCH}>",
        f'"{WATCH}"',
        f"({WATCH})",
        f"\u201c{WATCH}\u201d",
        f"\ufeff{WATCH}",
        f"{WATCH}\u200b",
        f"A song (live) {WATCH}",
        f"A song:\n{WATCH}.",
        f"listen: youtu.be/{VIDEO}!",
        f"[A song]({WATCH})",
        f"[{WATCH}](https://youtu.be/{VIDEO}?si=x)",
        f'<a href="{WATCH}">A song</a>',
    ],
)
def test_a_video(text):
    link = parse(text)
    assert link == Link("video", VIDEO, None)
    assert link.url == WATCH


@pytest.mark.parametrize(
    "text",
    [
        f"{WATCH}&list={LIST}&index=3",
        f"https://www.youtube.com/watch?list={LIST}&v={VIDEO}",
        f"https://youtu.be/{VIDEO}?list={LIST}",
        f"https://music.youtube.com/watch?v={VIDEO}&list={LIST}",
        f"https://www.youtube.com/embed/{VIDEO}?list={LIST}",
        f"https://www.youtube.com/watch?list={LIST}&amp;v={VIDEO}",
        f"https://www.youtube.com/watch?list={LIST}&amp%3Bv={VIDEO}",
        f"https://www.youtube.com/watch\\?list\\={LIST}\\&v\\={VIDEO}",
        f"https://www.youtube.com/attribution_link?u=%2Fwatch%3Fv%3D{VIDEO}%26list%3D{LIST}",
    ],
)
def test_a_video_within_a_playlist_is_the_video_and_offers_the_playlist(text):
    link = parse(text)
    assert (link.kind, link.id, link.playlist_id, link.url) == ("video", VIDEO, LIST, WATCH)


@pytest.mark.parametrize(
    ("text", "playlist_id"),
    [
        (f"https://www.youtube.com/playlist?list={LIST}", LIST),
        (f"youtube.com/playlist?list={LIST}&si=x", LIST),
        (f"https://m.youtube.com/playlist?list={LIST}", LIST),
        (
            "https://music.youtube.com/playlist?list=OLAK5uy_m4xAFdmMC5rX3Ji3g93pQe3hqLZw_9LhM",
            "OLAK5uy_m4xAFdmMC5rX3Ji3g93pQe3hqLZw_9LhM",
        ),
        (f"https://www.youtube.com/watch?list={LIST}", LIST),
        (f"https://www.youtube.com/embed/videoseries?list={LIST}", LIST),
        (f"https://www.youtube-nocookie.com/embed/videoseries?list={LIST}", LIST),
        (f"https://music.youtube.com/browse/VL{LIST}?si=x", LIST),
        (
            "https://music.youtube.com/playlist?list=RDCLAK5uy_kmPRjHDECIcuVwnKsx2Ng7fyNgFKWNJFs",
            "RDCLAK5uy_kmPRjHDECIcuVwnKsx2Ng7fyNgFKWNJFs",
        ),
    ],
)
def test_a_playlist(text, playlist_id):
    link = parse(text)
    assert link == Link("playlist", playlist_id, playlist_id)
    assert link.url == f"https://www.youtube.com/playlist?list={playlist_id}"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("empty", ""),
        ("empty", " \n\t"),
        ("too_long", "https://www.youtube.com/watch?v=" + "a" * 100_000),
        ("too_long", "x" * 100_000),
        ("not_a_link", "moonlight sonata"),
        ("not_a_link", "song"),
        ("not_a_link", "song.mp3"),
        ("not_a_video", "youtube.com"),
        ("not_a_video", "https://www.youtube.com/watch"),
        ("not_a_link", VIDEO),
        ("not_a_link", "ytsearch:moonlight"),
        ("not_a_link", "ytsearch10:moonlight"),
        ("not_a_link", ":ytfav"),
        ("not_a_link", "ytuser:someone"),
        ("not_a_link", "--exec=reboot"),
        ("not_a_link", "-o/tmp/x"),
        ("not_a_link", "--config-location=youtube.com/x"),
        ("not_a_link", "file:///etc/passwd"),
        ("not_a_link", f"ftp://www.youtube.com/watch?v={VIDEO}"),
        ("not_a_link", "javascript:alert(1)"),
        ("not_a_link", "data:text/html,<script>alert(1)</script>"),
        ("not_a_link", f"https://www.youtube.com/watch?v={VIDEO}\nhttps://example.com"),
        ("not_a_link", f"https://www.youtube.com/wa\ttch?v={VIDEO}"),
        ("not_a_link", f"https://www.youtube.com/watch?v={VIDEO}\x00"),
        ("not_a_link", f"\x1b[31mhttps://www.youtube.com/watch?v={VIDEO}"),
        ("not_a_link", f"https://www.youtube.com/watch?v={VIDEO}\u202e"),
        ("not_a_link", f"https://user:secret@www.youtube.com/watch?v={VIDEO}"),
        ("not_a_link", f"https://www.youtube.com@/watch?v={VIDEO}"),
        ("not_a_link", f"https://www.youtube.com:8080/watch?v={VIDEO}"),
        ("not_a_link", f"www.youtube.com:8080/watch?v={VIDEO}"),
        ("not_a_link", "https://[::1/watch"),
        ("not_a_link", "https://"),
        ("other_site", "http://localhost/watch?v=dQw4w9WgXcQ"),
        ("other_site", "http://127.0.0.1/"),
        ("other_site", "http://[::1]/"),
        ("other_site", "https://vimeo.com/12345"),
        ("other_site", f"https://www.youtube.com@example.com/watch?v={VIDEO}"),
        ("other_site", f"https://www.youtube.com.example.com/watch?v={VIDEO}"),
        ("other_site", f"https://notyoutube.com/watch?v={VIDEO}"),
        ("other_site", f"https://hooktube.com/watch?v={VIDEO}"),
        ("other_site", f"https://invidious.snopyta.org/watch?v={VIDEO}"),
        ("other_site", f"https://www.\u0443outube.com/watch?v={VIDEO}"),  # the first letter is Cyrillic
        ("incomplete", "https://www.youtube.com/watch?v=dQw4w9W"),
        ("incomplete", "https://www.youtube.com/watch?v="),
        ("incomplete", "https://www.youtube.com/shorts/abc"),
        ("incomplete", "https://www.youtube.com/playlist?list=%3Cscript%3E"),
        ("incomplete", "https://www.youtube.com/playlist?list=" + "P" * 500),
        ("incomplete", "https://music.youtube.com/browse/VL"),
        ("incomplete", f"https://www.youtube.com/watch?v=dQw4w9W&list={LIST}"),  # and not the whole playlist
        ("incomplete", f"https://www.youtube.com/embed/dQw4w9W?list={LIST}"),
        ("incomplete", f"https://www.youtube.com/shorts/dQw4w9W?list={LIST}"),
        ("incomplete", "https://www.youtube.com/vi/dQw4w9W/0.jpg"),
        ("not_a_link", f"{WATCH} https://youtu.be/aaaaaaaaaaa"),
        ("other_site", "https://consent.youtube.com/m?continue=https%3A%2F%2Fexample.com%2F"),
        ("not_a_video", "https://www.youtube.com/attribution_link?a=x"),
        ("album", "https://music.youtube.com/browse/MPREb_YVn9rqpXxhm"),
        ("channel", "https://music.youtube.com/browse/UCqj7Cz7revf5maW9g5pgNcg"),
        ("mix", f"https://www.youtube.com/playlist?list=RD{VIDEO}"),
        ("channel", "https://www.youtube.com/@someone"),
        ("channel", "https://www.youtube.com/@someone/videos"),
        ("channel", f"https://www.youtube.com/@someone?list={LIST}"),
        ("channel", "https://www.youtube.com/channel/UCqj7Cz7revf5maW9g5pgNcg"),
        ("channel", "https://www.youtube.com/user/someone"),
        ("channel", "https://www.youtube.com/c/someone"),
        ("not_a_video", "https://www.youtube.com/"),
        ("not_a_video", "https://www.youtube.com"),
        ("not_a_video", "https://youtu.be/"),
        ("not_a_video", "https://www.youtube.com/results?search_query=piano"),
        ("not_a_video", "https://www.youtube.com/feed/subscriptions"),
        ("not_a_video", "https://www.youtube.com/redirect?q=https://example.com/"),
        ("not_a_video", f"https://www.youtube.com/redirect?q=https://example.com/watch?v={VIDEO}"),
        ("not_a_video", "https://www.youtube.com/clip/UgkxVideoClip"),
    ],
)
def test_a_refusal_is_one_sentence_of_a_known_kind(kind, text):
    with pytest.raises(LinkError) as caught:
        parse(text)
    assert caught.value.kind == kind
    message = str(caught.value)
    assert len(message) < 200, message
    assert message.isprintable(), message
    assert kind != "other_site" or "only links of YouTube" in message


@settings(max_examples=300, deadline=None)
@given(
    st.text()
    | st.builds(
        lambda host, path, rest: f"https://{host}{path}{rest}",
        st.sampled_from(sorted(HOSTS)),
        st.sampled_from(["/", "/watch?v=", "/playlist?list=", "/browse/VL", "/shorts/", "/embed/", "/@"]),
        st.text(),
    )
)
def test_any_text_is_a_clean_link_or_a_refusal(text):
    try:
        link = parse(text)
    except LinkError:
        return
    assert link.kind in ("video", "playlist")
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in link.id + (link.playlist_id or ""))


def test_the_module_is_imported_without_yt_dlp():
    code = "import sys, pipeline.song.links, pipeline.song.download; print('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
