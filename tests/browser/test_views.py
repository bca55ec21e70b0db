"""What the public API answers, arranged for a page: days, times, scores, filters, languages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.envelope import Audience
from contracts.feed import Category, Coded, ItemPut, Score, Text
from contracts.grades import GradeCode
from services.portal import views
from services.portal.api.parts import safe_next
from services.portal.client import FeedPage, FeedQuery, Me
from services.portal.words import EN, FR, LANGUAGES, Words, choose

LEA, TOM = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
SCORE = Score(label="Mathématiques", value="14.5", out_of="20")


def child(identity: UUID, name: str, uai: str = "0921234S") -> dict[str, str]:
    return {
        "id": str(identity),
        "given_name": name,
        "family_name": "Moreau",
        "class_name": "5e B",
        "uai": uai,
        "school_name": f"Collège {uai}",
    }


def me(*children: dict[str, str], roles: tuple[str, ...] = ()) -> Me:
    person = {"id": str(UUID(int=9)), "given_name": "Claire", "family_name": "Moreau"}
    held = [{"name": role, "uai": "0921234S", "school_name": "Collège Jean-Zay"} for role in roles]
    return Me.model_validate_json(json.dumps({"person": person, "roles": held, "children": children}))


FAMILY = me(child(LEA, "Léa"), child(TOM, "Tom"), roles=("guardian",))


def put(
    title: str = "Mathématiques\u202f: 14,5/20",
    *,
    summary: str = "Fractions",
    at: datetime = NOON,
    category: Category = Category.GRADES,
    scope: str = f"pupils/{LEA}",
    corrected: bool = False,
    figure: Score | Coded | None = SCORE,
) -> ItemPut:
    return ItemPut(
        id=UUID(int=7),
        scope=scope,
        audience=Audience.GUARDIANS,
        uai="0921234S",
        school_year=2026,
        category=category,
        title=Text(fr=title, en=f"EN {title}"),
        summary=Text(fr=summary, en=f"EN {summary}"),
        published_at=at,
        updated_at=at,
        corrected=corrected,
        figure=figure,
    )


def home(who: Me = FAMILY, query: FeedQuery | None = None, *items: ItemPut, more: str | None = None) -> views.HomeView:
    page = FeedPage(items=list(items), next=more, cursor="here")
    return views.home(who, page, query or FeedQuery(), FR, NOON)


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        (timedelta(seconds=-3), "à l’instant"),
        (timedelta(seconds=59), "à l’instant"),
        (timedelta(minutes=1), "il y a 1\u00a0min"),
        (timedelta(minutes=59, seconds=59), "il y a 59\u00a0min"),
        (timedelta(hours=1), "11\u00a0h\u00a000"),
        (timedelta(hours=13), "hier à 23\u00a0h\u00a000"),
        (timedelta(days=22), "le 1er novembre à 12\u00a0h\u00a000"),
    ],
)
def test_a_moment_is_said_as_people_say_it(ago: timedelta, shown: str) -> None:
    assert views.moment(NOON - ago, FR, NOON) == shown


def test_a_day_is_a_day_in_the_schools_zone() -> None:
    # 23:30 in Paris on the 22nd is still the 22nd in UTC; 00:30 in Paris on the 23rd is the 22nd in UTC.
    late, early = datetime(2026, 11, 22, 22, 30, tzinfo=UTC), datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    days = views.days([put(at=early), put(at=late)], FAMILY, FR, NOON)
    assert [(day.date, day.title) for day in days] == [("2026-11-23", "Aujourd’hui"), ("2026-11-22", "Hier")]


@pytest.mark.parametrize(
    ("day", "french", "english"),
    [
        (datetime(2026, 11, 20, tzinfo=UTC), "Vendredi 20 novembre", "Friday 20 November"),
        (datetime(2026, 9, 1, tzinfo=UTC), "Mardi 1er septembre", "Tuesday 1 September"),
        (datetime(2025, 12, 31, tzinfo=UTC), "Mercredi 31 décembre 2025", "Wednesday 31 December 2025"),
    ],
)
def test_a_day_in_full(day: datetime, french: str, english: str) -> None:
    assert views.day_title(day.date(), FR, NOON) == french
    assert views.day_title(day.date(), EN, NOON) == english


@pytest.mark.parametrize(
    ("figure", "words", "shown"),
    [
        (Score(label="Maths", value="14.5", out_of="20"), FR, ("Maths", "14,5", "20")),
        (Score(label="Maths", value="14.5", out_of="20"), EN, ("Maths", "14.5", "20")),
        (Coded(label="Maths", code="absent_zero"), FR, ("Maths", "Absent, compté 0", "")),
        (Coded(label="Maths", code="of_the_future"), FR, ("Titre", "", "")),
        (None, EN, ("EN Titre", "", "")),
    ],
)
def test_a_figure_is_shown_apart_from_the_title(
    figure: Score | Coded | None, words: Words, shown: tuple[str, str, str]
) -> None:
    assert views.titled(put("Titre", figure=figure), words) == shown


def test_every_code_has_words_in_every_language() -> None:
    assert all(set(words.codes) == set(GradeCode) for words in LANGUAGES.values())


def test_an_item_speaks_the_language_of_the_page_and_names_the_child() -> None:
    shown = views.item_view(put(corrected=True), FAMILY, EN, NOON)
    assert (shown.title, shown.score, shown.out_of, shown.about) == ("Mathématiques", "14.5", "20", "Léa")
    assert shown.kind == "Grade"
    assert shown.corrected == "just now"


def test_what_concerns_a_school_names_it_only_where_there_are_several() -> None:
    news = put(category=Category.NEWS, scope="schools/0921234S")
    two = me(child(LEA, "Léa"), child(TOM, "Tom", "0929999X"))
    assert views.item_view(news, FAMILY, FR, NOON).about == ""
    assert views.item_view(news, two, FR, NOON).about == "Collège 0921234S"


def test_filters_are_plain_links_that_keep_each_other() -> None:
    view = home(FAMILY, FeedQuery(child=TOM, category="grades"), more="a+b/=")
    assert view.everyone is not None
    assert view.everyone.href == "/?rubrique=grades"
    assert [(c.name, c.current) for c in view.children] == [("Léa", False), ("Tom", True)]
    assert [c.href for c in view.categories][:2] == [f"/?enfant={TOM}", f"/?enfant={TOM}&rubrique=grades"]
    assert view.older == f"/?enfant={TOM}&rubrique=grades&avant=a%2Bb%2F%3D"
    assert view.filtered


def test_an_only_child_needs_no_filter() -> None:
    view = home(me(child(LEA, "Léa")))
    assert view.everyone is None
    assert view.children[0].current


@pytest.mark.parametrize(
    ("who", "title", "no_right"),
    [
        (FAMILY, FR.family_title, False),
        (me(roles=("pupil",)), FR.own_title, False),
        (me(roles=("teacher",)), FR.staff_title, False),
        (me(roles=("guardian",)), FR.family_title, True),
        (me(), FR.family_title, True),
        (Me(), FR.family_title, True),
    ],
)
def test_each_visitor_gets_a_fitting_page(who: Me, title: str, no_right: bool) -> None:
    view = home(who)
    assert (view.title, view.no_right) == (title, no_right)


@pytest.mark.parametrize(
    ("cookie", "accept", "lang"),
    [
        (None, None, "fr"),
        (None, "en-GB,en;q=0.9,fr;q=0.8", "en"),
        (None, "de, fr;q=0.5, en;q=0.7", "en"),
        (None, "de", "fr"),
        (None, "en;q=0", "fr"),
        (None, "en;q=oops, fr;q=0.1", "fr"),
        ("en", "fr", "en"),
        ("xx", "en", "en"),
    ],
)
def test_the_language_is_the_visitors_choice_then_the_browsers(
    cookie: str | None, accept: str | None, lang: str
) -> None:
    assert choose(cookie, accept).lang == lang


def test_every_language_says_the_same_things_with_the_same_values() -> None:
    # A placeholder that one language forgot would show a text without its value.
    for name in FR.__slots__:
        values = {str(getattr(words, name)).count("{") for words in LANGUAGES.values()}
        assert name in ("day", "on_day_at") or len(values) == 1, name


@pytest.mark.parametrize("wanted", ["/", "/?enfant=1&rubrique=grades", "/notes?enfant=1", "/notifications"])
def test_a_visitor_comes_back_to_where_they_were(wanted: str) -> None:
    assert safe_next(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "https://x.example/",
        "//x.example",
        "/\\x.example",
        "/v1/me",
        "/connexion",
        "javascript:0",
        "/?a\r\nb: c",
        "?",
    ],
)
def test_a_visitor_is_sent_nowhere_else(wanted: str) -> None:
    assert safe_next(wanted) == "/"
