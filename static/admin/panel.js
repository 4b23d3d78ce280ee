/* What the operators' pages do more where scripts run. Each page is whole without it. */
"use strict";
(() => {
  const one = (what, within = document) => within.querySelector(what);

  // Buttons that need a script are hidden where there is none.
  const ready = (within) => {
    for (const button of within.querySelectorAll("[data-copy]")) {
      button.hidden = !navigator.clipboard;
    }
  };
  ready(document);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  // "/" puts the cursor into the box that finds.
  document.addEventListener("keydown", (event) => {
    const box = one("#find");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !box) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  // A payment that waits is asked for again: every 2 s for a minute, then every 10 s; never while
  // nobody looks, while it is paused, or while a part of it is in use. The desk says its own time.
  const live = one("[data-story]");
  if (!live || live.dataset.settled === "yes") return;
  const here = one("[data-here]"), said = one("[data-said]"), pause = one("[data-pause]");
  const news = one("[data-news]");
  const QUICK = 2000, SLOW = 10000, LONG = 60000;
  const begun = Date.now(), every = Number(live.dataset.every);
  let tag = live.dataset.tag, paused = false, timer = 0;

  const say = (text) => (said.textContent = text);
  const later = () => {
    clearTimeout(timer);
    if (paused || document.hidden || live.dataset.settled === "yes") return;
    timer = setTimeout(ask, every || (Date.now() - begun < LONG ? QUICK : SLOW));
  };
  const inUse = () => here.matches(":hover") || here.contains(document.activeElement)
    || here.contains(getSelection().anchorNode) && !getSelection().isCollapsed;

  const stop = (text) => {
    live.dataset.settled = "yes";
    pause.hidden = true;
    say(text);
  };

  async function ask() {
    try {
      const answer = await fetch(live.dataset.story, {
        headers: { "If-None-Match": `"${tag}"` }, cache: "no-store", redirect: "manual",
      });
      if (answer.type === "opaqueredirect") return stop("You are logged out. Refresh the page.");
      if (answer.status === 200) show(await answer.text(), answer.headers);
      else if (answer.status !== 304 && answer.status < 500) return stop("Refresh the page.");
    } catch {
      // The network is away for a moment; it is asked again.
    }
    later();
  }

  let waiting = null;
  function show(text, headers) {
    tag = headers.get("ETag").replace(/^W\//, "").replaceAll('"', "");
    const status = headers.get("X-Payment-Status");
    if (headers.get("X-Payment-Settled") === "yes") stop("");
    if (status && status !== here.dataset.status) say(`It is ${status.toLowerCase().replaceAll("_", " ")} now.`);
    here.dataset.status = status;
    waiting = text;
    place();
  }

  // Nothing moves under the pointer: what is new waits until it has left.
  function place(at_once) {
    if (waiting === null || (at_once !== true && inUse())) {
      news.hidden = waiting === null;
      return;
    }
    news.hidden = true;
    const folds = () => [...here.querySelectorAll("details")];
    const open = folds().map((fold) => fold.open);
    here.innerHTML = waiting;
    folds().forEach((fold, n) => (fold.open = open[n]));
    waiting = null;
    ready(here);
  }
  for (const left of ["pointerleave", "focusout"]) {
    here.addEventListener(left, () => setTimeout(place));
  }
  news.addEventListener("click", () => place(true));

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "Paused." : "Goes on.");
    later();
  });
  document.addEventListener("visibilitychange", later);
  later();
})();
