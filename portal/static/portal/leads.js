// Pages of work on many leads. Each works without this.
(() => {
  // Reason codes of another flag are not offered; the server leaves them out all the same.
  const box = document.querySelector("#ask select[name=reason_code]");
  const narrow = () => {
    const flag = document.querySelector("#ask [name=flag]:checked");
    const word = flag ? flag.closest("label").textContent.trim() : "";
    box.querySelectorAll("optgroup").forEach((group) => {
      const other = word !== "" && group.label !== word;
      group.hidden = other;
      group.disabled = other;
      if (other && group.contains(box.selectedOptions[0])) box.value = "";
    });
  };
  if (box) {
    narrow();
    document.querySelector("#ask").addEventListener("change", (event) => { if (event.target.name === "flag") narrow(); });
  }
  // The skin writes a chosen file's name into a text box beside it; here the browser says it, and there is none.
  document.querySelectorAll("input[type=file]").forEach((input) => { input.hasChangeListener = true; });
  // A second click while the first is on its way would be the same activity; it is not sent at all.
  document.querySelectorAll("form[data-once], #ask").forEach((form) => {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) { event.preventDefault(); return; }
      if (document.querySelector("[data-download]")) return;
      form.dataset.sent = "1";
    });
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => { delete form.dataset.sent; }));
})();
