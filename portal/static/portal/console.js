// Small conveniences of our own pages; each page works without them.
document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    event.preventDefault();
    const source = document.querySelector(copy.dataset.copy);
    const done = () => {
      const before = copy.innerHTML;
      copy.textContent = "Copied";
      setTimeout(() => { if (copy.textContent === "Copied") copy.innerHTML = before; }, 2000);
    };
    // Without https a browser gives no clipboard: the text is selected then, and copied the old way.
    const select = () => {
      getSelection().selectAllChildren(source);
      if (document.execCommand("copy")) done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(source.textContent.trim()).then(done, select);
    else select();
  }
});

// The skin's Filters button is a link without an address: it gets what keys need to reach and press it.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("a:not([href])").forEach((link) => {
    if (!link.hasAttribute("x-on:click") && !link.hasAttribute("@click")) return;
    link.setAttribute("role", "button");
    link.tabIndex = 0;
    link.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); link.click(); }
    });
  });
});
