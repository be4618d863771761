// The browser library of a source, served as /t/{writeKey}.js behind what it is told (window.portalTracking) and the scripts of
// connectors that have one. docs/browser-library.md says what it does. No build step, nothing else is needed: when it is served,
// lines that are comments and the spaces before lines are left out. So a text goes on in its own line here.
((window, document) => {
  "use strict";
  const MOST_ITEMS = 1000, MOST_CHARS = 1e6, MOST_MESSAGE = 30000, MOST_BATCH = 400000, MOST_AT_ONCE = 100, MOST_BEACON = 60000;
  const LINGER_MS = 20, ADOPTED_MS = 15000, ANSWER_MS = 12000, LONGEST_WAIT_MS = 60000, KEEP_MS = 7 * 864e5, MOST_HELD = 100;

  const told = window.portalTracking, navigator = window.navigator, { keys } = Object;
  // What the page called before this came: a list of [method, arguments…].
  const before = window.analytics || [];
  // One that somebody else has put there is left alone, and so is this one, brought twice.
  if (!told || !Array.isArray(before)) return;
  const { writeKey } = told, address = new URL("/v1/batch", document.currentScript?.src || location.href).href;

  const isObject = (value) => !!value && typeof value === "object" && !Array.isArray(value);
  const copied = (value) => value === undefined ? value : JSON.parse(JSON.stringify(value));
  let warned = 0;
  const attempt = (work, words) => {
    try {
      return work();
    } catch (error) {
      if (warned++ < 20) console.warn(`tracking: ${words}`, error);
    }
  };
  const uuid = () => crypto.randomUUID?.() || "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16));

  // --- what is kept: in localStorage, or in a cookie where that is closed, or for this page only
  const memory = {};
  let local = null;
  try {
    local = window.localStorage;
    local.setItem("pt:test", "1");
    local.removeItem("pt:test");
  } catch (closed) {
    local = null;
  }
  const cookie = (name, text) => {
    try {
      if (text === undefined) return decodeURIComponent(new RegExp(`(?:^|; )${name}=([^;]*)`).exec(document.cookie)[1]);
      document.cookie = `${name}=${encodeURIComponent(text)}; path=/; SameSite=Lax; max-age=${text ? 31536000 : 0}`;
    } catch (closed) { /* none, or a page that may have none */ }
  };
  // A value by its name; the ids stand where analytics.js has always kept them.
  const kept = (name, value) => {
    if (value === undefined) {
      const text = local?.getItem(name) || cookie(name) || memory[name] || null;
      try {
        return JSON.parse(text);
      } catch (bare) {
        return text;
      }
    }
    const text = memory[name] = value === null ? "" : JSON.stringify(value);
    try {
      local.setItem(name, text);
      cookie(name, "");
    } catch (closed) {
      cookie(name, text);
    }
    return value;
  };

  // --- may we?
  const refused = [navigator.doNotTrack, window.doNotTrack].some((said) => said === "1" || said === "yes") || navigator.globalPrivacyControl === true;
  let options = {}, started = false, allowed = false, held = [];

  // --- the queue: an entry for each message, shared by the tabs of a site; what is sent is taken out once it is answered
  const prefix = `pt:${writeKey}:m`, tab = uuid().slice(0, 8), items = {}, mine = new Set();
  let order = 1e6, count = 0, chars = 0, busy = false, flying = [], timer = 0, due = 0, failures = 0, alone = 0;
  const textOf = (name) => items[name] || local?.getItem(name) || "";
  const drop = (name) => {
    delete items[name];
    mine.delete(name);
    local?.removeItem(name);
  };
  const names = () => {
    const found = [...keys(items), ...keys(local || {})].filter((name) => name.startsWith(prefix)).sort();
    count = found.length;
    chars = found.reduce((sum, name) => sum + textOf(name).length, 0);
    return found;
  };
  const add = (message) => {
    const text = JSON.stringify(message), name = `${prefix}${Date.now().toString(36)}${(order++).toString(36)}${tab}`;
    if (text.length > MOST_MESSAGE) throw Error("it is too large");
    if (count >= MOST_ITEMS || chars > MOST_CHARS) throw Error("too many wait");
    try {
      local.setItem(name, text);
    } catch (closed) {
      items[name] = text;
    }
    mine.add(name);
    count++;
    chars += text.length;
    soon(0);
  };
  const soon = (wait) => {
    if (timer && due <= Date.now() + wait) return;
    clearTimeout(timer);
    due = Date.now() + wait;
    timer = setTimeout(flush, wait);
  };
  const body = (batch) => `{"writeKey":${JSON.stringify(writeKey)},"sentAt":"${new Date().toISOString()}","batch":[${batch.join()}]}`;
  // One tab at a time sends what all have written. Where pages have no locks, each sends its own, and what is left of others.
  const flush = async () => {
    timer = 0;
    if (busy || !allowed) return;
    busy = true;
    const wait = await (navigator.locks ? navigator.locks.request(prefix, sendSome).catch(sendSome) : sendSome());
    busy = false;
    if (wait >= 0) soon(wait);
  };
  // Sends the oldest messages; for how many ms to wait before the next, or nothing where none are left.
  const sendSome = async () => {
    // What the tab before has taken out is known here a moment later.
    await new Promise((done) => setTimeout(done, LINGER_MS));
    const batch = [];
    let size = 0;
    flying = [];
    for (const name of names()) {
      const text = textOf(name), age = Date.now() - parseInt(name.slice(prefix.length, prefix.length + 8), 36);
      if (age > KEEP_MS) drop(name);
      if (!text || age > KEEP_MS || !(navigator.locks || mine.has(name) || age > ADOPTED_MS)) continue;
      size += text.length;
      if (batch.length && (alone || size > MOST_BATCH || batch.length >= MOST_AT_ONCE)) break;
      batch.push(text);
      flying.push(name);
    }
    if (!batch.length) return count ? ADOPTED_MS : -1;
    const [status, after] = await post(body(batch));
    let wait = 0;
    if (!status || status >= 500 || status === 408 || status === 425 || status === 429) {
      wait = after || Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures++) * (0.75 + Math.random() / 2);
    } else if (status >= 400 && batch.length > 1) {
      // One of them can't be taken: each goes alone, and only that one is lost.
      alone = batch.length;
    } else {
      flying.forEach(drop);
      failures = 0;
      alone = Math.max(0, alone - 1);
    }
    flying = [];
    return wait;
  };
  // The answer's status and for how many ms it asks to wait; 0 where none came.
  const post = async (text) => {
    const stop = new AbortController(), clock = setTimeout(() => stop.abort(), ANSWER_MS);
    try {
      const answer = await fetch(address, { method: "POST", body: text, headers: { "Content-Type": "text/plain" },
        credentials: "omit", keepalive: text.length < MOST_BEACON / 3, signal: stop.signal });
      return [answer.status, Math.min(600, answer.headers.get("Retry-After")) * 1000];
    } catch (silence) {
      return [0];
    } finally {
      clearTimeout(clock);
    }
  };
  // When the page is left, what it wrote itself goes by beacon. Nobody says whether that arrives, so it stays in the queue too: its
  // messageId makes the repeat harmless.
  const leave = () => {
    let size = 0;
    const batch = [...mine].filter((name) => !flying.includes(name)).map(textOf).filter((text) => text && (size += text.length * 3) < MOST_BEACON);
    if (allowed && batch.length) attempt(() => navigator.sendBeacon(address, new Blob([body(batch)], { type: "text/plain" })) && mine.clear(), "beacon");
  };

  // --- who
  const ANONYMOUS = "ajs_anonymous_id", USER = "ajs_user_id", TRAITS = "ajs_user_traits", GROUP = "ajs_group_id";
  const anonymousId = (id) => kept(ANONYMOUS, id) || kept(ANONYMOUS, uuid());
  const reset = () => [ANONYMOUS, USER, TRAITS, GROUP].forEach((name) => kept(name, null));

  // --- connectors that run on the page
  const running = {}, readyCalls = [];
  let waiting = 0;
  const isReady = () => {
    if (allowed && !waiting) readyCalls.splice(0).forEach((call) => attempt(call, "ready"));
  };
  const runConnectors = () => told.connectors.forEach(({ slug, name, settings }) => attempt(() => {
    let wait = 1;
    const made = window.portalConnectors[slug](settings);
    running[name] = made;
    waiting++;
    made.load(() => {
      waiting -= wait;
      wait = 0;
      isReady();
    });
  }, slug));
  const enabled = (name, integrations) => {
    const all = !keys(integrations).some((key) => key.toLowerCase() === "all" && integrations[key] === false);
    return name in integrations ? integrations[name] !== false : all;
  };
  const handOver = (message) => keys(running).filter((name) => {
    if (!enabled(name, message.integrations)) return false;
    attempt(() => running[name][message.type]?.(copied(message)), name);
    return true;
  });

  // --- messages
  const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const pageFacts = () => ({ path: location.pathname, referrer: document.referrer, search: location.search, title: document.title,
    url: (document.querySelector("link[rel=canonical]")?.href || location.href).split("#")[0] });
  const send = (type, parts, given = {}) => attempt(() => {
    const message = copied({
      type, messageId: `ajs-${uuid()}`, timestamp: given.timestamp || new Date(), anonymousId: given.anonymousId || anonymousId(),
      userId: kept(USER) || undefined, ...parts,
      context: { library: { name: "portal.js", version: "1" }, page: pageFacts(), userAgent: navigator.userAgent, locale: navigator.language,
        timezone, ...given.context, channel: "browser" },
      integrations: { ...options.integrations, ...given.integrations }, _metadata: { bundled: [] }
    });
    if (JSON.stringify(message).length < MOST_MESSAGE) message._metadata.bundled = handOver(message);
    add(message);
  }, `${type} is not sent`);

  // The calls, once they may be made. `texts` come before objects, and whatever the page left out is left out.
  const call = (most, work) => (...given) => {
    const after = typeof given[given.length - 1] === "function" && given.pop(), texts = [];
    while (texts.length < most && given.length && !isObject(given[0])) texts.push(given.shift());
    const [about, more] = given.map((each) => isObject(each) ? each : undefined);
    work(texts, about || {}, more);
    if (after) setTimeout(() => attempt(after, "callback"));
  };
  const calls = {
    identify: call(1, ([id], about, more) => {
      const known = kept(USER);
      // Another person than before starts anew.
      if (id && known && String(known) !== String(id)) reset();
      if (id) kept(USER, id);
      send("identify", { traits: kept(TRAITS, { ...kept(TRAITS), ...attempt(() => copied(about), "traits") }) }, more);
    }),
    track: call(1, ([event], properties, more) => event && send("track", { event: String(event), properties }, more)),
    page: call(2, (texts, about, more) => {
      const [name, category] = texts.filter(Boolean).map(String).reverse();
      send("page", { name, category, properties: { ...pageFacts(), category, name, ...about } }, more);
    }),
    group: call(1, ([id], traits, more) => {
      if (id) kept(GROUP, id);
      send("group", { groupId: kept(GROUP) || undefined, traits }, more);
    }),
    alias: call(2, ([userId, previous], more) => send("alias", { userId, previousId: previous || kept(USER) || anonymousId() }, more)),
    reset
  };

  const decide = (may) => {
    allowed = may && started && !refused;
    if (!allowed) return;
    if (!keys(running).length) runConnectors();
    held.splice(0).forEach(([name, given]) => analytics[name](...given));
    soon(0);
    isReady();
  };
  const analytics = {
    initialized: true,
    load(key, given) {
      if (started) return;
      options = given || (isObject(key) && key) || {};
      started = true;
      const choice = kept("pt:consent");
      decide(choice === 1 || (choice !== 0 && options.consent !== false));
    },
    // What the person says: true sends from now on, and what waited; false forgets all that is kept, and sends nothing.
    consent(may) {
      if (refused) return;
      kept("pt:consent", may ? 1 : 0);
      if (!may) {
        held = [];
        names().forEach(drop);
        reset();
      }
      decide(!!may);
    },
    ready(work) {
      readyCalls.push(work);
      isReady();
    },
    user: () => ({ id: () => kept(USER), anonymousId: analytics.anonymousId, traits: () => kept(TRAITS) || {} }),
    anonymousId: (id) => allowed ? anonymousId(id) : null,
    setAnonymousId: (id) => analytics.anonymousId(id)
  };
  keys(calls).forEach((name) => {
    analytics[name] = (...given) => {
      if (allowed) attempt(() => calls[name](...given), name);
      // Asked, but not answered yet: it waits on this page, and is kept nowhere.
      else if (!refused && kept("pt:consent") !== 0 && held.length < MOST_HELD) held.push([name, given]);
    };
  });

  window.analytics = analytics;
  window.addEventListener("online", () => {
    failures = 0;
    soon(0);
  });
  window.addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  if (before.invoked) analytics.load(writeKey, before._loadOptions);
  [...before].forEach(([name, ...given]) => attempt(() => analytics[name]?.(...given), name));
})(window, document);
