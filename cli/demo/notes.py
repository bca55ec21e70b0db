"""What the readers got, in the order it came, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cli.demo.checker import Seen
from cli.demo.reader import News


class Notes:
    """Collects the news of all readers; `on_news` is told each as it comes."""

    def __init__(self, on_news: Callable[[News], None] = lambda _: None) -> None:
        self.seen: list[Seen] = []
        self.news: list[News] = []
        self.on_news = on_news
        self._moved = asyncio.Event()

    def take(self, news: News) -> None:
        """Note what a reader's stream said."""
        self.news.append(news)
        if news.seen is not None:
            self.seen.append(news.seen)
        self._moved.set()
        self.on_news(news)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of what was noted; False when it did not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return condition()
        return True
