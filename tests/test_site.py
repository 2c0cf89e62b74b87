"""The documentation site is built without warnings, contains all pages, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.console import ROOT
from tests.support.waiting import PATIENCE_SECONDS

PAGES = sorted((ROOT / "docs").glob("*.md"))


class Resources(HTMLParser):
    """Collects the URLs of what a browser loads with a page, unlike the targets of links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value or "" for name, value in attrs if name == ("href" if tag == "link" else "src")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the site, as ``zensical build --strict`` writes it."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", directory / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", directory)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert built.returncode == 0, built.stdout + built.stderr
    return directory / "site"


def test_every_page_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()

    assert len(PAGES) > 15
    for page in PAGES:
        name = f"{page.stem}.html"
        assert (site / name).is_file()
        assert f'href="./{name}"' in home or page.stem == "index", name


def test_all_blocks_are_laid_out(site: Path) -> None:
    assert [path.name for path in site.glob("*.html") if "```" in path.read_text()] == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = [path.read_text() for path in site.glob("*.html")]
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    loaded = {url for page in pages for url in Resources(page).urls}

    assert any(url.endswith(".css") for url in loaded)
    assert any(url.endswith(".svg") for url in loaded)
    assert [url for url in loaded if re.match(r"(\w+:)?//", url)] == []
    assert re.findall(r"url\([\"']?(?:https?:)?//", styles) == []


def test_scripts_that_make_pages_are_not_on_the_site(site: Path) -> None:
    assert list(site.rglob("*.py")) == []
