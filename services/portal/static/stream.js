// One EventSource a browser: the tab that holds a Web Lock listens for all, and tells the others by BroadcastChannel.

const KINDS = ["item", "removed", "scope-added", "scope-removed", "reset"];
const MOST_RECENT = 200;
const ANSWER_WITHIN = 2000;
const CLOCKS_APART = 2000;
const FIRST_WAIT = 1500;
const LONGEST_WAIT = 60_000;

export class Stream {
  #options;
  #channel;
  #source = null;
  #release = null;
  #queued = null;
  #since;
  #last;
  #wait = FIRST_WAIT;
  #asked = 0;
  #me = Math.random().toString(36).slice(2);

  constructor(options) {
    this.#options = options;
    this.#since = options.renderedAt;
    this.#last = options.cursor;
    this.recent = [];
    this.#channel = new BroadcastChannel(options.name);
  }

  start() {
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    addEventListener("online", () => this.#reopen());
    addEventListener("offline", () => this.#options.onState("offline"));
    addEventListener("pagehide", () => this.#yield());
    // Back from the browser's page cache everything may have changed, who is signed in too.
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#ask());
    if (!navigator.locks) {
      this.#lead();
      return;
    }
    this.#contend();
    this.#ask();
  }

  // Drop what is remembered of events that `test` picks.
  forget(test) {
    this.recent = this.recent.filter((event) => !test(event));
  }

  async #contend(steal = false) {
    this.#queued?.abort();
    this.#queued = steal ? null : new AbortController();
    const options = steal ? { steal } : { signal: this.#queued.signal };
    try {
      await navigator.locks.request(this.#options.name, options, () => this.#lead());
    } catch {
      // Another tab took over, or this one gave up its place to take over itself.
      if (this.#source) {
        this.#yield();
        this.#contend();
      }
    }
  }

  #lead() {
    this.#channel.postMessage({ leading: true });
    this.#open();
    return new Promise((resolve) => (this.#release = resolve));
  }

  #yield() {
    this.#source?.close();
    this.#source = null;
    this.#release?.();
    this.#release = null;
  }

  #open() {
    this.#source?.close();
    const source = new EventSource(`/v1/stream?cursor=${encodeURIComponent(this.#last)}`);
    this.#source = source;
    for (const kind of KINDS) source.addEventListener(kind, (event) => this.#receive(kind, event));
    source.onopen = () => {
      this.#wait = FIRST_WAIT;
      this.#tell("live");
    };
    source.onerror = () => {
      this.#tell(navigator.onLine ? "waiting" : "offline");
      // The browser retries a connection that broke, but gives up on an answer that is no stream.
      if (source.readyState === EventSource.CLOSED) this.#later(source);
    };
  }

  #later(source) {
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    setTimeout(async () => {
      if (this.#source !== source) return;
      // A new snapshot tells whether the session is over, and gives a cursor should ours be refused.
      this.#last = (await this.#options.onLost()) ?? this.#last;
      if (this.#source === source) this.#open();
    }, wait);
  }

  #reopen() {
    if (this.#source) this.#open();
    else this.#ask();
  }

  #receive(kind, { data, lastEventId }) {
    const event = { kind, data, id: lastEventId };
    this.#channel.postMessage({ event });
    this.#take(event);
  }

  #take(event) {
    if (event.id) this.#last = event.id;
    this.recent.push(event);
    if (this.recent.length > MOST_RECENT) {
      this.recent.shift();
      // Who joins from now on cannot be told all since our snapshot, and takes a new one.
      this.#since = Infinity;
    }
    this.#options.onEvent(event);
  }

  #tell(state) {
    this.state = state;
    this.#options.onState(state);
    this.#channel.postMessage({ state });
  }

  // Ask the tab that listens for what we may have missed; should it be frozen, take over.
  #ask() {
    if (this.#source) return;
    const asked = ++this.#asked;
    this.#channel.postMessage({ ask: this.#me });
    if (!navigator.locks) return;
    setTimeout(() => {
      if (this.#asked === asked && !this.#source && !document.hidden) this.#contend(true);
    }, ANSWER_WITHIN);
  }

  #hear(message) {
    if (message.event) this.#take(message.event);
    else if (message.state) this.#options.onState(message.state);
    else if (message.leading) this.#ask();
    else if (message.ask && this.#source) this.#answer(message.ask);
    else if (message.to === this.#me) this.#catchUp(message);
  }

  #answer(to) {
    this.#channel.postMessage({ to, since: this.#since, recent: this.recent, state: this.state ?? "waiting" });
  }

  #catchUp({ since, recent, state }) {
    this.#asked++;
    this.#options.onState(state);
    const known = new Set(this.recent.map((event) => event.id + event.data));
    for (const event of recent) if (!known.has(event.id + event.data)) this.#take(event);
    if (this.#since !== Infinity && this.#since < since + CLOCKS_APART && since !== this.#since) this.#stale(since);
  }

  #stale(since) {
    this.#since = since;
    this.#options.onLost();
  }
}
