// Configure of a job: boxes that matter only with a choice, one more field when the last is filled, operators without values.
(() => {
  const form = document.getElementById("configure");
  if (!form) return;

  const valueOf = (name) => {
    const box = form.querySelector(`[name="${name}"]`);
    return box?.type === "checkbox" ? String(box.checked) : box?.value ?? "";
  };
  function showWhatMatters() {
    form.querySelectorAll("[data-only-if]").forEach((place) => {
      place.hidden = valueOf(place.dataset.onlyIf) !== place.dataset.onlyValue;
    });
    form.querySelectorAll("select[name$='-operator']").forEach((select) => {
      const values = form.querySelector(`[name="${select.name.replace(/operator$/, "values")}"]`);
      if (values) values.hidden = "bare" in select.selectedOptions[0].dataset;
    });
  }

  // The last of the boxes of a list of fields is empty: when it is filled, another takes its place; one that is emptied goes.
  function fields(event) {
    const place = event.target.closest("[data-fields]");
    if (!place) return;
    const boxes = [...place.querySelectorAll("select")], last = boxes.at(-1);
    if (event.target === last && last.value) {
      const more = last.cloneNode(true);
      more.value = "";
      last.querySelector("option[value='']").textContent = "None: take it out";
      last.after(more);
    } else if (event.target !== last && !event.target.value) {
      const next = event.target.nextElementSibling;
      event.target.remove();
      next.focus();
    }
    const name = last.getAttribute("aria-label").replace(/, \d+$/, "");
    place.querySelectorAll("select").forEach((box, at) => box.setAttribute("aria-label", `${name}, ${at + 1}`));
  }

  form.addEventListener("change", (event) => {
    fields(event);
    showWhatMatters();
  });
  document.body.addEventListener("htmx:afterSettle", showWhatMatters);
  showWhatMatters();
})();
