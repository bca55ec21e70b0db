"""What a family does with the portal, in a real browser over the whole running platform."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Platform
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


def item(page: Page, title: str) -> Locator:
    return page.locator(".item", has_text=title)


# Signing in and out


def test_a_visitor_without_a_session_is_asked_to_sign_in(platform: Platform, context: NewContext) -> None:
    page = context().new_page()
    page.goto(f"{platform.base_url}/?rubrique=grades")
    expect(page.locator("h1")).to_have_text("Connexion")
    page.fill("#login", platform.guardian.login)
    page.fill("#password", platform.guardian.password)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{platform.base_url}/?rubrique=grades")


def test_a_wrong_password_is_said_clearly_and_the_login_kept(platform: Platform, context: NewContext) -> None:
    page = context().new_page()
    page.goto(f"{platform.base_url}/connexion")
    page.fill("#login", platform.guardian.login)
    page.fill("#password", "not the password")
    page.click("main button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("incorrect")
    expect(page.locator("#login")).to_have_value(platform.guardian.login)
    expect(page.locator("#password")).to_have_value("")


@pytest.mark.parametrize("suite", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"])
def test_signing_in_leads_nowhere_else(platform: Platform, context: NewContext, suite: str) -> None:
    page = context().new_page()
    page.goto(f"{platform.base_url}/connexion?suite={suite}")
    assert page.locator("input[name=suite]").get_attribute("value") == "/"


def test_signing_out_ends_the_session_in_every_tab(platform: Platform, context: NewContext) -> None:
    phone = context()
    page = family_page(phone, platform)
    wait_until_live(page)
    other = phone.new_page()
    other.goto(platform.base_url)
    wait_until_live(other)
    page.bring_to_front()
    page.click(".account summary")
    page.click(".account-menu button")
    expect(page.locator("h1")).to_have_text("Connexion")
    other.bring_to_front()
    expect(other.locator("h1")).to_have_text("Connexion", timeout=30_000)
    page.goto(platform.base_url)
    expect(page.locator("h1")).to_have_text("Connexion")


# What is shown


def test_a_family_sees_its_news(platform: Platform, context: NewContext) -> None:
    platform.post_grade(0, title="Contrôle affiché", score="14.5")
    page = family_page(context(), platform)
    for name in platform.children:
        expect(page.locator(".child", has_text=name)).to_be_visible()
    shown = item(page, "Contrôle affiché")
    expect(shown.locator(".score")).to_have_text("14,5")
    expect(shown.locator(".out-of")).to_have_text("sur 20")
    expect(shown.locator(".item-about")).to_have_text(platform.children[0])
    expect(page.locator(".day h2").first).to_have_text("Aujourd’hui")


def test_english_is_one_tap_away_and_kept(platform: Platform, context: NewContext) -> None:
    page = family_page(context(), platform)
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.goto(platform.base_url)
    expect(page.locator("h1")).to_have_text("News from school")


def test_the_browser_language_is_heard(platform: Platform, context: NewContext) -> None:
    page = context(locale="en-GB").new_page()
    page.goto(f"{platform.base_url}/connexion")
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_person_without_a_right_is_told_kindly(platform: Platform, context: NewContext) -> None:
    page = context().new_page()
    sign_in(page, platform, platform.stranger)
    expect(page.get_by_role("heading", name="Aucun enfant n’est rattaché à votre compte")).to_be_visible()


def test_a_teacher_finds_a_page_of_their_own(platform: Platform, context: NewContext) -> None:
    page = context().new_page()
    sign_in(page, platform, platform.teacher)
    expect(page.locator("h1")).to_have_text("Mon espace")
    expect(page.locator(".roles")).to_contain_text("Professeur")


def test_everything_but_live_works_without_javascript(platform: Platform, context: NewContext) -> None:
    for number in range(31):
        platform.post_grade(0, title=f"Sans script {number}", score="12")
    page = family_page(context(java_script_enabled=False), platform)
    expect(page.locator(".item")).to_have_count(30)
    page.locator(".child", has_text=platform.children[0]).click()
    expect(page.locator(".child[aria-current]")).to_contain_text(platform.children[0])
    page.locator("#category-grades").click()
    expect(page.locator("#category-grades")).to_have_attribute("aria-current", "true")
    first = page.locator(".item").first.get_attribute("id")
    page.locator("#older").click()
    expect(page.locator(".history")).to_be_visible()
    assert page.locator(f"#{first}").count() == 0
    page.locator(".account summary").click()
    page.locator(".account-menu button").click()
    expect(page.locator("h1")).to_have_text("Connexion")


# Live


def test_a_new_grade_comes_in_without_a_reload(platform: Platform, context: NewContext) -> None:
    page = family_page(context(), platform)
    wait_until_live(page)
    mark_as_not_reloaded(page)
    platform.post_grade(1, title="Contrôle en direct", score="17")
    shown = item(page, "Contrôle en direct")
    expect(shown.locator(".score")).to_have_text("17")
    expect(page.locator("#announcements")).to_contain_text(platform.children[1])
    assert page.locator(".item").first.inner_text() == shown.inner_text()
    assert was_not_reloaded(page)


def test_a_correction_replaces_and_a_withdrawal_removes(platform: Platform, context: NewContext) -> None:
    posted = platform.post_grade(0, title="Contrôle corrigé", score="8")
    page = family_page(context(), platform)
    wait_until_live(page)
    shown = item(page, "Contrôle corrigé")
    expect(shown.locator(".item-corrected")).to_be_hidden()
    platform.correct_grade(posted, 0, score="18")
    expect(shown.locator(".score")).to_have_text("18")
    expect(shown.locator(".item-corrected")).to_be_visible()
    expect(shown).to_have_count(1)
    platform.withdraw_grade(posted, 0)
    expect(shown).to_have_count(0)


def test_a_live_item_has_the_markup_of_the_server(platform: Platform, context: NewContext) -> None:
    page = family_page(context(reduced_motion="reduce"), platform)
    wait_until_live(page)
    posted = platform.post_grade(0, title="Contrôle comparé", score="9.25", comment="Bien\nContinuez")
    expect(item(page, "Contrôle comparé")).to_have_count(1)
    platform.correct_grade(posted, 0, score="11.75")
    expect(item(page, "Contrôle comparé").locator(".score")).to_have_text("11,75")
    live = markup(item(page, "Contrôle comparé"))
    page.reload()
    assert markup(item(page, "Contrôle comparé")) == live


def markup(shown: Locator) -> str:
    """The markup of an item but for what time changes: relative times and the mark of a fresh one."""
    text = str(shown.evaluate("element => element.outerHTML"))
    text = re.sub(r"(<time[^>]*>)[^<]*", r"\1", text)
    text = re.sub(r'(data-updated|data-published|datetime)="[^"]*"', r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r'class="item[^"]*"', 'class="item"', text, count=1))


def test_the_filter_of_a_child_holds_for_live_items(platform: Platform, context: NewContext) -> None:
    page = family_page(context(), platform)
    page.locator(".child", has_text=platform.children[0]).click()
    wait_until_live(page)
    platform.post_grade(1, title="Pour un autre enfant", score="10")
    platform.post_grade(0, title="Pour cet enfant", score="10")
    expect(item(page, "Pour cet enfant")).to_be_visible()
    assert item(page, "Pour un autre enfant").count() == 0


def test_tabs_share_one_stream(platform: Platform, context: NewContext) -> None:
    phone = context()
    streams: list[str] = []
    phone.on("request", lambda request: streams.append(request.url) if "/v1/stream" in request.url else None)
    first = family_page(phone, platform)
    wait_until_live(first)
    second = phone.new_page()
    second.goto(platform.base_url)
    wait_until_live(second)
    platform.post_grade(0, title="Pour deux onglets", score="13")
    for page in (first, second):
        expect(item(page, "Pour deux onglets")).to_be_visible()
    assert len(streams) == 1
    first.close()
    expect(second.locator("#state")).to_have_attribute("data-state", "live")
    platform.post_grade(0, title="Après la fermeture", score="13")
    expect(item(second, "Après la fermeture")).to_be_visible()


def test_markup_in_a_text_stays_text(platform: Platform, context: NewContext) -> None:
    attack = "<img src=x onerror=\"document.body.dataset.hit='yes'\"><script>document.body.dataset.hit='yes'</script>"
    page = family_page(context(), platform)
    wait_until_live(page)
    platform.post_grade(0, title="Texte actif", score="10", comment=attack)
    shown = item(page, "Texte actif")
    expect(shown).to_contain_text("<script>")
    assert shown.locator("img, script").count() == 0
    page.reload()
    expect(shown).to_contain_text("<script>")
    assert shown.locator("img, script").count() == 0
    assert page.evaluate("document.body.dataset.hit") is None


# For everyone


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["fr-FR", "en-GB"])
def test_every_page_is_accessible_and_fits_a_small_phone(
    platform: Platform, context: NewContext, locale: str, scheme: str
) -> None:
    platform.correct_grade(platform.post_grade(0, title="Accessible", score="15"), 0, score="16")
    # The policy of the pages would refuse the checker's own script.
    phone = context(360, locale=locale, color_scheme=scheme, bypass_csp=True)
    page = phone.new_page()

    def check(what: str) -> None:
        assert violations(page) == [], what
        assert fits(page), what

    page.goto(f"{platform.base_url}/connexion")
    check("sign in")
    page.fill("#login", "nobody-of-this-name")
    page.fill("#password", "wrong")
    page.click("main button[type=submit]")
    expect(page.get_by_role("alert")).to_be_visible()
    check("wrong password")
    sign_in(page, platform, platform.guardian)
    check("home")
    page.click(".account summary")
    check("account menu")
    page.click("#category-news")
    check("a section")
    page.goto(f"{platform.base_url}/nowhere")
    check("not found")


def test_the_keyboard_reaches_the_content_first(platform: Platform, context: NewContext) -> None:
    page = family_page(context(), platform)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_pages_forbid_inline_script_and_are_kept_by_nobody(platform: Platform, context: NewContext) -> None:
    page = context().new_page()
    answer = page.goto(f"{platform.base_url}/connexion")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
