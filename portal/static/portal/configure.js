// The Configure page as it is typed: checks, the preview column, suggestions, extra rows, dialogs. Without it, Save does the same.
(() => {
  const CHECK_AFTER_MS = 500, LOOK_AFTER_MS = 250, SLOW_MS = 2000, AGAIN_MS = 3000;
  const form = document.getElementById("configure");
  if (!form) return;
  const settings = document.getElementById("settings"), dialog = document.getElementById("dialog");
  const marker = Object.assign(document.createElement("input"), { type: "hidden", name: "js", value: "1" });
  form.append(marker);
  form.classList.add("pt-living");

  // --- the boxes: each is checked when it is left, or half a second after the last key
  let checkTimer = 0, slowTimer = 0, againTimer = 0, checked = "";
  const boxes = () => [...(settings?.querySelectorAll("input[name], select[name], textarea[name]") ?? [])];
  const typed = () => JSON.stringify(boxes().map((box) => (box.type === "checkbox" ? box.checked : box.value)));
  const states = () => [...(settings?.querySelectorAll(".pt-state") ?? [])];

  function check() {
    clearTimeout(checkTimer);
    if (typed() === checked) return;
    checked = typed();
    htmx.trigger(settings, "check");
  }
  settings?.addEventListener("input", (event) => {
    if (event.target.tagName === "SELECT") return;
    clearTimeout(checkTimer);
    checkTimer = setTimeout(check, CHECK_AFTER_MS);
  });
  settings?.addEventListener("change", check);
  // What a button of an editor changed in the boxes is checked like what is typed.
  settings?.addEventListener("htmx:afterSettle", (event) => { if (event.target !== settings) check(); });
  if (settings?.dataset.filled) document.addEventListener("DOMContentLoaded", check);
  else checked = typed();

  function say(words, busy) {
    states().forEach((state) => {
      const box = settings.querySelector(`[name="settings-s-${state.id.slice(6)}"]`);
      if (!box || (box.value === "" && !state.parentElement.querySelector(".pt-secret"))) return;
      if (box.tagName === "SELECT" && box.value === "") return;
      const line = document.createElement("span");
      line.className = busy ? "pt-state-busy" : "pt-state-wait";
      const shape = document.createElement("span");
      shape.setAttribute("aria-hidden", "true");
      shape.className = busy ? "pt-spinner" : "";
      shape.textContent = busy ? "" : "▲";
      line.append(shape, ` ${words}`);
      state.replaceChildren(line);
    });
  }
  const saidOfAll = (words) => {
    const place = document.getElementById("said"), note = document.createElement("p");
    note.className = "pt-note pt-note-wait";
    note.textContent = words;
    place.replaceChildren(...(words ? [note] : []));
  };

  const isCheck = (event) => event.detail.pathInfo?.requestPath.includes("/check/");
  document.body.addEventListener("htmx:beforeSend", (event) => {
    if (!isCheck(event)) return;
    clearTimeout(slowTimer);
    clearTimeout(againTimer);
    say("checking", true);
    slowTimer = setTimeout(() => say("no answer yet; you can go on meanwhile", true), SLOW_MS);
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!isCheck(event)) return;
    // One that was dropped leaves the timer to the one that took its place.
    if (event.detail.xhr.status === 0) return;
    clearTimeout(slowTimer);
    if (event.detail.successful) {
      const again = document.querySelector("#said [data-again]");
      if (again) againTimer = setTimeout(() => { checked = ""; check(); }, AGAIN_MS);
      return;
    }
    say("not checked", false);
    saidOfAll(event.detail.xhr.status === 403 ? "You are signed out, or may not do this. Sign in in another tab; what you typed stays here."
      : "This portal could not check. What you typed stays here: save it, or try again.");
  });
  document.body.addEventListener("htmx:sendError", (event) => {
    clearTimeout(slowTimer);
    if (isCheck(event)) say("not checked", false);
    saidOfAll("This portal does not answer. What you typed stays here: try again in a moment.");
  });

  // --- the mapping: every change shows what becomes of the preview lead
  let lookTimer = 0;
  const look = () => {
    clearTimeout(lookTimer);
    lookTimer = setTimeout(() => htmx.trigger(document.getElementById("mapping"), "look"), LOOK_AFTER_MS);
  };
  form.addEventListener("input", (event) => { if (event.target.closest("#mapping")) look(); });
  form.addEventListener("change", (event) => {
    if (!event.target.closest("#mapping")) return;
    if (event.target.id === "preview-lead") {
      const head = document.querySelector(".pt-map-head > :last-child");
      if (head) head.textContent = `Value for #${event.target.value}`;
    }
    if (event.target.matches("select[name$='-source']")) showText(event.target);
    look();
  });
  function showText(select) {
    const row = select.closest(".pt-map-row"), place = row.querySelector("[data-text]");
    place.hidden = !/^(fixed|template):/.test(select.value);
    row.querySelector("[data-template-help]").hidden = select.value !== "template:";
    row.querySelector("[data-match]")?.toggleAttribute("hidden", !select.value);
  }
  function choose(prefix, value) {
    const select = form.querySelector(`[name="${prefix}-source"]`);
    if (!select || select.value) return false;
    select.value = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    return select.value === value;
  }
  function focusOn(row) {
    row?.querySelector("[role=combobox]")?.focus();
  }

  document.addEventListener("click", (event) => {
    const take = event.target.closest("[data-take]");
    if (take) {
      const row = take.closest(".pt-map-row");
      choose(take.dataset.row, take.dataset.take);
      focusOn(row);
    }
    if (event.target.closest("[data-accept-all]")) {
      document.querySelectorAll("#mapping [data-take]").forEach((each) => choose(each.dataset.row, each.dataset.take));
      document.getElementById("preview-lead")?.focus();
    }
    if (event.target.closest("[data-add-extra]")) addRow();
    if (event.target.closest("[data-close-dialog]")) {
      if (dialog?.open) dialog.close();
      else history.back();
    }
  });

  // --- a row for an input that is not on their form
  function addRow() {
    const rows = [...form.querySelectorAll("[data-extra-row]")], last = rows.at(-1);
    if (last && !last.querySelector("input[name$='-remote_key']").value) {
      last.hidden = false;
      last.querySelector("input").focus();
      return;
    }
    const row = last.cloneNode(true), was = last.dataset.prefix, now = `new-${rows.length}`;
    window.combobox.plain(row);
    row.innerHTML = row.innerHTML.replaceAll(`${was}-`, `${now}-`);
    row.dataset.prefix = now;
    row.querySelectorAll("input, textarea").forEach((box) => { box.value = ""; box.removeAttribute("value"); });
    row.querySelectorAll(".pt-transforms").forEach((box) => box.remove());
    row.querySelectorAll(".pt-map-mark, .pt-map-value").forEach((box) => box.replaceChildren());
    row.querySelector("select").selectedIndex = 0;
    last.after(row);
    window.combobox.enhance(row);
    showText(row.querySelector("select"));
    row.querySelector("input").focus();
  }
  function hideEmptyExtra(root) {
    root.querySelectorAll("[data-extra-row]").forEach((row) => {
      const used = [...row.querySelectorAll("input[name], textarea[name], select[name]")].some((box) => box.value);
      if (!used && !row.querySelector(".pt-error")) row.hidden = true;
    });
  }

  // --- dialogs
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "dialog-body" && !dialog.open) {
      dialog.showModal();
      dialog.querySelector("form input:not([type=hidden]), form select, [data-close-dialog]")?.focus();
    }
  });
  // What was saved meanwhile is on the page only once it is read again.
  dialog?.addEventListener("close", () => {
    if (dialog.querySelector("[data-saved]")) location.assign(location.pathname);
    document.getElementById("dialog-body").replaceChildren();
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    if (isCheck(event)) return;
    saidOfAll("This portal could not do that just now. Nothing was sent, and what you typed stays here.");
  });

  // The busy word of a button is drawn by CSS from its data-busy while htmx waits.
  document.addEventListener("DOMContentLoaded", () => {
    window.combobox.enhance(form);
    hideEmptyExtra(form);
  });
  document.body.addEventListener("htmx:oobAfterSwap", (event) => {
    // A dropdown that got its list anew stands where the list says.
    if (event.detail.target?.tagName === "SELECT") {
      const chosen = [...event.detail.target.options].find((option) => option.defaultSelected);
      event.detail.target.value = chosen ? chosen.value : "";
    }
    const place = document.getElementById("mapping");
    if (event.detail.target?.id === "mapping" || event.detail.elt?.id === "mapping") {
      window.combobox.enhance(place);
      hideEmptyExtra(place);
      htmx.process(place);
    }
  });
})();
