// The browser library of a source, served as /t/{writeKey}.js behind what it is told (window.portalTracking) and the scripts of
// connectors that have one. It is served as it is: no build step, nothing else is needed. docs/tracking.md says what it does.
(function (window, document) {
  "use strict";
  var MOST_ITEMS = 1000, MOST_CHARS = 1e6, MOST_MESSAGE = 30000, MOST_BATCH = 400000, MOST_AT_ONCE = 100, MOST_BEACON = 60000;
  var LINGER_MS = 20, LEASE_MS = 15000, ANSWER_MS = 12000, LONGEST_WAIT_MS = 60000, KEEP_DAYS = 7, MOST_HELD = 100;

  var told = window.portalTracking || {}, navigator = window.navigator;
  delete window.portalTracking;
  var writeKey = told.writeKey, script = document.currentScript;
  // What the page called before this came: a list of [method, arguments…].
  var before = window.analytics || [];
  if (!writeKey || before.isPortal) return;
  var origin = new URL(script && script.src ? script.src : window.location.href).origin;

  // --- what is kept: in localStorage, or in a cookie where that is closed, or for this page only
  var memory = {};
  var local = (function () {
    try {
      var found = window.localStorage;
      found.setItem("pt:test", "1");
      found.removeItem("pt:test");
      return found;
    } catch (closed) {
      return null;
    }
  })();
  function cookie(name, value) {
    try {
      if (value === undefined) {
        var found = new RegExp("(?:^|; )" + name + "=([^;]*)").exec(document.cookie);
        return found ? decodeURIComponent(found[1]) : null;
      }
      document.cookie = name + "=" + encodeURIComponent(value || "") + "; path=/; SameSite=Lax; max-age=" + (value ? 31536000 : 0);
    } catch (closed) { /* a sandboxed page has none */ }
    return null;
  }
  function plain(text) {
    try {
      return JSON.parse(text);
    } catch (bare) {
      return text;
    }
  }
  // A value by its name; the names of the ids are those that analytics.js has always kept them under.
  function kept(name, value) {
    if (value === undefined) return plain((local && local.getItem(name)) || cookie(name) || memory[name] || null);
    var text = value === null ? "" : JSON.stringify(value);
    delete memory[name];
    try {
      if (!text) {
        if (local) local.removeItem(name);
        cookie(name, "");
      } else if (local) local.setItem(name, text);
      else throw text;
    } catch (closed) {
      memory[name] = text;
      if (text.length < 500) cookie(name, text);
    }
    return value;
  }

  function uuid() {
    var crypto = window.crypto || {};
    if (crypto.randomUUID) return crypto.randomUUID();
    return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, function (digit) {
      var random = crypto.getRandomValues ? crypto.getRandomValues(new Uint8Array(1))[0] : Math.random() * 256;
      return (digit ^ (random & (15 >> (digit / 4)))).toString(16);
    });
  }
  function copied(value) {
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
  }
  function isObject(value) {
    return !!value && typeof value === "object" && !Array.isArray(value);
  }
  function merged() {
    var whole = {};
    for (var i = 0; i < arguments.length; i++) for (var name in arguments[i] || {}) whole[name] = arguments[i][name];
    return whole;
  }
  function attempt(work, words) {
    try {
      return work();
    } catch (error) {
      if (window.console) console.warn("tracking: " + words, error);
    }
  }

  // --- may we?
  var refused = [navigator.doNotTrack, navigator.msDoNotTrack, window.doNotTrack].some(function (said) {
    return said === "1" || said === "yes";
  }) || navigator.globalPrivacyControl === true;
  var options = {}, started = false, allowed = false, held = [];

  // --- the queue: one entry for each message, shared by the tabs of a site; what is sent is taken out once it is answered
  var prefix = "pt:" + writeKey + ":", tab = uuid().slice(0, 8), order = 0, items = {};
  var count = 0, chars = 0, sending = false, timer = 0, due = 0, failures = 0, single = false, mine = {};
  function names() {
    var found = Object.keys(items);
    if (local) attempt(function () {
      Object.keys(local).forEach(function (name) {
        if (name.indexOf(prefix + "m") === 0) found.push(name);
      });
    }, "not read");
    return found.sort();
  }
  function textOf(name) {
    return items[name] || (local && local.getItem(name)) || "";
  }
  function drop(name) {
    if (items[name]) delete items[name];
    else if (local) local.removeItem(name);
    delete mine[name];
  }
  function recount(found) {
    count = found.length;
    chars = found.reduce(function (sum, name) { return sum + textOf(name).length; }, 0);
  }
  function add(message) {
    var text = JSON.stringify(message);
    if (text.length > MOST_MESSAGE) throw new Error("larger than " + MOST_MESSAGE + " characters");
    if (count >= MOST_ITEMS || chars + text.length > MOST_CHARS) recount(names());
    if (count >= MOST_ITEMS || chars + text.length > MOST_CHARS) throw new Error("too many wait already");
    var name = prefix + "m" + Date.now().toString(36) + (1e6 + order++).toString(36) + tab;
    try {
      local.setItem(name, text);
    } catch (closed) {
      items[name] = text;
    }
    mine[name] = 1;
    count++;
    chars += text.length;
    soon(LINGER_MS);
  }
  function soon(wait) {
    var at = Date.now() + wait;
    if (timer && due <= at) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(function () {
      timer = 0;
      attempt(flush, "not sent");
    }, wait);
  }
  // One tab at a time sends what all have written; a tab that dies loses its turn.
  function turn() {
    if (!local) return 0;
    var lease = String(local.getItem(prefix + "lease") || "").split(" "), left = Number(lease[1]) - Date.now();
    if (lease[0] !== tab && left > 0 && left <= LEASE_MS) return left;
    local.setItem(prefix + "lease", tab + " " + (Date.now() + LEASE_MS));
    return 0;
  }
  function done(wait) {
    sending = false;
    if (local) local.removeItem(prefix + "lease");
    if (names().length) soon(wait);
  }
  function body(batch) {
    return '{"writeKey":' + JSON.stringify(writeKey) + ',"sentAt":"' + new Date().toISOString() + '","batch":[' + batch.join(",") + "]}";
  }
  function flush() {
    if (sending || !allowed) return;
    var found = names(), batch = [], sent = [], size = 0, old = Date.now() - KEEP_DAYS * 86400000;
    recount(found);
    if (!found.length) return;
    if (failures && navigator.onLine === false) return;
    var wait = turn();
    if (wait) return soon(wait + 50);
    for (var i = 0; i < found.length && sent.length < (single ? 1 : MOST_AT_ONCE); i++) {
      var text = textOf(found[i]);
      if (!text || parseInt(found[i].slice(prefix.length + 1, prefix.length + 9), 36) < old) {
        drop(found[i]);
        continue;
      }
      if (size && size + text.length > MOST_BATCH) break;
      size += text.length;
      batch.push(text);
      sent.push(found[i]);
    }
    if (!sent.length) return done(LINGER_MS);
    sending = true;
    post(body(batch), function (status, after) {
      var final = (status >= 200 && status < 300) || (status >= 300 && status < 500 && [408, 425, 429].indexOf(status) < 0);
      if (status >= 400 && final && sent.length > 1) {
        // One of them can't be taken: each goes alone, and only that one is lost.
        single = true;
        return done(0);
      }
      if (final) {
        sent.forEach(drop);
        failures = 0;
        if (found.length === sent.length) single = false;
        return done(0);
      }
      failures++;
      done(after || Math.min(LONGEST_WAIT_MS, 1000 * Math.pow(2, failures - 1)) * (0.75 + Math.random() / 2));
    });
  }
  function post(text, then) {
    var ended = false;
    function end(status, after) {
      if (!ended) then(status, after);
      ended = true;
    }
    var stop = window.AbortController ? new AbortController() : null;
    setTimeout(function () {
      if (stop && !ended) stop.abort();
      end(0);
    }, ANSWER_MS);
    window.fetch(origin + "/v1/batch", {
      method: "POST",
      body: text,
      headers: { "Content-Type": "text/plain" },
      credentials: "omit",
      keepalive: text.length < MOST_BEACON / 2,
      signal: stop ? stop.signal : undefined
    }).then(function (answer) {
      end(answer.status, 1000 * Math.min(600, Number(answer.headers.get("Retry-After")) || 0));
    }, function () {
      end(0);
    });
  }
  // When the page is left, what it wrote itself goes by beacon. Nobody says whether that arrives, so it stays in the queue too: its
  // messageId makes the repeat harmless.
  function leave() {
    if (!allowed || sending || !navigator.sendBeacon) return;
    var batch = [], size = 0;
    Object.keys(mine).forEach(function (name) {
      var text = textOf(name);
      if (text && size + text.length * 3 < MOST_BEACON) {
        size += text.length * 3;
        batch.push(text);
      }
    });
    if (batch.length) navigator.sendBeacon(origin + "/v1/batch", new Blob([body(batch)], { type: "text/plain" }));
  }

  // --- who
  function anonymousId(id) {
    if (id !== undefined) return kept("ajs_anonymous_id", id);
    return kept("ajs_anonymous_id") || kept("ajs_anonymous_id", uuid());
  }
  function userId() {
    return kept("ajs_user_id");
  }
  function traits(name) {
    var found = kept(name || "ajs_user_traits");
    return isObject(found) ? found : {};
  }
  function reset() {
    ["ajs_user_id", "ajs_user_traits", "ajs_anonymous_id", "ajs_group_id"].forEach(function (name) { kept(name, null); });
  }

  // --- connectors that run on the page
  var running = [], readyCalls = [], waiting = 0;
  function enabled(name, integrations) {
    var all = true, own = integrations[name];
    Object.keys(integrations).forEach(function (key) {
      if (key.toLowerCase() === "all") all = integrations[key] !== false;
    });
    return own === undefined ? all : own !== false;
  }
  function isReady() {
    if (!started || waiting) return;
    readyCalls.splice(0).forEach(function (call) { attempt(call, "ready"); });
  }
  function runConnectors() {
    (told.connectors || []).forEach(function (each) {
      var make = (window.portalConnectors || {})[each.slug], loaded = false;
      if (!make || running.some(function (one) { return one.slug === each.slug; })) return;
      attempt(function () {
        var made = make(each.settings);
        running.push({ slug: each.slug, name: each.name, run: made });
        waiting++;
        made.load(function () {
          if (!loaded) waiting--;
          loaded = true;
          isReady();
        });
      }, each.slug);
    });
  }
  function handOver(message) {
    var ran = [];
    running.forEach(function (each) {
      if (!enabled(each.name, message.integrations)) return;
      ran.push(each.name);
      if (each.run[message.type]) attempt(function () { each.run[message.type](copied(message)); }, each.slug);
    });
    return ran;
  }

  // --- messages
  function pageFacts() {
    var link = document.querySelector("link[rel=canonical]"), place = window.location;
    var url = (link && link.href) || place.href;
    return {
      path: place.pathname, referrer: document.referrer, search: place.search, title: document.title,
      url: url.split("#")[0]
    };
  }
  function send(type, parts, given) {
    attempt(function () {
      given = isObject(given) ? copied(given) : {};
      var zone = window.Intl && Intl.DateTimeFormat().resolvedOptions().timeZone;
      var context = { channel: "browser", library: { name: "portal.js", version: "1" }, page: pageFacts(), userAgent: navigator.userAgent,
        locale: navigator.language, timezone: zone };
      var message = merged({
        type: type,
        messageId: "ajs-" + uuid(),
        timestamp: given.timestamp || new Date().toISOString(),
        anonymousId: given.anonymousId || anonymousId(),
        userId: userId() || undefined
      }, copied(parts), {
        context: merged(context, given.context, { channel: "browser" }),
        integrations: merged(options.integrations, given.integrations)
      });
      message._metadata = { bundled: JSON.stringify(message).length > MOST_MESSAGE ? [] : handOver(message) };
      add(copied(message));
    }, type + " is not sent");
  }

  // The calls, once they may be made. What is no name or no object in its place was left out by the page.
  function list(given, most) {
    var found = Array.prototype.slice.call(given), callback;
    if (typeof found[found.length - 1] === "function") callback = found.pop();
    var words = [];
    while (words.length < most && found.length && !isObject(found[0])) words.push(found.shift());
    return { words: words, objects: found.filter(function (each) { return isObject(each) || each === null || each === undefined; }), callback: callback };
  }
  function finish(callback) {
    if (callback) setTimeout(function () { attempt(callback, "callback"); }, 0);
  }
  var calls = {
    identify: function () {
      var given = list(arguments, 1), id = given.words[0], known = userId();
      if (id !== undefined && id !== null && id !== "") {
        // Another person than before starts anew.
        if (known && String(known) !== String(id)) reset();
        kept("ajs_user_id", id);
      }
      var all = kept("ajs_user_traits", merged(traits(), attempt(function () { return copied(given.objects[0]); }, "traits")));
      send("identify", { traits: all }, given.objects[1]);
      finish(given.callback);
    },
    track: function () {
      var given = list(arguments, 1);
      if (!given.words[0]) return;
      send("track", { event: String(given.words[0]), properties: given.objects[0] || {} }, given.objects[1]);
      finish(given.callback);
    },
    page: function () {
      var given = list(arguments, 2), words = given.words.filter(Boolean), facts = pageFacts();
      var parts = { name: words.length ? String(words[words.length - 1]) : undefined };
      if (words.length > 1) parts.category = String(words[0]);
      parts.properties = merged(facts, parts.category && { category: parts.category }, parts.name && { name: parts.name }, given.objects[0]);
      send("page", parts, given.objects[1]);
      finish(given.callback);
    },
    group: function () {
      var given = list(arguments, 1);
      if (given.words[0]) kept("ajs_group_id", given.words[0]);
      send("group", { groupId: given.words[0] || kept("ajs_group_id") || undefined, traits: given.objects[0] || {} }, given.objects[1]);
      finish(given.callback);
    },
    alias: function () {
      var given = list(arguments, 2), previous = given.words[1] || userId() || anonymousId();
      send("alias", { userId: given.words[0], previousId: previous }, given.objects[0]);
      finish(given.callback);
    },
    reset: reset
  };

  function decide(may) {
    allowed = may && started && !refused;
    if (!allowed) return;
    if (!running.length) runConnectors();
    held.splice(0).forEach(function (call) { analytics[call[0]].apply(analytics, call[1]); });
    soon(0);
    isReady();
  }
  var analytics = {
    isPortal: true,
    initialized: true,
    load: function (key, given) {
      if (started) return analytics;
      options = (isObject(key) ? key : given) || {};
      started = true;
      var choice = kept("pt:consent");
      if (refused || choice === 0 || (options.consent === false && choice !== 1)) decide(false);
      else decide(true);
      return analytics;
    },
    // What the person says: true sends from now on, and what waited; false forgets all that is kept, and sends nothing.
    consent: function (may) {
      if (refused) return;
      kept("pt:consent", may ? 1 : 0);
      if (!may) {
        held = [];
        names().forEach(drop);
        reset();
      }
      decide(!!may);
    },
    ready: function (call) {
      if (typeof call === "function") readyCalls.push(call);
      if (allowed) isReady();
    },
    user: function () {
      return {
        id: function () { return userId(); },
        anonymousId: function (id) { return analytics.anonymousId(id); },
        traits: function () { return traits(); }
      };
    },
    anonymousId: function (id) { return allowed ? anonymousId(id) : null; },
    setAnonymousId: function (id) { return analytics.anonymousId(id); }
  };
  Object.keys(calls).forEach(function (name) {
    analytics[name] = function () {
      if (allowed) calls[name].apply(null, arguments);
      // Asked, but not answered yet: it waits on this page, and is kept nowhere.
      else if (!refused && kept("pt:consent") !== 0 && held.length < MOST_HELD) held.push([name, arguments]);
      return analytics;
    };
  });

  window.analytics = analytics;
  window.addEventListener("online", function () { failures = 0; clearTimeout(timer); timer = 0; soon(0); });
  window.addEventListener("storage", function (change) { if (change.key === prefix + "lease" && !change.newValue) soon(LINGER_MS); });
  window.addEventListener("pagehide", function () { attempt(leave, "leaving"); });
  document.addEventListener("visibilitychange", function () { if (document.visibilityState === "hidden") attempt(leave, "leaving"); });
  var queued = Array.prototype.slice.call(before.length ? before : []), at = queued.findIndex(function (call) { return call[0] === "load"; });
  var first = before._loadOptions || (at >= 0 ? queued[at][2] : undefined);
  if (before._loadOptions || before.invoked || at >= 0) analytics.load(writeKey, first);
  queued.forEach(function (call) {
    if (call && call[0] !== "load" && typeof analytics[call[0]] === "function") {
      attempt(function () { analytics[call[0]].apply(analytics, Array.prototype.slice.call(call, 1)); }, call[0]);
    }
  });
})(window, document);
