"""View models: what the public API answered, arranged for a page. Pure: no I/O, and the moment is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.directory import RoleName
from contracts.feed import Category, Coded, ItemPut, Text
from services.portal.client import FeedPage, FeedQuery, HeldRole, Me, Providers
from services.portal.words import Words

ZONE = ZoneInfo("Europe/Paris")
"""The schools' zone: a day is a day there, wherever the reader is."""
TONES = 5
"""How many colours tell children apart."""


@dataclass(frozen=True, slots=True)
class Button:
    """A provider that people may sign in with, as its button says it."""

    name: str
    label: str


def buttons(providers: Providers, words: Words) -> list[Button]:
    """A button for each provider."""
    return [Button(one.name, one.label.en if words.lang == "en" else one.label.fr) for one in providers.items]


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item as it is shown; an empty text is a part that is hidden."""

    id: str
    category: str
    kind: str
    scope: str
    published: str
    updated: str
    time: str
    title: str
    summary: str
    about: str
    tone: str
    score: str
    out_of: str
    corrected: str


@dataclass(frozen=True, slots=True)
class DayView:
    """The items of one day, latest first."""

    date: str
    title: str
    items: tuple[ItemView, ...]


@dataclass(frozen=True, slots=True)
class ChildView:
    """A child to filter by."""

    id: str
    name: str
    detail: str
    initial: str
    tone: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link of a filter."""

    name: str
    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class HomeView:
    """The whole of the home page."""

    title: str
    greeting: str
    lead: str
    roles: tuple[str, ...]
    everyone: LinkView | None
    children: tuple[ChildView, ...]
    categories: tuple[LinkView, ...]
    days: tuple[DayView, ...]
    blank: ItemView
    filtered: bool
    history: bool
    no_right: bool
    older: str | None
    newest: str
    stream: str
    config: str


def home(me: Me, page: FeedPage, query: FeedQuery, words: Words, now: datetime) -> HomeView:
    """The home page of a visitor: a family's, a pupil's own, a member of staff's, or of someone without any right."""
    staff = _staff_roles(me)
    no_right = not me.children and not staff and not is_pupil(me)
    return HomeView(
        title=_title(me, words),
        greeting=words.hello.format(name=me.person.given_name) if me.person else words.brand,
        lead=words.staff_lead if staff and not me.children else "",
        roles=tuple(words.role_at.format(role=words.roles[r.name], school=r.school_name) for r in staff),
        everyone=_everyone(me, query, words),
        children=children(me, query.child, lambda child: _href(child, query.category)),
        categories=_categories(query, words),
        days=days(page.items, me, words, now),
        blank=_BLANK,
        filtered=bool(query.child or query.category),
        history=query.before is not None,
        no_right=no_right,
        older=_href(query.child, query.category, page.next) if page.next else None,
        newest=_href(query.child, query.category),
        # One stream a browser and person: another account on the same browser must not hear this one's news.
        stream=f"preau-{me.person.id}" if me.person else "",
        config=_config(me, page, query, words, now),
    )


def navigation(me: Me, current: str, words: Words, child: UUID | None = None) -> tuple[LinkView, ...]:
    """The portal's pages: news, grades for who reads some, and what one is told of."""
    if me.person is None:
        return ()
    chosen = urlencode({"enfant": child}) if child else ""
    pages = [("news", words.news_page, "/"), ("notifications", words.notifications_page, "/notifications")]
    if me.children or is_pupil(me):
        pages.insert(1, ("grades", words.grades_page, f"/notes?{chosen}" if chosen else "/notes"))
    return tuple(LinkView(name, label, href, name == current) for name, label, href in pages)


def days(items: Sequence[ItemPut], me: Me, words: Words, now: datetime) -> tuple[DayView, ...]:
    """Items grouped by the day they were published, in the school's zone; their order is kept."""
    grouped = groupby(items, key=lambda item: item.published_at.astimezone(ZONE).date())
    return tuple(
        DayView(day.isoformat(), day_title(day, words, now), tuple(item_view(i, me, words, now) for i in of_day))
        for day, of_day in grouped
    )


def item_view(item: ItemPut, me: Me, words: Words, now: datetime) -> ItemView:
    """One item in the visitor's language."""
    about, tone = _about(item, me)
    title, score, out_of = titled(item, words)
    return ItemView(
        id=str(item.id),
        category=item.category.value,
        kind=words.kind[item.category],
        scope=f"{item.audience}:{item.scope}",
        published=item.published_at.isoformat(),
        updated=item.updated_at.isoformat(),
        time=moment(item.published_at, words, now, within_day=True),
        title=title,
        summary=said(item.summary, words),
        about=about,
        tone=tone,
        score=score,
        out_of=out_of,
        corrected=moment(item.updated_at, words, now) if item.corrected else "",
    )


def said(text: Text, words: Words) -> str:
    """The text in the language of the page."""
    return text.en if words.lang == "en" else text.fr


def titled(item: ItemPut, words: Words) -> tuple[str, str, str]:
    """Title, figure, out of: a figure is shown large beside what it is of; out of nothing where it is a word."""
    figure = item.figure
    if figure is None or (isinstance(figure, Coded) and figure.code not in words.codes):
        return said(item.title, words), "", ""
    if isinstance(figure, Coded):
        return figure.label, words.codes[figure.code], ""
    return figure.label, number(figure.value, words), number(figure.out_of, words)


def number(digits: str, words: Words) -> str:
    """Plain digits as read in the language of the page: 14,5 in French."""
    return digits.replace(".", words.decimal_point)


