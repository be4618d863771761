// Dropdowns that are searched by typing: an input over a select, which stays what is sent. Follows the ARIA combobox pattern.
(() => {
  const MAX_SHOWN = 200;
  let count = 0;

  function options(select) {
    return [...select.options].map((option) => ({
      value: option.value, label: option.text,
      group: option.parentElement.tagName === "OPTGROUP" ? option.parentElement.label : "",
    }));
  }

  function dress(select) {
    const id = `combo-${++count}`;
    const box = document.createElement("div"), input = document.createElement("input"), list = document.createElement("ul");
    box.className = "pt-combo";
    input.type = "text";
    input.className = "pt-input";
    input.autocomplete = "off";
    input.spellcheck = false;
    list.id = id;
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", select.getAttribute("aria-label") || "");
    for (const [name, value] of Object.entries({
      role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": id,
      "aria-label": select.getAttribute("aria-label") || "",
    })) input.setAttribute(name, value);
    select.hidden = true;
    select.after(box);
    box.append(input, list);

    let active = -1, shown = [];
    const label = () => (select.value ? select.selectedOptions[0]?.text ?? "" : "");
    const rest = () => { input.value = label(); input.placeholder = "Choose…"; };
    rest();
    select.addEventListener("change", rest);

    function mark(index) {
      active = index;
      [...list.querySelectorAll("[role=option]")].forEach((item, place) => {
        item.setAttribute("aria-selected", String(place === index));
        if (place === index) item.scrollIntoView({ block: "nearest" });
      });
      if (index >= 0) input.setAttribute("aria-activedescendant", `${id}-${index}`);
      else input.removeAttribute("aria-activedescendant");
    }
    function open(text) {
      const wanted = text.trim().toLocaleLowerCase();
      shown = options(select).filter((each) => each.value !== "" || !wanted)
        .filter((each) => !wanted || each.label.toLocaleLowerCase().includes(wanted) || each.value.toLocaleLowerCase().includes(wanted))
        .slice(0, MAX_SHOWN);
      if (wanted) shown.push({ value: "fixed:", label: `Fixed value: ${text.trim()}`, text: text.trim(), group: "" });
      list.replaceChildren();
      let group = "";
      shown.forEach((each, place) => {
        if (each.group && each.group !== group) {
          const head = document.createElement("li");
          head.setAttribute("role", "presentation");
          head.className = "pt-combo-group";
          head.textContent = group = each.group;
          list.append(head);
        }
        const item = document.createElement("li");
        item.id = `${id}-${place}`;
        item.setAttribute("role", "option");
        item.textContent = each.value === "" ? "Nothing" : each.label;
        item.addEventListener("mousedown", (event) => { event.preventDefault(); take(place); });
        list.append(item);
      });
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      const current = shown.findIndex((each) => each.value === select.value);
      mark(wanted ? 0 : Math.max(current, 0));
    }
    function close() {
      list.hidden = true;
      input.setAttribute("aria-expanded", "false");
      mark(-1);
    }
    function take(place) {
      const picked = shown[place];
      close();
      if (!picked) return rest();
      const row = select.closest("[data-prefix]"), text = row?.querySelector(`[name="${row.dataset.prefix}-text"]`);
      select.value = picked.value;
      if (picked.text !== undefined && text) text.value = picked.text;
      select.dispatchEvent(new Event("change", { bubbles: true }));
      if (text && picked.text === undefined && /^(fixed|template):/.test(picked.value)) text.focus();
    }

    input.addEventListener("click", () => { if (list.hidden) { input.select(); open(""); } });
    input.addEventListener("input", (event) => { event.stopPropagation(); open(input.value); });
    input.addEventListener("change", (event) => event.stopPropagation());
    input.addEventListener("blur", () => { close(); rest(); });
    input.addEventListener("keydown", (event) => {
      const isOpen = !list.hidden, step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        if (!isOpen) open("");
        else mark((active + step + shown.length) % shown.length);
      } else if (event.key === "Enter") {
        // Enter takes what is marked; it saves the page from closed boxes only.
        if (isOpen) { event.preventDefault(); take(active); }
      } else if (event.key === "Escape" && isOpen) {
        event.preventDefault();
        event.stopPropagation();
        close();
        rest();
      } else if (event.key === "Tab" && isOpen && input.value && input.value !== label()) {
        take(active);
      }
    });
  }

  window.combobox = {
    enhance(root) { root.querySelectorAll("select[data-combo]:not([hidden])").forEach(dress); },
    // As it was before, so that a copy can be dressed anew.
    plain(root) {
      root.querySelectorAll(".pt-combo").forEach((box) => box.remove());
      root.querySelectorAll("select[data-combo]").forEach((select) => { select.hidden = false; });
    },
  };
})();
