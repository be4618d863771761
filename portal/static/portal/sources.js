// A source's events as they come, and the button that shows the first one. What events say is set as text, never as HTML.
(() => {
  const EVERY_MS = 1000, TEST_MS = 300000;

  const ask = async (address) => {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };
  const clock = (at) => {
    const today = new Date().toISOString().slice(0, 10);
    return at.slice(0, 10) === today ? at.slice(11, 19) : `${at.slice(0, 10)} ${at.slice(11, 19)}`;
  };
  const named = (event) => event.type + (event.name ? ` “${event.name}”` : "");

  const became = (each) => {
    const line = element("span", "pt-became pt-wrap"), first = element("span");
    const badge = element("span", `pt-badge pt-${each.tone}`);
    const shape = element("span", "", each.shape);
    shape.setAttribute("aria-hidden", "true");
    badge.append(shape, ` ${each.word}`);
    first.append(badge);
    if (each.where) first.append(" ", each.where);
    line.append(first);
    if (each.reason) line.append(element("span", "pt-quiet pt-small", each.reason));
    return line;
  };

  const row = (event) => {
    const made = element("tr"), when = element("td", "pt-num"), who = element("td"), what = element("td"), then = element("td");
    const time = element("time", "", clock(event.at));
    time.dateTime = event.at;
    when.append(time);
    const name = element("span", "pt-cell");
    name.append(element("span", event.known ? "pt-strong" : "", event.who || "–"));
    if (event.who && !event.known) name.append(element("span", "pt-quiet pt-small", "a visitor"));
    who.append(name);
    const link = element("a", "pt-link", named(event));
    link.href = event.address;
    link.dataset.modal = "Event";
    what.className = "pt-wrap";
    what.append(link);
    then.append(...event.became.map(became));
    made.append(when, who, what, then);
    return made;
  };

  // Rows that are as they were stay in place, with the focus that may be in them.
  const draw = (body, events) => {
    const old = new Map([...body.children].filter((each) => each.dataset.said).map((each) => [each.dataset.event, each]));
    const rows = events.map((event) => {
      const said = JSON.stringify(event), before = old.get(String(event.id));
      if (before && before.dataset.said === said) return before;
      const made = row(event);
      made.dataset.event = event.id;
      made.dataset.said = said;
      return made;
    });
    rows.forEach((each, place) => { if (body.children[place] !== each) body.insertBefore(each, body.children[place] || null); });
    while (body.children.length > rows.length) body.lastElementChild.remove();
  };

  const live = (body) => {
    const pause = document.querySelector("[data-live-pause]"), state = document.querySelector("[data-live-state]");
    let paused = false;
    pause?.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
    });
    const look = async () => {
      if (!paused && !document.hidden) {
        try {
          const { events } = await ask(body.dataset.live);
          if (events.length && !paused) draw(body, events);
          if (state.textContent) state.textContent = "";
        } catch (failed) {
          state.textContent = "The portal does not answer: these may not be the latest.";
        }
      }
      if (body.isConnected) setTimeout(look, EVERY_MS);
    };
    look();
  };

  const test = async (button) => {
    const said = button.parentElement.querySelector("[data-test-said]"), until = Date.now() + TEST_MS;
    button.disabled = true;
    said.textContent = "Waiting for the next event: open a page with the snippet.";
    try {
      const { newest } = await ask(button.dataset.test);
      while (button.isConnected && Date.now() < until) {
        const { first } = await ask(`${button.dataset.test}?after=${newest}`);
        if (first) {
          said.textContent = `It arrived: ${named(first)}${first.who ? ` from ${first.who}` : ""}, ${clock(first.at)} UTC.`;
          return;
        }
        await new Promise((done) => setTimeout(done, EVERY_MS));
      }
      said.textContent = "Nothing came in five minutes. Look whether the page has the snippet, then press Test again.";
    } catch (failed) {
      said.textContent = "The portal does not answer. Try again.";
    } finally {
      button.disabled = false;
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-test]");
    if (button) test(button);
  });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-live]").forEach(live));
})();
