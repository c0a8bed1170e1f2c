"""A page to look through captions: pictures with what was said and what people say, and the scores of the set.

The page is one file: pictures are inside it, it asks for nothing from anywhere and runs no program.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from optophone.core.errors import DataError, PictureError
from optophone.core.picture import load_picture
from optophone.core.whole_file import why_unwritten, write_whole

_SIDE = 320  # pixels of the longer side of a picture
_QUALITY = 78  # of JPEG


@dataclass(frozen=True)
class PageItem:
    """A picture on the page.

    Args:
        name: of the picture.
        picture: its file; None where there is none to show.
        caption: what is scored.
        references: human captions.
        scores: label to the score of this caption, such as "CIDEr-D".
        rank: by which items are sorted.
        confidence: 0..1, or None.
    """

    name: str
    picture: Path | None
    caption: str
    references: Sequence[str]
    scores: Mapping[str, float]
    rank: float
    confidence: float | None = None


@dataclass(frozen=True)
class PageConfig:
    """What is shown.

    Args:
        n_pictures: best, worst and random pictures, so many of each.
        sorted_by: label of the score that decides what is best.
        seed: of the random ones.
    """

    n_pictures: int = 12
    sorted_by: str = "CIDEr-D"
    seed: int = 0


def caption_page(
    title: str, facts: Mapping[str, str], rows: Sequence[Sequence[str]], items: Sequence[PageItem], config: PageConfig
) -> str:
    """The page as HTML.

    Args:
        title: its heading.
        facts: what was measured, and how: name to text.
        rows: the table of scores, of three cells each; the first is the head.
        items: the pictures.
        config: which of them are shown.
    """
    sections = [(key, heading, text, shown) for key, heading, text, shown in _sections(items, config) if shown]
    pictures = {item.name: _thumbnail(item.picture) for _, _, _, shown in sections for item in shown}
    links = [("scores", "Scores"), *((key, heading) for key, heading, _, _ in sections)]
    body = [
        f"<h1>{escape(title)}</h1>",
        "<dl class='facts'>",
        *(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items()),
        "</dl>",
        "<nav aria-label='Sections'><ul>",
        *(f"<li><a href='#{key}'>{escape(heading)}</a></li>" for key, heading in links),
        "</ul></nav>",
        _table(rows),
        *(_section(*section, pictures) for section in sections),
    ]
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(body))


def write_page(path: str | Path, page: str) -> Path:
    """Write `page`, all or nothing, to `path`, or to index.html in it where it does not end in .html or .htm.

    Returns:
        The file.

    Raises:
        DataError: it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        path = path / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page.encode(errors="replace"))
    except OSError as error:
        raise DataError(f"{path}: cannot write the report ({why_unwritten(error)}).") from None
    return path


def _sections(items: Sequence[PageItem], config: PageConfig) -> list[tuple[str, str, str, list[PageItem]]]:
    """Key, heading, explanation and items of each section; one section for all where there are few."""
    n, ordered = config.n_pictures, sorted(items, key=lambda item: -item.rank)
    if len(ordered) <= 3 * n:
        return [("all", "All pictures", f"The highest {config.sorted_by} first.", ordered)]
    middle = ordered[n : len(ordered) - n]
    drawn = np.sort(np.random.default_rng(config.seed).permutation(len(middle))[:n])
    of_all = f"of {len(items)} pictures"
    return [
        ("best", "Best captions", f"The {n} highest {config.sorted_by} {of_all}.", ordered[:n]),
        ("worst", "Worst captions", f"The {n} lowest {config.sorted_by} {of_all}, lowest first.", ordered[-n:][::-1]),
        ("random", "Random captions", f"{n} of the others, drawn by chance.", [middle[i] for i in drawn]),
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    lines = ["<section aria-labelledby='scores'><h2 id='scores'>Scores</h2><div class='wide'><table>"]
    lines += ["<caption>Over all pictures that were scored</caption><thead><tr><th scope='col'>Measure</th>"]
    lines += [*(f"<th scope='col'>{escape(cell)}</th>" for cell in head[1:]), "</tr></thead><tbody>"]
    for name, *cells in others:
        lines.append(
            f"<tr><th scope='row'>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        )
    return "\n".join([*lines, "</tbody></table></div></section>"])


def _section(key: str, heading: str, text: str, items: Sequence[PageItem], pictures: Mapping[str, str]) -> str:
    lines = [f"<section aria-labelledby='{key}'><h2 id='{key}'>{escape(heading)}</h2><p>{escape(text)}</p><ol>"]
    return "\n".join([*lines, *(_item(item, pictures[item.name]) for item in items), "</ol></section>"])


def _item(item: PageItem, picture: str) -> str:
    """One picture; what a person wrote of it is its text for those who do not see it."""
    seen = f"Picture {item.name}." + (f" A person wrote: {item.references[0]}" if item.references else "")
    image = f"<img src='{picture}' alt='{escape(seen)}' loading='lazy'>" if picture else "<p>No picture to show.</p>"
    scores = {name: f"{score:.1f}" for name, score in item.scores.items()}
    if item.confidence is not None:
        scores["Confidence"] = f"{100 * item.confidence:.0f} %"
    return "\n".join(
        [
            f"<li><article><h3>{escape(item.caption) or 'No words'}</h3>{image}<p class='name'>{escape(item.name)}</p>",
            "<dl>",
            *(f"<div><dt>{escape(name)}</dt><dd>{score}</dd></div>" for name, score in scores.items()),
            "</dl><h4>People wrote</h4><ul>",
            *(f"<li>{escape(reference)}</li>" for reference in item.references),
            "</ul></article></li>",
        ]
    )


def _thumbnail(path: Path | None) -> str:
    """The picture, small, as a data URL; "" where it cannot be read."""
    if path is None:
        return ""
    try:
        image = Image.fromarray(load_picture(path, at_least=_SIDE))
    except PictureError:
        return ""
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
_STYLE = """
:root { color-scheme: light dark; --line: #767676; --card: #f3f3f3; --link: #0b4fa8; }
@media (prefers-color-scheme: dark) { :root { --line: #8c8c8c; --card: #242424; --link: #8ab8ff; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 75rem; margin: auto; padding: 1rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0; list-style: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
caption { text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
th[scope=row] { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; padding: 0; }
ol > li { list-style: none; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; }
ol > li { padding: .8rem; overflow-wrap: anywhere; }
h3, h4 { margin: .3rem 0; }
h4 { font-size: 1rem; }
img { display: block; max-width: 100%; height: auto; }
.name { margin: .2rem 0; font-size: .875rem; }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .4rem 0; }
dl div { display: flex; gap: .4rem; }
dl.facts div { flex-basis: 100%; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
article ul { margin: 0; padding-left: 1.2rem; }
"""
