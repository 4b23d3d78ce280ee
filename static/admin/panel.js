/* What the operators' pages do more where scripts run. Each page is whole without it. */
"use strict";
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];

  // Buttons that need a script are hidden where there is none.
  function ready(within) {
    for (const button of all("[data-copy]", within)) {
      button.hidden = !navigator.clipboard;
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  ready(document);
})();
