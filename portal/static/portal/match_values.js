// The dialog "Match values": what is chosen in it is written into the row's lines, "yours = theirs", which is what is sent.
(() => {
  const target = (select) => (select.tagName === "INPUT" ? (select.value ? `to:${select.value}` : "hold") : select.value);

  function lines(form) {
    const found = [];
    form.querySelectorAll("tr[data-own]").forEach((row) => {
      const box = row.querySelector("select, input"), chosen = target(box);
      if (chosen === "omit") found.push(`${row.dataset.own} = `);
      else if (chosen.startsWith("to:") && chosen.slice(3) !== box.dataset.joined) found.push(`${row.dataset.own} = ${chosen.slice(3)}`);
    });
    // From a list: values that no lead has carried yet.
    (form.more ?? new Map()).forEach((theirs, own) => found.push(`${own} = ${theirs}`));
    const rest = form.querySelector("#match-default").value;
    if (rest === "omit") found.push("* = ");
    if (rest.startsWith("to:")) found.push(`* = ${rest.slice(3)}`);
    return found;
  }
  function count(form) {
    const open = [...form.querySelectorAll("tr[data-own]")].filter((row) => target(row.querySelector("select, input")) === "hold").length;
    const place = form.querySelector("#match-count");
    if (place) place.textContent = open ? `▲ ${open} without a match` : "✓ all matched";
  }

  // Two columns by comma, semicolon or tab; quotes around a column may hold any of them.
  function columns(line) {
    const mark = line.includes("\t") ? "\t" : line.includes(";") ? ";" : ",";
    const found = [""];
    let quoted = false;
    for (let place = 0; place < line.length; place++) {
      const sign = line[place];
      if (sign === '"' && quoted && line[place + 1] === '"') { found[found.length - 1] += '"'; place++; }
      else if (sign === '"') quoted = !quoted;
      else if (sign === mark && !quoted) found.push("");
      else found[found.length - 1] += sign;
    }
    return found.map((each) => each.trim());
  }
  function takeList(form) {
    const rows = new Map([...form.querySelectorAll("tr[data-own]")].map((row) => [row.dataset.own.toLowerCase(), row]));
    let taken = 0;
    const strange = [];
    form.querySelector("#match-csv").value.split(/\r?\n/).filter((line) => line.trim()).forEach((line) => {
      const [own, theirs = ""] = columns(line), row = rows.get(own.toLowerCase());
      const box = row?.querySelector("select, input") ?? form.querySelector("#match-default");
      if (box.tagName === "INPUT") { box.value = theirs; taken++; return; }
      const wanted = theirs.toLowerCase();
      const option = [...box.options].find((each) => (theirs ? each.value.toLowerCase() === `to:${wanted}` || each.text.toLowerCase().replace(/^send /, "") === wanted : each.value === "omit"));
      if (!option) return strange.push(`${own} → ${theirs}`);
      if (row) box.value = option.value;
      else (form.more ??= new Map()).set(own, option.value.startsWith("to:") ? option.value.slice(3) : "");
      taken++;
    });
    form.querySelector("#match-csv-said").textContent = `${taken} taken.` + (strange.length ? ` Not known here: ${strange.slice(0, 5).join(", ")}${strange.length > 5 ? ` and ${strange.length - 5} more` : ""}.` : "");
    count(form);
  }

  document.addEventListener("change", (event) => {
    const form = event.target.closest("#match-values");
    if (!form) return;
    if (event.target.matches("[data-match-file]") && event.target.files[0]) {
      event.target.files[0].slice(0, 1_000_000).text().then((text) => {
        form.querySelector("#match-csv").value = text.replace(/^\uFEFF/, "");
        takeList(form);
      });
    }
    count(form);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-match-csv]");
    if (button) takeList(button.closest("form"));
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("#match-values");
    if (!form) return;
    event.preventDefault();
    const area = document.querySelector(`#configure [name="${form.dataset.row}-value_map"]`);
    if (area) {
      area.value = lines(form).join("\n");
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const row = document.querySelector(`[data-prefix="${form.dataset.row}"] [data-match]`);
    document.getElementById("dialog").close();
    row?.focus();
  });
})();
