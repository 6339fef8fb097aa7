"""Public lists of ids become lines that the scraper reads."""

import pytest

from pipeline.corpus import idlists, playlists
from pipeline.errors import SourceError

GIANTMIDI = """surname\tfirstname\tmusic\tyoutube_title\tyoutube_id\tsimilarity\tpiano_solo_prob
Satie\tErik\tGymnopedie "1"\tErik Satie, Gymnopedie "1"\tabcdefghij1\t0.9\t0.99
Satie\tErik\tVexations\tVexations for orchestra\tabcdefghij2\t0.9\t0.12
Satie\tErik\tSocrate\tSomething else\tabcdefghij3\t0.1\t0.99
Satie\tErik\tParade\tnone\tnone\t0.9\t0.99
Satie\tErik\tGnossienne\tGnossienne 1\t-bcdefghij4\t0.7\t0.95
"""
AUDIOSET = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=3, num_segs=3
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"
--BfvyPmVMo, 20.000, 30.000, "/m/03l9g"
--U7joUcTCo, 0.000, 10.000, "/m/04rlf,/m/05r5c"
"""


def test_giantmidi_keeps_likely_solo_piano_only(tmp_path):
    (tmp_path / "list.csv").write_text(GIANTMIDI)
    rows = idlists.from_giantmidi(tmp_path / "list.csv", n=10)
    assert sorted(link[-11:] for _, link, _ in rows) == ["-bcdefghij4", "abcdefghij1"]
    assert {label for label, _, _ in rows} == {"Piano"}


def test_audioset_leaves_out_every_piano(tmp_path):
    (tmp_path / "segments.csv").write_text(AUDIOSET)
    rows = idlists.from_audioset(tmp_path / "segments.csv", n=10)
    assert sorted(link[-11:] for _, link, _ in rows) == ["--4gqARaEJE", "--BfvyPmVMo"]


def test_a_seed_draws_the_same_songs(tmp_path):
    (tmp_path / "segments.csv").write_text(AUDIOSET)
    draws = [idlists.from_audioset(tmp_path / "segments.csv", n=1, seed=seed)[0] for seed in (0, 0, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 2


def test_the_scraper_reads_what_was_saved(tmp_path):
    (tmp_path / "segments.csv").write_text(AUDIOSET)
    idlists.save(idlists.from_audioset(tmp_path / "segments.csv", n=2), tmp_path / "out" / "table.csv")
    rows = playlists.read(tmp_path / "out" / "table.csv")
    assert [(row.label, row.link.kind, row.limit) for row in rows] == [("Other", "video", 1)] * 2


def test_an_id_that_is_none_is_left_out(tmp_path):
    (tmp_path / "segments.csv").write_text(AUDIOSET.replace("--4gqARaEJE", "--4gqARaEJé"))
    assert [link[-11:] for _, link, _ in idlists.from_audioset(tmp_path / "segments.csv", n=3)] == ["--BfvyPmVMo"]


@pytest.mark.parametrize(("text", "kind"), [(None, "missing"), ("", "list"), ("a,b\n1,2\n", "list")])
def test_other_files_are_refused(tmp_path, text, kind):
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_text(text)
    for read in (idlists.from_giantmidi, idlists.from_audioset):
        with pytest.raises(SourceError) as caught:
            read(path, n=1)
        assert caught.value.kind == kind