def day_title(day: date, words: Words, now: datetime) -> str:
    """Today, yesterday, or the day in full; the year only when it is another one."""
    today = now.astimezone(ZONE).date()
    if day == today:
        return words.today
    if day == today - timedelta(days=1):
        return words.yesterday
    pattern = words.day if day.year == today.year else words.day_and_year
    weekday = words.weekdays[day.weekday()]
    text = pattern.format(weekday=weekday, day=day_of_month(day, words), month=_month(day, words), year=day.year)
    return text[0].upper() + text[1:]


def moment(at: datetime, words: Words, now: datetime, *, within_day: bool = False) -> str:
    """How long ago, or at what time; `within_day` where a heading already says which day."""
    local, today = at.astimezone(ZONE), now.astimezone(ZONE).date()
    minutes = int((now - at).total_seconds() // 60)
    if minutes < 1:
        return words.just_now
    if minutes < 60:
        return words.minutes_ago.format(minutes=minutes)
    clock = words.clock.format(hour=local.hour, minute=f"{local.minute:02d}")
    if within_day or local.date() == today:
        return clock
    if local.date() == today - timedelta(days=1):
        return words.yesterday_at.format(clock=clock)
    return words.on_day_at.format(day=day_of_month(local.date(), words), month=_month(local.date(), words), clock=clock)


_BLANK = ItemView(
    id="",
    category="news",
    kind="",
    scope="",
    published="",
    updated="",
    time="",
    title="",
    summary="",
    about="",
    tone="",
    score="",
    out_of="",
    corrected="",
)


def day_of_month(day: date, words: Words) -> str:
    """The day within its month as it is said: 1er, 2, 3."""
    return words.first_of_month if day.day == 1 else str(day.day)


def _month(day: date, words: Words) -> str:
    return words.months[day.month - 1]


def _staff_roles(me: Me) -> list[HeldRole]:
    return [role for role in me.roles if role.name not in (RoleName.PUPIL, RoleName.GUARDIAN)]


def is_pupil(me: Me) -> bool:
    """Whether the visitor is a pupil somewhere."""
    return any(role.name is RoleName.PUPIL for role in me.roles)


def _title(me: Me, words: Words) -> str:
    if me.children:
        return words.family_title
    if _staff_roles(me):
        return words.staff_title
    return words.own_title if is_pupil(me) else words.family_title


def tones(me: Me) -> dict[UUID, str]:
    """The colour of each child, the same on every page."""
    return {child.id: str(place % TONES) for place, child in enumerate(me.children)}


def _about(item: ItemPut, me: Me) -> tuple[str, str]:
    """Whom the item is about, in a word: the child, or the school where there are several."""
    kind, _, what = item.scope.partition("/")
    by_child = tones(me)
    if kind == "pupils":
        names = {str(child.id): (child.given_name, by_child[child.id]) for child in me.children}
        return names.get(what, ("", ""))
    return _schools(me).get(item.uai, ""), ""


def _schools(me: Me) -> dict[str, str]:
    found = {child.uai: child.school_name for child in me.children}
    return found if len(found) > 1 else {}


def _href(child: UUID | None = None, category: str | None = None, before: str | None = None) -> str:
    given = {"enfant": child, "rubrique": category, "avant": before}
    asked = urlencode({name: value for name, value in given.items() if value is not None})
    return f"/?{asked}" if asked else "/"


def _everyone(me: Me, query: FeedQuery, words: Words) -> LinkView | None:
    if len(me.children) < 2:
        return None
    return LinkView("", words.all_children, _href(None, query.category), query.child is None)


def children(me: Me, chosen: UUID | None, href: Callable[[UUID], str]) -> tuple[ChildView, ...]:
    """The visitor's children, each with its link; an only child is always the chosen one."""
    by_child, one = tones(me), len(me.children) == 1
    several = len({child.uai for child in me.children}) > 1
    return tuple(
        ChildView(
            id=str(child.id),
            name=child.given_name,
            detail=" · ".join(part for part in (child.class_name, child.school_name if one or several else "") if part),
            initial=child.given_name[:1].upper(),
            tone=by_child[child.id],
            href=href(child.id),
            current=one or child.id == chosen,
        )
        for child in me.children
    )


def _categories(query: FeedQuery, words: Words) -> tuple[LinkView, ...]:
    everything = LinkView("all", words.all_categories, _href(query.child), query.category is None)
    others = (
        LinkView(one.value, words.category[one], _href(query.child, one.value), query.category == one.value)
        for one in Category
    )
    return (everything, *others)


_LIVE_WORDS = (
    "today",
    "yesterday",
    "weekdays",
    "months",
    "day",
    "day_and_year",
    "first_of_month",
    "clock",
    "just_now",
    "minutes_ago",
    "yesterday_at",
    "on_day_at",
    "out_of",
    "decimal_point",
    "live",
    "waiting",
    "offline",
    "announce_new",
    "announce_corrected",
    "announce_removed",
)


def _config(me: Me, page: FeedPage, query: FeedQuery, words: Words, now: datetime) -> str:
    """What the live part of the page must know to render an item as `item_view` does."""
    by_child = tones(me)
    return json.dumps(
        {
            "lang": words.lang,
            "zone": ZONE.key,
            "cursor": page.cursor,
            "renderedAt": int(now.timestamp() * 1000),
            "history": query.before is not None,
            "child": str(query.child) if query.child else None,
            "category": query.category,
            "children": {str(c.id): {"name": c.given_name, "tone": by_child[c.id]} for c in me.children},
            "schools": _schools(me),
            "kinds": {one.value: words.kind[one] for one in Category},
            "codes": dict(words.codes),
            "words": {name: getattr(words, name) for name in _LIVE_WORDS},
        },
        ensure_ascii=False,
    )
