// Keeps a page of grades up to date: tells of what changed where nothing moves under the reader, and fetches it when asked.
import { page } from "./snapshot.js";
import { Stream } from "./stream.js";

const RIGHTS_SETTLE = 3000;

const state = document.getElementById("state");
const notice = document.getElementById("changed").firstElementChild;
const announcer = document.getElementById("announcements");
let root = document.getElementById("grades");
let config = JSON.parse(root.dataset.config);
let known = Date.parse(config.latest ?? 0);
let heard = known;

function show(name) {
  state.hidden = false;
  state.dataset.state = name;
  const label = config.words[name];
  if (state.firstElementChild.textContent !== label) state.firstElementChild.textContent = label;
}

// Take the page anew; resolves to its cursor, or null when the server cannot be reached.
async function reload() {
  const until = heard;
  const answer = await page(location.href);
  if (answer === null) return null;
  const fresh = answer.getElementById("grades");
  if (!fresh || fresh.dataset.stream !== root.dataset.stream) {
    // The session is over, or is somebody else's, or the right to read this: nothing of this page may stay.
    location.assign("/");
    return null;
  }
  const open = [...root.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const focused = document.activeElement?.id;
  root.replaceWith(document.adoptNode(fresh));
  root = fresh;
  config = JSON.parse(root.dataset.config);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  known = Math.max(known, until);
  if (heard <= known) notice.hidden = true;
  return config.cursor;
}

async function refresh() {
  const focused = notice.contains(document.activeElement);
  if ((await reload()) === null) return;
  notice.hidden = true;
  if (focused) document.getElementById("content").focus({ preventScroll: true });
  announcer.textContent = config.words.refreshed;
}

function take({ kind, data }) {
  if (kind === "item" || kind === "removed") {
    changed(kind, JSON.parse(data));
    return;
  }
  reload();
  // The grades may learn of a right a moment after the stream does.
  if (kind !== "reset") setTimeout(reload, RIGHTS_SETTLE);
}

function changed(kind, { scope, category, updated_at: at }) {
  if (scope !== config.scope || category !== "grades" || Date.parse(at) <= known) return;
  heard = Math.max(heard, Date.parse(at));
  // What was withdrawn must not stay; and nobody is disturbed by what changes while they look elsewhere.
  if (kind === "removed" || document.hidden) reload();
  else notice.hidden = false;
}

notice.querySelector("a").addEventListener("click", (event) => {
  event.preventDefault();
  refresh();
});

const stream = new Stream({
  name: root.dataset.stream,
  cursor: config.cursor,
  renderedAt: config.renderedAt,
  onEvent: take,
  onState: show,
  onLost: reload,
});
stream.start();
