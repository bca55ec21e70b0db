"""What a family does with the pages of grades and notifications, in a real browser over the whole running platform."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import two_years
from tests.browser.conftest import Platform
from tests.browser.two_years import TwoYears
from tests.browser.visits import (
    NewContext,
    family_page,
    fits,
    mark_as_not_reloaded,
    sign_in,
    violations,
    wait_until_live,
    was_not_reloaded,
)
from tests.platform import Platform as Running


@pytest.fixture(scope="module")
def two(platform: Running) -> TwoYears:
    return two_years.made(platform)


def grades_page(page: Page, platform: Platform, child: int = 0) -> Page:
    """By the links a family takes."""
    page.locator(".pages a", has_text="Notes").click()
    page.locator(".child", has_text=platform.children[child]).click()
    expect(page.locator("h1")).to_have_text(f"Notes de {platform.children[child]}")
    return page


def mark(page: Page, title: str) -> Locator:
    return page.locator(".mark", has_text=title)


def test_grades_stand_by_subject_with_averages_and_their_evolution(platform: Platform, context: NewContext) -> None:
    platform.correct_grade(platform.post_grade(0, title="Contrôle de notes", score="14"), 0, score="14.5")
    page = grades_page(family_page(context(java_script_enabled=False), platform), platform)
    shown = mark(page, "Contrôle de notes")
    expect(shown.locator(".mark-score")).to_have_text("14,5/20")
    expect(shown.locator(".item-corrected")).to_contain_text("Correction")
    subject = page.locator(".panel", has=shown)
    expect(subject.locator("h2")).to_have_text("Mathématiques")
    expect(page.get_by_role("img", name="Évolution de la moyenne\u00a0: Moyenne générale")).to_be_visible()
    expect(page.locator(".general .reached")).to_have_text(page.locator(".general .figure").inner_text())
    subject.locator(".evolution > summary").click()
    subject.locator(".values summary").click()
    average = subject.locator(".panel-head .figure").inner_text()
    expect(subject.locator("tbody tr").first.locator("td")).to_have_text(average)
    page.locator(".pages a", has_text="Nouvelles").click()
    expect(page.locator("h1")).to_have_text("Les nouvelles du collège")


def test_a_new_grade_is_told_of_and_moves_nothing_until_asked_for(platform: Platform, context: NewContext) -> None:
    platform.post_grade(1, title="Avant", score="12")
    page = grades_page(family_page(context(), platform), platform, 1)
    wait_until_live(page)
    mark_as_not_reloaded(page)
    posted = platform.post_grade(1, title="Arrivée en direct", score="17")
    notice = page.locator("#changed p")
    expect(notice).to_be_visible()
    assert mark(page, "Arrivée en direct").count() == 0
    notice.get_by_role("link", name="Actualiser").press("Enter")
    expect(mark(page, "Arrivée en direct").locator(".mark-score")).to_have_text("17/20")
    expect(notice).to_be_hidden()
    expect(page.locator("main")).to_be_focused()
    platform.withdraw_grade(posted, 1)
    expect(mark(page, "Arrivée en direct")).to_have_count(0)
    assert was_not_reloaded(page)


@pytest.mark.parametrize(("locale", "year"), [("fr-FR", "Année scolaire {}"), ("en-GB", "School year {}")])
def test_an_earlier_school_year_is_two_keys_away_without_script(
    platform: Platform, context: NewContext, two: TwoYears, locale: str, year: str
) -> None:
    page = context(320, locale=locale, java_script_enabled=False).new_page()
    sign_in(page, platform, two.guardian)
    page.goto(f"{platform.base_url}/notes")
    expect(mark(page, "Contrôle de cinquième")).to_be_visible()
    expect(page.locator(".general .class-figures")).to_contain_text("14")
    shown = page.locator("#years > summary")
    expect(shown).to_have_text(year.format(f"{two.year - 1}\u2011{two.year}"))
    shown.press("Enter")
    former = f"{two.year - 2}\u2011{two.year - 1}"
    page.get_by_role("link", name=former).press("Enter")
    expect(mark(page, "Contrôle de sixième")).to_be_visible()
    expect(mark(page, "Contrôle de cinquième")).to_have_count(0)
    expect(shown).to_have_text(year.format(former))
    assert page.locator(".general .class-figures").count() == 0
    shown.click()
    expect(page.locator(f"#year-{two.year - 1}")).to_have_attribute("aria-current", "true")
    page.locator(f"#year-{two.year}").click()
    expect(mark(page, "Contrôle de cinquième")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_choice_of_a_year_is_accessible_and_fits_a_small_phone(
    platform: Platform, context: NewContext, two: TwoYears, scheme: str
) -> None:
    page = context(320, color_scheme=scheme, bypass_csp=True).new_page()
    sign_in(page, platform, two.guardian)
    page.goto(f"{platform.base_url}/notes")
    page.locator("#years > summary").click()
    assert violations(page) == []
    assert fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["fr-FR", "en-GB"])
def test_pages_are_accessible_and_fit_a_small_phone(
    platform: Platform, context: NewContext, locale: str, scheme: str
) -> None:
    platform.correct_grade(platform.post_grade(0, title="Accessible à tous et partout", score="15"), 0, score="16")
    page = family_page(context(320, locale=locale, color_scheme=scheme, bypass_csp=True), platform)
    page.goto(f"{platform.base_url}/notes")
    for summary in page.locator(".values summary, .evolution > summary").all():
        summary.evaluate("element => element.parentElement.open = true")
    assert violations(page) == []
    assert fits(page)
    page.locator("#changed p").evaluate("element => element.hidden = false")
    assert violations(page) == []
    page.goto(f"{platform.base_url}/notifications")
    assert violations(page) == []
    assert fits(page)


def test_who_reads_no_grades_is_sent_home(platform: Platform, context: NewContext) -> None:
    page = family_page(context(), platform)
    for asked in ("?enfant=nobody", "?enfant=00000000-0000-0000-0000-000000000000"):
        page.goto(f"{platform.base_url}/notes{asked}")
        assert page.url == f"{platform.base_url}/"
