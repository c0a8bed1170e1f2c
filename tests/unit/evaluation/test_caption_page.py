"""The page of captions: what is on it, that it needs nothing else, and that no text of a data set becomes markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optophone.core.errors import DataError
from optophone.evaluation.caption_page import PageConfig, PageItem, caption_page, write_page

ROWS = [("", "score", "95 % interval"), ("BLEU-4", "12.3", "10.0 .. 14.0"), ("SPICE", "", "not measured: needs <Java>")]
EVIL = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "img"}


class Outline(HTMLParser):
    """Headings, pictures and links of a page; fails where tags do not close in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.levels: list[int] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.links.append(found["href"] or "")
        if "id" in found:
            self.ids.append(found["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and re.fullmatch(r"h\d", self.open[-1]):
            self.headings.append(data)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(np.full((300, 900, 3), 120, np.uint8)).save(path)
    return path


def items(picture: Path | None, n: int) -> list[PageItem]:
    return [
        PageItem(f"p{i}", picture, f"caption {i}", [f"people {i}", EVIL], {"CIDEr-D": 3.21 * i}, rank=i, confidence=0.5)
        for i in range(n)
    ]


def test_best_worst_and_random_are_shown(picture: Path):
    page = caption_page("Dev", {"Command": "x"}, ROWS, items(picture, 30), PageConfig(n_pictures=2))
    outline = Outline(page)
    shown = [int(heading.split()[1]) for heading in outline.headings if re.fullmatch(r"caption \d+", heading)]
    assert shown[:4] == [29, 28, 0, 1]
    assert len(set(shown)) == len(shown) == 6
    assert page == caption_page("Dev", {"Command": "x"}, ROWS, items(picture, 30), PageConfig(n_pictures=2))
    for text in ("BLEU-4", "10.0 .. 14.0", "93.1", "50 %", "people 29"):
        assert text in page


def test_few_pictures_are_all_shown(picture: Path):
    outline = Outline(caption_page("Dev", {}, ROWS, items(picture, 6), PageConfig(n_pictures=2)))
    assert "All pictures" in outline.headings
    assert len(outline.images) == 6


def test_the_page_needs_nothing_else(picture: Path, tmp_path: Path):
    page = caption_page("Dev", {}, ROWS, items(picture, 3), PageConfig())
    outline = Outline(page)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in outline.images)
    assert not {"script", "link", "iframe"} & set(outline.tags)
    assert not re.search(r"(?:https?:)?//[a-z]|url\(|@import", re.sub(r"base64,[^']*", "", page))
    assert len(page) < 100_000


def test_text_is_never_markup():
    found = [PageItem(EVIL, None, EVIL, [EVIL], {EVIL: 1.0}, 1.0)]
    page = caption_page(EVIL, {EVIL: EVIL}, [*ROWS, (EVIL, EVIL, EVIL)], found, PageConfig())
    outline = Outline(page)
    assert "script" not in outline.tags
    assert "<script" not in page
    assert EVIL in outline.headings


def test_quotes_do_not_leave_an_attribute(picture: Path):
    evil = "x' onload='y\" onload=\"z"
    page = caption_page("t", {}, ROWS, [PageItem(evil, picture, "c", [evil], {}, 0)], PageConfig())
    (image,) = Outline(page).images
    assert set(image) == {"src", "alt", "loading"}
    assert evil in (image["alt"] or "")


def test_a_screen_reader_finds_its_way(picture: Path):
    page = caption_page("Dev", {}, ROWS, items(picture, 30), PageConfig(n_pictures=2))
    outline = Outline(page)
    assert '<html lang="en">' in page
    assert outline.tags.count("main") == outline.tags.count("h1") == outline.tags.count("title") == 1
    assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert all("A person wrote: people" in (image["alt"] or "") for image in outline.images)
    assert [link.removeprefix("#") for link in outline.links] == ["scores", "best", "worst", "random"]
    assert set(outline.ids) >= {"scores", "best", "worst", "random"}
    assert len(outline.ids) == len(set(outline.ids))
    assert "<th scope='row'>BLEU-4</th>" in page
    assert "prefers-color-scheme: dark" in page


def test_pictures_that_cannot_be_read_leave_a_word(tmp_path: Path):
    (tmp_path / "bad.jpg").write_text("no picture")
    for path in (None, tmp_path / "bad.jpg", tmp_path / "missing.jpg"):
        page = caption_page("t", {}, ROWS, items(path, 1), PageConfig())
        assert "No picture to show." in page
        assert not Outline(page).images


def test_a_folder_gets_an_index(tmp_path: Path):
    assert write_page(tmp_path / "new" / "report", "x") == tmp_path / "new/report/index.html"
    assert write_page(tmp_path / "a.htm", "\udc80").read_text() == "?"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the report"):
        write_page(tmp_path / "file", "x")
