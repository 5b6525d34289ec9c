// A list does not move under the pointer. While that is over it, after the key `p`, and always on touch screens, rows stay
// where they are and are only updated: those that no longer belong there are pale, and new ones are counted until the
// pointer leaves the list, `p` is pressed again, or the reader requests them.
"use strict";
(() => {
  const live = document.getElementById("live"), news = document.getElementById("news"), resume = document.getElementById("resume");
  const withoutPointer = matchMedia("(hover: none)");
  const left = new Set();
  let isOver = false, isPaused = false, isRequested = false, count = "";
  const lists = (root) => [...root.querySelectorAll(".list")];
  const rows = (root) => [...root.querySelectorAll(".list tbody tr[id]")];
  const isHeld = () => !isRequested && (isPaused || isOver || withoutPointer.matches) && rows(live).length > 0;

  function setOver(now) {
    if (isOver === now) return;
    isOver = now;
    if (!now && (count || left.size)) htmx.trigger(document.body, "refresh");
  }
  live.addEventListener("pointerover", (event) => setOver(event.pointerType === "mouse" && !!event.target.closest(".list tbody")));
  live.addEventListener("pointerleave", () => setOver(false));
  function setPaused(now) {
    isPaused = now;
    resume.hidden = !now;
    if (!now && (count || left.size)) htmx.trigger(document.body, "refresh");
  }
  function request() {
    isRequested = true;
    setPaused(false);
    document.getElementById("main").scrollIntoView();
    htmx.trigger(document.body, "refresh");
  }
  news.addEventListener("click", request);
  resume.addEventListener("click", () => setPaused(false));
  addEventListener("keydown", (event) => {
    if (keyOf(event) !== "p" || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
    // Events have a list, and a pause, of their own.
    if (!live.hasAttribute("hx-get") || document.getElementById("feed") || !(isPaused || rows(live).length)) return;
    event.preventDefault();
    setPaused(!isPaused);
  });

  // On the newest page, request the same rows, so that those that new ones have pushed off it are updated, too.
  document.body.addEventListener("htmx:configRequest", ({ detail }) => {
    const top = rows(live)[0];
    if (detail.elt !== live || !isHeld() || !live.querySelector("[data-newest]")) return;
    detail.parameters.top = top.id.slice(1);
  });

  // Replace old rows by their fresh versions; return how many fresh rows have no old one.
  function mergeRows(old, fresh) {
    const found = new Map(rows(fresh).map((row) => [row.id, row]));
    let unseen = found.size;
    lists(old).forEach((list, index) => {
      const body = lists(fresh)[index]?.querySelector("tbody");
      if (!body) return;
      const merged = [...list.querySelectorAll("tbody tr[id]")].map((row) => {
        if (found.has(row.id)) { unseen -= 1; return found.get(row.id); }
        left.add(row.id);
        return document.importNode(row, true);
      });
      body.replaceChildren(...merged);
    });
    return unseen;
  }
  document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== live || detail.xhr.status >= 400) return;
    left.clear();
    count = "";
    if (!isHeld()) { isRequested = false; return; }
    const fresh = new DOMParser().parseFromString(detail.serverResponse, "text/html");
    if (lists(fresh).length < lists(live).length) {
      // The list is gone: its rows stay, pale, while the pointer is over them.
      for (const row of rows(live)) left.add(row.id);
      detail.shouldSwap = false;
    } else {
      const unseen = mergeRows(live, fresh.body), newer = fresh.querySelector("[data-newer]")?.dataset.newer;
      count = newer ?? (unseen > 0 ? String(unseen) : "");
      detail.serverResponse = fresh.body.innerHTML;
    }
    show();
  });
  function show() {
    for (const row of rows(live)) row.classList.toggle("left", left.has(row.id));
    news.hidden = !count || count === "0";
    news.textContent = news.dataset.some.replace("#", count);
  }
  document.body.addEventListener("htmx:afterSettle", ({ target }) => { if (target === live) show(); });
})();
