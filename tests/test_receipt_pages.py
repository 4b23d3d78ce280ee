"""A receipt is one page, of A4 or Letter, from us or from a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pypdf
import pytest
from receipt_samples import SCRIPTS, a_receipt, a_ride, html, pdf, printed, refunds

from tests.patience import PATIENCE

FULL = a_ride(
    description="W" * 500,
    caller_reference="r" * 100,
    order_id=2**63 - 1,
    user_id=2**63 - 1,
    refunded=4500,
    refunds=refunds(3, 1500),
)
ONE_PAGE = {
    "plain": a_ride(),
    "full": FULL,
    "arabic": a_receipt(
        currency="KWD", description=SCRIPTS["Arabic"], pickup_zone=SCRIPTS["Arabic"]
    ),
    "words": a_ride(description="a word and more " * 31),
}


@pytest.mark.parametrize("name", sorted(ONE_PAGE))
def test_the_pdf_has_one_page(name: str) -> None:
    assert len(pdf(ONE_PAGE[name], locale="ar_KW").pages) == 1


def test_a_word_without_end_is_broken_before_the_margin() -> None:
    runs = re.findall("W+", pdf(FULL).pages[0].extract_text())
    # At 10 pt a W takes 9.3 pt, and the text is 470 pt wide.
    assert sum(map(len, runs)) == 500
    assert max(map(len, runs)) <= 50


def test_many_refunds_flow_to_numbered_pages() -> None:
    receipt = a_ride(refunded=6000, refunds=refunds(60, 100))
    document = pdf(receipt)
    pages = len(document.pages)
    assert pages > 1
    for number, page in enumerate(document.pages, start=1):
        assert f"{number} / {pages}" in page.extract_text()
    assert printed(document).count("-₹1.00") == 60


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("CI has to print the receipt, and there is no chromium on PATH")
    return found or pytest.skip("no chromium on PATH to print the receipt with")


@pytest.mark.slow
@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("name", sorted(ONE_PAGE))
def test_a_browser_prints_one_page(name: str, paper: str, chromium: str, tmp_path: Path) -> None:
    page = html(ONE_PAGE[name], locale="ar_KW" if name == "arabic" else "en_IN")
    # The page leaves the size to the printer; this stands for the printer's choice.
    sized = page.replace("</style>", f"@page {{ size: {paper} }}</style>")
    assert sized != page
    (tmp_path / "receipt.html").write_text(sized, encoding="utf-8")
    subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--print-to-pdf={tmp_path / 'receipt.pdf'}",
            (tmp_path / "receipt.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    document = pypdf.PdfReader(tmp_path / "receipt.pdf")
    assert len(document.pages) == 1
    width = 595 if paper == "A4" else 612
    assert abs(float(document.pages[0].mediabox.width) - width) < 1
    assert "RCP-PAY-20261120-7K2M9QX4TB3A" in printed(document)
