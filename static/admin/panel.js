/* What the operators' pages do more where scripts run. Each page is whole without it. */
"use strict";
(() => {
  const one = (what, within = document) => within.querySelector(what);
  const all = (what, within = document) => [...within.querySelectorAll(what)];

  // Buttons that need a script are hidden where there is none.
  const ready = (within) => {
    for (const button of all("[data-copy]", within)) button.hidden = !navigator.clipboard;
  };
  ready(document);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  // Keys. They are off where this browser was told so (My account), and dead in fields. A page is
  // gone to only by a link that is there, so nobody gets to what the role may not see.
  const OFF = "keys_off";
  const PAGES = { d: "", p: "payments", r: "refunds", e: "events", a: "approvals" };
  const follow = (link) => link && link.click();
  const rows = (step) => {
    const links = all("table.list tbody tr").map((row) => one("a", row)).filter(Boolean);
    const now = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    const next = links[now < 0 ? 0 : now + step];
    if (next) next.focus();
  };
  const KEYS = {
    "/": () => { const box = one("#find"); if (box) { box.focus(); box.select(); } },
    j: () => rows(1),
    k: () => rows(-1),
    f: () => {
      const filters = one("details.filtering");
      if (!filters) return;
      filters.open = true;
      one("select, input:not([type=hidden])", filters).focus();
    },
    r: () => follow(one('.acts a[href$="/refund"]')),
    "?": () => { const told = one("dialog.keys"); if (told) told.showModal(); },
  };
  const kept = () => { try { return localStorage.getItem(OFF); } catch { return null; } };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || kept()) return;
    if (event.key === "Shift" || one("dialog[open]")) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const went = going;
    going = !went && event.key === "g";
    if (going) return;
    if (went && !(event.key in PAGES)) return;
    if (!went && !(event.key in KEYS)) return;
    event.preventDefault();
    if (went) follow(one(`.pages a[href="/admin/${PAGES[event.key]}"]`));
    else KEYS[event.key]();
  });

  const choice = one("[data-keys]");
  if (choice) {
    const box = one("input", choice);
    choice.hidden = false;
    box.checked = !kept();
    box.addEventListener("change", () => {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "yes");
    });
  }

  // What the page asks for by itself; the server does not take it for somebody at work.
  const byItself = (address, headers) => fetch(address, {
    headers: { "X-By-Itself": "yes", ...headers }, cache: "no-store", redirect: "manual",
  });

  // A list asks each 15 s whether there are rows above its first one.
  for (const link of all("[data-newer]")) {
    const look = async () => {
      if (document.hidden) return;
      try {
        const answer = await byItself(link.dataset.newer);
        if (answer.status === 200) link.textContent = await answer.text();
        else if (answer.status !== 204 && answer.status < 500) clearInterval(asking);
        if (answer.type === "opaqueredirect") link.textContent = "You are logged out: refresh";
      } catch {
        // The network is away for a moment; it is asked again.
      }
    };
    const asking = setInterval(look, 15000);
  }

  // How long it is until the next step. The server says in how many seconds, so that nobody's clock
  // has to be right.
  const counting = () => {
    for (const at of all("[data-in]")) {
      at.begun ??= performance.now();
      const left = Math.round(at.dataset.in - (performance.now() - at.begun) / 1000);
      const parts = [[Math.floor(left / 60), "min"], [left % 60, "s"]];
      const words = parts.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`);
      one(".soft", at).textContent = words.length ? `in ${words.join(" ")}` : "now";
    }
  };
  if (one("[data-story]")) setInterval(counting, 1000);

  // A payment that waits is asked for again: every 2 s for a minute, then every 10 s; never while
  // nobody looks or while it is paused. The desk says its own time.
  const live = one("[data-story]");
  if (!live || live.dataset.settled === "yes") return;
  const here = one("[data-here]"), said = one("[data-said]"), pause = one("[data-pause]");
  const news = one("[data-news]");
  const QUICK = 2000, SLOW = 10000, LONG = 60000;
  const begun = Date.now(), every = Number(live.dataset.every);
  let tag = live.dataset.tag, paused = false, timer = 0, asking = false;

  const say = (text) => (said.textContent = text);
  const later = () => {
    clearTimeout(timer);
    if (paused || asking || document.hidden || live.dataset.settled === "yes") return;
    timer = setTimeout(ask, every || (Date.now() - begun < LONG ? QUICK : SLOW));
  };

  const stop = (text) => {
    live.dataset.settled = "yes";
    pause.hidden = true;
    if (text) say(text);
  };

  async function ask() {
    asking = true;
    try {
      const answer = await byItself(live.dataset.story, { "If-None-Match": `"${tag}"` });
      if (answer.type === "opaqueredirect") stop("You are logged out. Refresh the page.");
      else if (answer.status === 200) await show(await answer.text(), answer.headers);
      else if (answer.status !== 304 && answer.status < 500) stop("Refresh the page.");
    } catch {
      // The network is away for a moment; it is asked again.
    }
    asking = false;
    later();
  }

  async function show(text, headers) {
    tag = headers.get("ETag").replace(/^W\//, "").replaceAll('"', "");
    const status = headers.get("X-Payment-Status");
    const moved = status && status !== here.dataset.status;
    if (headers.get("X-Payment-Settled") === "yes") stop();
    if (moved) say(`It is ${status.toLowerCase().replaceAll("_", " ")} now.`);
    here.dataset.status = status;
    const fragment = document.createElement("template");
    fragment.innerHTML = text;
    waiting.set(here, fragment.content.childNodes);
    place();
    if (moved) await renew();
  }

  // What else of the page depends on the status: what can be done now, the receipt.
  async function renew() {
    const answer = await byItself(location.pathname);
    if (answer.status !== 200) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of all("[data-fresh]")) {
      const fresh = one(`[data-fresh="${part.dataset.fresh}"]`, page);
      if (fresh) waiting.set(part, fresh.childNodes);
    }
    place();
  }

  // Nothing moves under the pointer: what is new waits until it has left. What was unfolded stays so.
  const waiting = new Map();
  const moves = (what) => what && (here === what
    || here.compareDocumentPosition(what) & Node.DOCUMENT_POSITION_FOLLOWING);
  const inUse = () => moves(all("main :hover").pop())
    || [...waiting.keys()].some((part) => part.contains(document.activeElement))
    || moves(getSelection().anchorNode) && !getSelection().isCollapsed;

  function place(at_once) {
    const busy = at_once !== true && waiting.size && inUse();
    news.hidden = !busy || !waiting.size;
    if (busy) return;
    for (const [part, nodes] of waiting) {
      const open = all("details[open]", part).map((line) => line.dataset.line);
      part.replaceChildren(...nodes);
      for (const line of all("details[data-line]", part)) line.open = open.includes(line.dataset.line);
      ready(part);
    }
    waiting.clear();
    counting();
  }
  for (const left of ["pointerout", "focusout", "selectionchange"]) {
    document.addEventListener(left, () => waiting.size && setTimeout(place));
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
