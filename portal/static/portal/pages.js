// Menus, the box under [+ Add], and the dialog. Each page works without them.

// One menu at a time; Escape closes it and gives the focus back, a click elsewhere closes it.
const openMenus = (but) => [...document.querySelectorAll("details.pt-menu[open]")].filter((menu) => menu !== but);

document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!menu.matches?.("details.pt-menu") || !menu.open) return;
  openMenus(menu).forEach((other) => { other.open = false; });
  menu.querySelector("input[type=search]")?.select();
}, true);

document.addEventListener("click", (event) => {
  const inside = event.target.closest("details.pt-menu");
  openMenus(inside).forEach((menu) => { menu.open = false; });
});

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.pt-menu[open]") || openMenus()[0];
  if (!menu) return;
  if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const entries = [...menu.querySelectorAll("ul a, ul button")];
    if (!entries.length || !menu.contains(event.target)) return;
    event.preventDefault();
    const at = entries.indexOf(document.activeElement);
    const next = event.key === "ArrowDown" ? at + 1 : at - 1;
    const box = menu.querySelector("input[type=search]");
    if (next < 0) (box || entries[entries.length - 1]).focus();
    else entries[Math.min(next, entries.length - 1)].focus();
  }
}, true);

// Closed menus and the dialog keep nothing of what was typed.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-modal]");
  const modal = document.getElementById("modal");
  if (opener && modal && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    document.getElementById("modal-title").textContent = opener.dataset.modal;
    const body = document.getElementById("modal-body");
    body.textContent = "";
    modal.showModal();
    htmx.ajax("GET", opener.href, { target: body, swap: "innerHTML" });
    modal.addEventListener("close", () => { body.textContent = ""; opener.focus(); }, { once: true });
  }
  if (event.target.closest("[data-modal-close]") || event.target === modal) modal?.close();
});

// What could not be loaded is said, not left blank.
for (const failed of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(failed, (event) => {
    const target = event.detail.target;
    if (target?.id !== "modal-body") return;
    const words = document.createElement("p");
    words.className = "pt-note pt-note-bad";
    words.setAttribute("role", "alert");
    words.textContent = "The portal did not answer. Close this and try again.";
    target.replaceChildren(words);
  });
}

// A button that is out of action while its answer is awaited loses the focus: its successor gets it back.
document.addEventListener("htmx:afterSettle", (event) => {
  const asked = event.detail.requestConfig?.elt;
  if (asked?.id && document.activeElement === document.body) document.getElementById(asked.id)?.focus();
});
