// Small conveniences of our own pages; each page works without them.
document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    event.preventDefault();
    navigator.clipboard.writeText(document.querySelector(copy.dataset.copy).textContent.trim()).then(() => {
      copy.textContent = "Copied";
    });
  }
  const add = event.target.closest("[data-add-row]");
  if (add) {
    event.preventDefault();
    const rows = document.querySelectorAll("[data-extra-row]");
    const last = rows[rows.length - 1];
    const row = last.cloneNode(true);
    row.innerHTML = row.innerHTML.replaceAll(`new-${rows.length - 1}-`, `new-${rows.length}-`);
    row.querySelectorAll("input, textarea").forEach((box) => { box.value = ""; box.removeAttribute("value"); });
    row.querySelectorAll("select").forEach((box) => { box.selectedIndex = 0; });
    last.after(row);
    row.querySelector("input").focus();
  }
});
