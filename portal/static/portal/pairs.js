// A box of lines "own = theirs" as two columns. What is typed is written back into the lines, which is what is sent.
(() => {
  const make = (tag, props = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), props);
    made.append(...inside);
    return made;
  };
  // With spaces around the sign first, so that "a=b = c" keeps its left side whole.
  function sides(line) {
    const spaced = line.indexOf(" = "), at = spaced >= 0 ? spaced + 1 : line.indexOf("=");
    return at < 0 ? [line.trim(), line.trim()] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }
  function enhance(area) {
    const titles = [area.dataset.left, area.dataset.right];
    const name = document.querySelector(`label[for="${area.id}"]`)?.firstChild.textContent.trim() ?? "";
    const rows = make("div", { className: "pt-sides" });
    const write = () => {
      const pairs = [...rows.querySelectorAll(".pt-sides-row")].map((row) => [...row.querySelectorAll("input")].map((box) => box.value.trim()));
      area.value = pairs.filter((pair) => pair.some(Boolean)).map((pair) => pair.join(" = ")).join("\n");
      area.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const row = (values) => {
      const number = rows.childElementCount + 1;
      const boxes = titles.map((title, side) => {
        const box = make("input", { className: "pt-input", type: "text", value: values[side] ?? "", autocomplete: "off", spellcheck: false });
        box.setAttribute("aria-label", `${name}, row ${number}: ${title}`);
        box.addEventListener("input", write);
        return box;
      });
      const remove = make("button", { type: "button", className: "pt-button pt-button-small", textContent: "✕", title: "Remove this row" });
      remove.setAttribute("aria-label", `${name}: remove row ${number}`);
      const line = make("div", { className: "pt-sides-row" }, ...boxes, remove);
      remove.addEventListener("click", () => {
        const next = line.nextElementSibling ?? line.previousElementSibling;
        line.remove();
        write();
        (next?.querySelector("input") ?? add).focus();
      });
      rows.append(line);
      return boxes[0];
    };
    const add = make("button", { type: "button", className: "pt-button pt-button-small", textContent: "Add row" });
    add.addEventListener("click", () => row([]).focus());
    area.value.split("\n").filter((line) => line.trim()).forEach((line) => row(sides(line)));
    if (!rows.childElementCount) row([]);
    const head = make("div", { className: "pt-sides-row pt-small pt-quiet" }, ...titles.map((title) => make("span", { textContent: title })));
    area.hidden = true;
    area.after(head, rows, add);
    document.querySelector(`label[for="${area.id}"]`)?.addEventListener("click", () => rows.querySelector("input")?.focus());
  }
  document.querySelectorAll("textarea[data-pairs]").forEach(enhance);
})();
