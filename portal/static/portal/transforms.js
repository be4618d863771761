// Transforms of a row, chosen from a list; they are written into the row's lines of text, which is what is sent.
(() => {
  const known = () => JSON.parse(document.getElementById("transforms")?.textContent || "[]");

  function read(area, all) {
    return area.value.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
      const colon = line.indexOf(":"), name = (colon < 0 ? line : line.slice(0, colon)).trim().toLowerCase();
      const found = all.find((each) => each.name.toLowerCase() === name || each.label.toLowerCase() === name);
      const params = {};
      if (colon >= 0) line.slice(colon + 1).split(";").forEach((pair) => {
        const equals = pair.indexOf("=");
        if (equals > 0) params[pair.slice(0, equals).trim()] = pair.slice(equals + 1).trim();
      });
      return { found, params, line };
    });
  }
  function write(area, steps) {
    area.value = steps.map(({ found, params, line }) => {
      if (!found) return line;
      const given = found.params.filter((each) => params[each.name]).map((each) => `${each.name}=${params[each.name]}`);
      return found.label + (given.length ? `: ${given.join("; ")}` : "");
    }).join("\n");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const make = (tag, props = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), props);
    made.append(...inside);
    return made;
  };

  function draw(place, area, all, focus = null) {
    const steps = read(area, all);
    const box = make("div", { className: "pt-transforms" });
    const list = make("ol");
    steps.forEach((step, number) => {
      const item = make("li");
      item.append(make("span", { className: "pt-strong", textContent: step.found?.label ?? step.line, title: step.found?.help ?? "" }));
      (step.found?.params ?? []).forEach((param) => {
        const named = make("label", { className: "pt-small" }, param.label, " ");
        let input;
        if (param.choices.length) {
          input = make("select", { className: "pt-select" });
          param.choices.forEach(([value, label]) => input.append(make("option", { value, textContent: label })));
        } else {
          input = make("input", { className: "pt-input", size: 12, placeholder: param.default, title: param.help });
        }
        input.value = step.params[param.name] ?? (param.choices.length ? param.default : "");
        input.addEventListener(param.choices.length ? "change" : "input", (event) => {
          event.stopPropagation();
          step.params[param.name] = input.value.replaceAll(";", "");
          write(area, steps);
        });
        named.append(input);
        item.append(named);
      });
      const away = make("button", { type: "button", className: "pt-button pt-button-tiny", textContent: "×", title: "Remove" });
      away.setAttribute("aria-label", `Remove ${step.found?.label ?? step.line}`);
      away.addEventListener("click", () => { steps.splice(number, 1); write(area, steps); draw(place, area, all, "select"); });
      item.append(away);
      list.append(item);
    });
    const add = make("select", { className: "pt-select" });
    add.setAttribute("aria-label", "Add a transform");
    add.append(make("option", { value: "", textContent: "+ Transform…" }));
    all.forEach((each) => add.append(make("option", { value: each.name, textContent: `${each.label} – ${each.help}` })));
    add.addEventListener("change", (event) => {
      event.stopPropagation();
      const found = all.find((each) => each.name === add.value);
      if (found) { steps.push({ found, params: {}, line: "" }); write(area, steps); draw(place, area, all, "last"); }
    });
    if (steps.length) box.append(list);
    box.append(add);
    place.querySelector(".pt-transforms")?.remove();
    place.append(box);
    if (focus) (focus === "last" && list.lastElementChild?.querySelector("input, select") || add).focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-transforms]");
    if (!button) return;
    const place = document.getElementById(button.getAttribute("aria-controls"));
    const opened = place.classList.toggle("pt-open-more");
    button.setAttribute("aria-expanded", String(opened));
    if (opened) draw(place, place.querySelector("textarea[name$='-transforms']"), known(), "select");
  });
  // Rows that have transforms show them.
  const openUsed = () => document.querySelectorAll("#mapping [data-transforms][aria-expanded=false]").forEach((button) => {
    const place = document.getElementById(button.getAttribute("aria-controls")), area = place.querySelector("textarea[name$='-transforms']");
    if (area?.value.trim()) {
      place.classList.add("pt-open-more");
      button.setAttribute("aria-expanded", "true");
      draw(place, area, known());
    }
  });
  document.addEventListener("DOMContentLoaded", openUsed);
  document.addEventListener("htmx:oobAfterSwap", openUsed);
})();
