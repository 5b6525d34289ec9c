// A list does not move under the pointer. While that is over it (and always where there is none to see), rows stay where
// they are and are only brought up to date: those that no longer belong there are pale, and new ones are counted until
// the reader leaves the list or asks for them.
"use strict";
(() => {
  const live = document.getElementById("live"), news = document.getElementById("news");
  const withoutPointer = matchMedia("(hover: none)");
  const left = new Set();
  let isOver = false, isAsked = false, count = "";
  const lists = (root) => [...root.querySelectorAll(".list")];
  const rows = (root) => [...root.querySelectorAll(".list tbody tr[id]")];
  const isHeld = () => !isAsked && (isOver || withoutPointer.matches) && rows(live).length > 0;

  function setOver(now) {
    if (isOver === now) return;
    isOver = now;
    if (!now && (count || left.size)) htmx.trigger(document.body, "beat");
  }
  live.addEventListener("pointerover", (event) => setOver(event.pointerType === "mouse" && !!event.target.closest(".list tbody")));
  live.addEventListener("pointerleave", () => setOver(false));
  news.addEventListener("click", () => {
    isAsked = true;
    document.getElementById("main").scrollIntoView();
    htmx.trigger(document.body, "beat");
  });

  // Where the server can, it is asked for the same rows: what has been pushed off the page meanwhile is true, too.
  document.body.addEventListener("htmx:configRequest", ({ detail }) => {
    const top = rows(live)[0];
    if (detail.elt !== live || !isHeld() || !live.querySelector("[data-newest]")) return;
    detail.parameters.top = top.id.slice(1);
  });

  // Put the fresh rows where the old ones are; return how many there was no place for.
  function keep(old, fresh) {
    const found = new Map(rows(fresh).map((row) => [row.id, row]));
    let unseen = found.size;
    lists(old).forEach((list, place) => {
      const body = lists(fresh)[place]?.querySelector("tbody");
      if (!body) return;
      const kept = [...list.querySelectorAll("tbody tr[id]")].map((row) => {
        if (found.has(row.id)) { unseen -= 1; return found.get(row.id); }
        left.add(row.id);
        return document.importNode(row, true);
      });
      body.replaceChildren(...kept);
    });
    return unseen;
  }
  document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== live || detail.xhr.status >= 400) return;
    left.clear();
    count = "";
    if (!isHeld()) { isAsked = false; return; }
    const fresh = new DOMParser().parseFromString(detail.serverResponse, "text/html");
    if (lists(fresh).length < lists(live).length) {
      // Nothing is left of it: what was there stays, pale, as long as somebody points at it.
      for (const row of rows(live)) left.add(row.id);
      detail.shouldSwap = false;
    } else {
      const unseen = keep(live, fresh.body), told = fresh.querySelector("[data-newer]")?.dataset.newer;
      count = told ?? (unseen > 0 ? String(unseen) : "");
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
