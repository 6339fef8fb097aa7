"""What is kept is whole: a file that could not be written to its end leaves the one that was there."""

import json

import pandas as pd
import pytest

from pipeline import files


def test_a_file_takes_its_place_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "Résultats.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(KeyError), files.replacing(path) as temporary:
        temporary.write_text("sec")
        raise KeyError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_json_and_tables_come_back(tmp_path):
    files.write_json(tmp_path / "a.json", {"é": [1, None]})
    files.write_table(
        tmp_path / "a.csv", pd.DataFrame({"class": ["Violín, solo"], "share": [0.123456]}), float_format="%.3g"
    )
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": [1, None]}
    assert (tmp_path / "a.csv").read_bytes() == 'class,share\n"Violín, solo",0.123\n'.encode()


def test_a_section_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    files.write_section(page, "figures", "| new |")
    files.write_section(page, "figures", "| newer |")
    assert page.read_text() == "before\n<!-- figures -->\n\n| newer |\n\n<!-- end of figures -->\nafter\n"
    assert files.section(page, "figures") == "| newer |"
    with pytest.raises(ValueError, match="no section results"):
        files.section(page, "results")
