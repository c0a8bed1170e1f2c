"""The page in a real Chromium: heard by keyboard alone, and right for those who cannot see it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tiny_bundles import BRIGHT, DARK, flat, picture, write_system

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to drive")

from playwright import sync_api as playwright

import optophone
from served import Served, served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium here", allow_module_level=True)

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DESCRIBED_MS = 20_000
BUSY = "Describing, please wait."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    system = write_system(tmp_path_factory.mktemp("bundles") / "system", refuses_flat=True)
    with served(optophone.load(system, threads=1)) as running:
        yield running


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with day.png, night.png and drawing.png."""
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(-20, 20, (40, 60, 3))
    for name, bright in (("day", True), ("night", False)):
        Image.fromarray((picture(bright) + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(flat()).save(folder / "drawing.png")
    (folder / "text.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Page:
    """An open page, with what went wrong on it and where it asked."""

    def __init__(self, browser: Any, server: Served, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.choosers: list[Any] = []
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("filechooser", lambda chooser: self.choosers.append(chooser))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        self.page.add_init_script(LISTEN)
        self.address = f"http://127.0.0.1:{server.port}"
        self.page.goto(self.address)
        self.page.wait_for_load_state("networkidle")

    def expect(self, selector: str) -> Any:
        return playwright.expect(self.page.locator(selector))

    def focus(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.textContent"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, path: Path, *keys: str) -> None:
        """Choose a file by `keys`, which open the dialog."""
        n_before = len(self.choosers)
        self.press(*keys)
        for _ in range(200):
            if len(self.choosers) > n_before:
                break
            self.page.wait_for_timeout(20)
        self.choosers[-1].set_files(path)

    def played(self) -> list[float]:
        """The lengths in seconds of the sounds that began."""
        return list(self.page.evaluate("window.played"))

    def said(self) -> list[str]:
        """What the live region said, in order."""
        return list(self.page.evaluate("window.announced"))

    def wait_for_status(self, text: str) -> None:
        self.expect("#status").to_have_text(text, timeout=DESCRIBED_MS)

    def close(self) -> None:
        self.context.close()
        assert self.faults == []
        assert [url for url in self.requests if not url.startswith((self.address, "blob:"))] == []


# Notes what a screen reader would be told, and which sounds begin.
LISTEN = """
window.played = [];
window.announced = [];
document.addEventListener('playing', (event) => window.played.push(event.target.duration), true);
document.addEventListener('DOMContentLoaded', () => {
  const status = document.getElementById('status') ?? document.body;
  new MutationObserver(() => {
    const copy = status.cloneNode(true);
    copy.querySelectorAll('[aria-hidden=true]').forEach((hidden) => hidden.remove());
    if (copy.textContent) window.announced.push(copy.textContent);
  }).observe(status, { childList: true, characterData: true, subtree: true });
});
"""


@pytest.fixture
def page(browser: Any, server: Served) -> Iterator[Page]:
    opened = Page(browser, server, viewport={"width": 1000, "height": 800})
    yield opened
    opened.close()


def test_the_whole_way_by_keyboard_alone(page: Page, photos: Path) -> None:
    page.press("Tab")
    assert page.focus() == "choose"
    page.choose(photos / "day.png", "Enter")
    page.expect("#said").to_have_text(BRIGHT, timeout=DESCRIBED_MS)
    page.expect("#sure").to_contain_text("Sure")
    page.wait_for_status("Done.")
    assert page.said()[:2] == [BUSY, "Done."]
    assert max(page.played()) > 1  # the description; the page's own words are shorter or longer, so all count
    n_played = len(page.played())
    assert page.focus() == "choose"  # nothing took it away

    order = []
    for _ in range(12):
        page.press("Tab")
        order.append(page.focus())
    assert order[:6] == ["photograph", "paste", "repeat", "stop", "another", "speed"]

    page.page.locator("#repeat").focus()
    page.press("Enter")
    page.wait_for_status("Speaking.")
    page.press("Escape")
    page.wait_for_status("Stopped.")
    assert page.page.evaluate("document.getElementById('sound').paused")
    assert len(page.played()) > n_played - 1
    assert page.focus() == "repeat"


def test_shortcuts_work_are_shown_and_can_be_switched_off(page: Page, photos: Path) -> None:
    page.choose(photos / "night.png", "Alt+KeyO")
    page.expect("#said").to_have_text(DARK, timeout=DESCRIBED_MS)
    page.press("Alt+Period", "Alt+Period")
    page.expect("#speed-shown").to_have_text("1.5 times")
    assert page.page.evaluate("document.getElementById('sound').playbackRate") == 1.5
    page.press("Alt+KeyN")
    page.expect("#others").to_be_visible(timeout=DESCRIBED_MS)
    assert page.page.locator("#variants li").count() > 1
    page.press("Escape")
    page.expect("#status").not_to_have_text(BUSY)
    page.press("Alt+KeyR")
    page.wait_for_status("Done.")
    assert page.page.get_attribute("#repeat", "aria-keyshortcuts") == "Alt+R"
    page.expect("#keys").to_be_visible()

    page.page.locator("#shortcuts").focus()
    page.press("Space")
    page.expect("#keys").to_be_hidden()
    assert page.page.get_attribute("#repeat", "aria-keyshortcuts") is None
    n_played = len(page.played())
    page.press("Alt+KeyR")
    page.page.wait_for_timeout(200)
    assert len(page.played()) == n_played
    page.page.reload()
    page.expect("#shortcuts").not_to_be_checked()  # remembered


def test_a_screen_reader_may_read_instead(page: Page, photos: Path) -> None:
    page.page.locator("[value=screen-reader]").focus()
    page.press("Space")
    page.choose(photos / "day.png", "Alt+KeyO")
    page.expect("#status").to_contain_text(f"{BRIGHT}. Sure: ", timeout=DESCRIBED_MS)
    assert page.played() == []


def test_what_is_no_photograph_and_what_is_no_picture(page: Page, photos: Path) -> None:
    page.choose(photos / "drawing.png", "Alt+KeyO")
    page.expect("#said").to_contain_text("I cannot tell", timeout=DESCRIBED_MS)
    page.expect("#another").to_be_hidden()
    page.wait_for_status("Done.")
    page.choose(photos / "text.png", "Alt+KeyO")
    page.expect("#status").to_contain_text("Not described. The picture is not a picture", timeout=DESCRIBED_MS)
    page.faults.clear()  # the browser notes the refusal


def test_pictures_can_be_pasted_dropped_and_photographed(page: Page, photos: Path) -> None:
    give = """([event, target, content]) => {
        const files = new DataTransfer();
        if (content) files.items.add(new File([Uint8Array.from(content)], 'photo.png', {type: 'image/png'}));
        const made = event === 'paste'
            ? new ClipboardEvent('paste', {clipboardData: files, bubbles: true, cancelable: true})
            : new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true});
        document.querySelector(target).dispatchEvent(made);
    }"""
    page.page.evaluate(give, ["paste", "body", list((photos / "day.png").read_bytes())])
    page.expect("#said").to_have_text(BRIGHT, timeout=DESCRIBED_MS)
    page.page.evaluate(give, ["drop", "main", list((photos / "night.png").read_bytes())])
    page.expect("#said").to_have_text(DARK, timeout=DESCRIBED_MS)
    page.page.evaluate(give, ["paste", "body", None])
    page.wait_for_status("There is no picture in the clipboard.")

    page.press("Alt+KeyP")
    page.expect("#camera").to_be_visible()
    assert page.focus() == "shoot"
    check_by_axe(page)
    page.press("Escape")
    page.expect("#camera").to_be_hidden()
    assert page.page.evaluate("document.getElementById('view').srcObject") is None
    page.press("Alt+KeyP")
    page.expect("#camera").to_be_visible()
    page.press("Enter")
    page.expect("#camera").to_be_hidden()
    page.expect("#status").not_to_have_text("The camera is on.", timeout=DESCRIBED_MS)
    page.press("Escape")


def test_those_who_see_get_pictures(page: Page, photos: Path) -> None:
    page.choose(photos / "day.png", "Alt+KeyO")
    page.expect("#looked").to_be_visible(timeout=DESCRIBED_MS)
    assert page.page.locator("#words div").all_inner_texts() == BRIGHT.split()
    page.expect("#heard").to_be_visible(timeout=DESCRIBED_MS)
    colours = """() => {
        const canvas = document.getElementById('spectrogram');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(pixels.filter((_, i) => i % 4 === 0)).size;
    }"""
    assert page.page.evaluate(colours) > 20
    assert "seconds" in page.page.get_attribute("#spectrogram", "aria-label")
    assert page.page.get_attribute("#preview", "alt") == BRIGHT


LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1000, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 800}},
    "forced": {"forced_colors": "active", "viewport": {"width": 1000, "height": 800}},
    "contrast": {"contrast": "more", "viewport": {"width": 1000, "height": 800}},
    "phone": {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_accessible_in_every_look(browser: Any, server: Served, photos: Path, look: str, tmp_path: Path) -> None:
    page = Page(browser, server, reduced_motion="reduce", **LOOKS[look])
    check_accessibility(page)
    page.choose(photos / "day.png", "Alt+KeyO")
    page.expect("#heard").to_be_visible(timeout=DESCRIBED_MS)
    page.press("Alt+KeyN")
    page.expect("#others").to_be_visible(timeout=DESCRIBED_MS)
    check_accessibility(page)
    assert page.page.evaluate("getComputedStyle(document.getElementById('status')).animationName") == "none"
    shot = page.page.screenshot(path=tmp_path / f"{look}.png", full_page=True)
    assert len(shot) > 10_000
    page.close()


# The least that a page owes those who do not see it, checked without anybody else's program.
CHECKS = """() => {
    const faults = [];
    const isShown = (one) => one.checkVisibility();
    const nameOf = (one) => one.getAttribute('aria-label') || one.labels?.[0]?.innerText || one.innerText || one.alt ||
        document.getElementById(one.getAttribute('aria-labelledby'))?.innerText || '';
    for (const one of document.querySelectorAll('button, input, a[href], select, img, canvas[role], dialog, section')) {
        if (isShown(one) && !nameOf(one).trim()) faults.push('without a name: ' + one.outerHTML.slice(0, 80));
    }
    let level = 0;
    for (const heading of [...document.querySelectorAll('h1, h2, h3, h4')].filter(isShown)) {
        const own = Number(heading.tagName[1]);
        if (own > level + 1) faults.push('heading skips a level: ' + heading.innerText);
        level = own;
    }
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
    if (document.querySelectorAll('main').length !== 1) faults.push('not one main');
    if (!document.documentElement.lang || !document.title) faults.push('no language or title');
    if (document.querySelector('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])')) faults.push('tabindex');
    const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
    if (new Set(ids).size !== ids.length) faults.push('an id twice');
    if (document.documentElement.scrollWidth > innerWidth) faults.push('wider than the window');

    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const [r, g, b] = parts(colour).map((v) => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const ground = (one) => {
        const colour = one ? getComputedStyle(one).backgroundColor : 'rgb(255, 255, 255)';
        return one && (parts(colour)[3] ?? 1) === 0 ? ground(one.parentElement) : colour;
    };
    const text = 'h1, h2, h3, p, label, button, legend, figcaption, dt, dd, kbd, a, li, output';
    for (const one of document.querySelectorAll(text)) {
        if (!isShown(one) || !one.innerText.trim()) continue;
        const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 7) faults.push(`contrast ${ratio.toFixed(1)}: ` + one.outerHTML.slice(0, 80));
    }
    for (const one of document.querySelectorAll('button')) {
        const box = one.getBoundingClientRect();
        if (isShown(one) && (box.height < 44 || box.width < 44)) faults.push('too small to touch: ' + nameOf(one));
    }
    return faults;
}"""


def check_accessibility(page: Page) -> None:
    assert page.page.evaluate(CHECKS) == []
    check_by_axe(page)


def check_by_axe(page: Page) -> None:
    """No violation of any rule of axe-core."""
    found = axe.Axe().run(page.page).response
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
    assert found["testEngine"]["name"] == "axe-core"


def test_the_list_of_addresses_is_accessible(page: Page) -> None:
    page.page.goto(f"{page.address}/docs")
    check_by_axe(page)


def test_the_checks_notice_what_is_wrong(page: Page) -> None:
    page.page.evaluate("document.getElementById('choose').textContent = ''")
    with pytest.raises(AssertionError, match="button-name"):
        check_by_axe(page)
