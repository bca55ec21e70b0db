// The list of items in the page: fills the server's own templates by text alone, so that markup in a text stays text.

import { page } from "./snapshot.js";

const MOST_SHOWN = 300;
const MOST_REMEMBERED = 500;
const FRESH_FOR = 8000;

export class List {
  #announcer;
  #gone = new Map();
  #reloading = null;
  #unseen = 0;
  #title = document.title;

  constructor(announcer) {
    this.#announcer = announcer;
    this.#read();
  }

  #read() {
    this.root = document.getElementById("feed");
    this.config = JSON.parse(this.root.dataset.config);
    const { zone } = this.config;
    this.clock = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    });
  }

  // Apply an event of the stream; false when only a new snapshot can tell what it means for this page.
  apply({ kind, data }, aloud) {
    const item = JSON.parse(data);
    if (kind === "removed") {
      this.#remove(item, aloud);
      return true;
    }
    return this.#put(item, aloud);
  }

  #put(item, aloud) {
    const shown = document.getElementById(`item-${item.id}`);
    const stands = Date.parse(item.updated_at);
    if (stands <= (this.#gone.get(item.id) ?? -Infinity)) return true;
    if (shown) {
      if (stands > Date.parse(shown.dataset.updated)) this.#replace(shown, item, aloud);
      return true;
    }
    const belongs = this.#belongs(item);
    if (!belongs) return belongs !== null;
    if (!document.getElementById("days") || document.querySelectorAll(".item").length >= MOST_SHOWN) return false;
    this.#insert(item, aloud);
    return true;
  }

  // Whether an item belongs on this page: true, false, or null when only the server knows.
  #belongs(item) {
    const { child, category, history } = this.config;
    if (history || (category && item.category !== category)) return false;
    const [kind, what] = item.scope.split("/");
    if (child && kind === "pupils" && what !== child) return false;
    // Beyond the last item shown begins the next page.
    const last = [...document.querySelectorAll(".item")].at(-1);
    if (document.getElementById("older") && last && !comesBefore(item, last)) return false;
    // Which child is in a group is the server's to say.
    return child && kind !== "pupils" ? null : true;
  }

  #replace(shown, item, aloud) {
    this.#fill(shown, item);
    if (aloud) this.#highlight(shown, item, item.corrected ? "announce_corrected" : "announce_new");
  }

  #insert(item, aloud) {
    const template = document.getElementById("item-template");
    const made = template.content.firstElementChild.cloneNode(true);
    this.#fill(made, item);
    const items = this.#day(item).querySelector(".items");
    const next = [...items.children].find((other) => comesBefore(item, other));
    items.insertBefore(made, next ?? null);
    document.getElementById("empty").hidden = true;
    if (!aloud) return;
    made.classList.add("entering");
    this.#highlight(made, item, "announce_new");
  }

  #remove(item, aloud) {
    this.#gone.set(item.id, Date.parse(item.updated_at));
    if (this.#gone.size > MOST_REMEMBERED) this.#gone.delete(this.#gone.keys().next().value);
    const shown = document.getElementById(`item-${item.id}`);
    if (!shown || Date.parse(shown.dataset.updated) > Date.parse(item.updated_at)) return;
    if (aloud) this.#say("announce_removed", part(shown, "title").textContent);
    this.#drop(shown);
  }

  // Forget all items of a scope at once: the right to read them is over.
  forget(scope) {
    for (const shown of document.querySelectorAll(".item")) if (shown.dataset.scope === scope) this.#drop(shown);
  }

  #drop(shown) {
    const day = shown.closest(".day");
    shown.remove();
    if (!day.querySelector(".item")) day.remove();
    document.getElementById("empty").hidden = document.querySelector("#days .item") !== null;
  }

  #day(item) {
    const date = this.#local(item.published_at).date;
    const known = document.querySelector(`.day[data-day="${date}"]`);
    if (known) return known;
    const made = document.getElementById("day-template").content.firstElementChild.cloneNode(true);
    const heading = part(made, "day");
    made.dataset.day = date;
    heading.id = `day-${date}`;
    made.setAttribute("aria-labelledby", heading.id);
    heading.textContent = this.#dayTitle(date);
    const days = document.getElementById("days");
    days.insertBefore(made, [...days.children].find((other) => other.dataset.day < date) ?? null);
    return made;
  }

  // The same as `item_view` on the server, into the same markup.
  #fill(element, item) {
    const { lang, kinds } = this.config;
    const [title, score, outOf] = this.#titled(item);
    const [about, tone] = this.#about(item);
    element.id = `item-${item.id}`;
    element.dataset.category = item.category;
    element.dataset.scope = `${item.audience}:${item.scope}`;
    element.dataset.published = item.published_at;
    element.dataset.updated = item.updated_at;
    const use = part(element, "icon");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*$/, `#${item.category}`));
    put(element, "kind", kinds[item.category] ?? "");
    put(element, "title", title);
    put(element, "summary", item.summary[lang], true);
    put(element, "about", about, true);
    part(element, "about").dataset.tone = tone;
    put(element, "score-value", score);
    put(element, "score-out-of", outOf && format(this.config.words.out_of, { out_of: outOf }));
    part(element, "score").hidden = !score;
    part(element, "score").toggleAttribute("data-word", Boolean(score && !outOf));
    part(element, "corrected").hidden = !item.corrected;
    part(element, "time").dateTime = item.published_at;
    part(element, "corrected-time").dateTime = item.updated_at;
    this.#times(element);
  }

  // The same as `titled` on the server.
  #titled({ title, figure }) {
    const { lang, codes, words } = this.config;
    const number = (digits) => digits.replace(".", words.decimal_point);
    if (figure?.value !== undefined) return [figure.label, number(figure.value), number(figure.out_of)];
    if (figure && Object.hasOwn(codes, figure.code)) return [figure.label, codes[figure.code], ""];
    return [title[lang], "", ""];
  }

  #about(item) {
    const [kind, what] = item.scope.split("/");
    if (kind !== "pupils") return [this.config.schools[item.uai] ?? "", ""];
    const child = this.config.children[what];
    return child ? [child.name, child.tone] : ["", ""];
  }

  #highlight(element, item, kind) {
    element.classList.add("fresh");
    setTimeout(() => element.classList.remove("fresh", "entering"), FRESH_FOR);
    const text = (name) => part(element, name).textContent;
    const score = part(element, "score").hidden ? "" : `${text("score-value")} ${text("score-out-of")}`;
    this.#say(kind, [text("about"), text("title"), score].filter(Boolean).join(", "));
    if (document.hidden) document.title = `(${++this.#unseen}) ${this.#title}`;
  }

  #say(kind, text) {
    this.#announcer.textContent = format(this.config.words[kind], { text });
  }

  // The visitor looks at the page again.
  seen() {
    this.#unseen = 0;
    document.title = this.#title;
  }

  // Times and days are relative to now, and now goes on.
  tick() {
    for (const shown of document.querySelectorAll("#days .item")) this.#times(shown);
    for (const day of document.querySelectorAll(".day")) put(day, "day", this.#dayTitle(day.dataset.day));
  }

  #times(element) {
    put(element, "time", this.#moment(element.dataset.published, true));
    put(element, "corrected-time", this.#moment(element.dataset.updated, false));
  }

  #local(time) {
    const parts = Object.fromEntries(this.clock.formatToParts(new Date(time)).map(({ type, value }) => [type, value]));
    return { date: `${parts.year}-${parts.month}-${parts.day}`, hour: Number(parts.hour), minute: parts.minute };
  }

  #moment(time, withinDay) {
    const { words } = this.config;
    const minutes = Math.floor((Date.now() - Date.parse(time)) / 60_000);
    if (minutes < 1) return words.just_now;
    if (minutes < 60) return format(words.minutes_ago, { minutes });
    const { date, hour, minute } = this.#local(time);
    const clock = format(words.clock, { hour, minute });
    const apart = daysApart(date, this.#local(Date.now()).date);
    if (withinDay || apart === 0) return clock;
    if (apart === 1) return format(words.yesterday_at, { clock });
    return format(words.on_day_at, { ...this.#named(date), clock });
  }

  #dayTitle(date) {
    const { words } = this.config;
    const today = this.#local(Date.now()).date;
    const apart = daysApart(date, today);
    if (apart === 0) return words.today;
    if (apart === 1) return words.yesterday;
    const year = date.slice(0, 4);
    const text = format(year === today.slice(0, 4) ? words.day : words.day_and_year, { ...this.#named(date), year });
    return text[0].toUpperCase() + text.slice(1);
  }

  #named(date) {
    const { weekdays, months, first_of_month: first } = this.config.words;
    const noon = new Date(`${date}T12:00:00Z`);
    const day = noon.getUTCDate();
    const weekday = weekdays[(noon.getUTCDay() + 6) % 7];
    return { weekday, day: day === 1 ? first : String(day), month: months[noon.getUTCMonth()] };
  }

  // Take the page's list anew from the server; resolves to its cursor, or null when the server cannot be reached.
  reload() {
    this.#reloading ??= this.#fetch().finally(() => (this.#reloading = null));
    return this.#reloading;
  }

  async #fetch() {
    const answer = await page(location.href);
    if (answer === null) return null;
    const fresh = answer.getElementById("feed");
    if (!fresh || fresh.dataset.stream !== this.root.dataset.stream) {
      // The session is over, or is somebody else's: nothing of this page may stay.
      location.assign("/");
      return null;
    }
    const focused = document.activeElement?.id;
    this.root.replaceWith(document.adoptNode(fresh));
    this.#read();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return this.config.cursor;
  }
}

// The order of the feed: latest publication first, then by id.
function comesBefore(item, other) {
  const apart = Date.parse(item.published_at) - Date.parse(other.dataset.published);
  return apart === 0 ? `item-${item.id}` > other.id : apart > 0;
}

function part(element, name) {
  return element.querySelector(`[data-part="${name}"]`);
}

function put(element, name, text, hideable = false) {
  const target = part(element, name);
  if (target.textContent !== text) target.textContent = text;
  if (hideable) target.hidden = !text;
}

function format(pattern, values) {
  return pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function daysApart(earlier, later) {
  return Math.round((Date.parse(later) - Date.parse(earlier)) / 86_400_000);
}
