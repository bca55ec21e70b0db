// Keeps the page of a signed-in visitor up to date: joins the stream, hands its events to the list, shows its state.
import { List } from "./list.js";
import { Stream } from "./stream.js";

const RIGHTS_SETTLE = 3000;
const HISTORY_SETTLE = 20_000;

const list = new List(document.getElementById("announcements"));
const state = document.getElementById("state");

function show(name) {
  state.hidden = false;
  state.dataset.state = name;
  const label = list.config.words[name];
  if (state.firstElementChild.textContent !== label) state.firstElementChild.textContent = label;
}

async function reload() {
  const cursor = await list.reload();
  // A snapshot may be a moment behind the stream: what the stream has said since is said again.
  for (const event of stream.recent) if (event.kind === "item" || event.kind === "removed") list.apply(event, false);
  return cursor;
}

function lostScope(event) {
  const scope = scopeOf(event.data);
  stream.forget((kept) => scope === null || scopeOf(kept.data) === scope);
  if (scope !== null) list.forget(scope);
}

function scopeOf(data) {
  try {
    const { scope, audience } = JSON.parse(data);
    if (typeof scope !== "string") return null;
    return audience ? `${audience}:${scope}` : scope;
  } catch {
    return null;
  }
}

function take(event) {
  if (event.kind === "item" || event.kind === "removed") {
    if (!list.apply(event, true)) reload();
    return;
  }
  if (event.kind === "scope-removed") lostScope(event);
  reload();
  // The history may learn of a right, or of an item, a moment after the stream does. A reset comes to all families at once:
  // they look again one after the other.
  setTimeout(reload, RIGHTS_SETTLE + (event.kind === "reset" ? Math.random() * HISTORY_SETTLE : 0));
}

const { cursor, renderedAt } = list.config;
const stream = new Stream({
  name: list.root.dataset.stream,
  cursor,
  renderedAt,
  onEvent: take,
  onState: show,
  onLost: reload,
});
stream.start();

setInterval(() => list.tick(), 20_000);
document.addEventListener("visibilitychange", () => {
  list.tick();
  if (!document.hidden) list.seen();
});
