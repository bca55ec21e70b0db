"""Composition root of the portal."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.http import create_app
from chassis.process import Process, run
from services.portal import api, pages
from services.portal.client import PublicApi
from services.portal.settings import PortalSettings


def build(settings: PortalSettings, public: PublicApi) -> FastAPI:
    """The portal's HTTP app over a client of the public API."""
    app = create_app("portal", settings)
    app.state.public = public
    app.include_router(api.router)
    pages.install(app)
    return app


def main() -> None:
    """Run the portal until told to stop."""
    settings = PortalSettings()

    async def compose(process: Process) -> None:
        public = PublicApi(settings)
        await process.part(public.start(), public.stop)
        await process.serve(build(settings, public), settings)

    run("portal", settings, compose)
