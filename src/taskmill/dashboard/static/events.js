// A page of events: puts what the stream brings at the top of the list. It waits, and is counted ("12 new"), while the
// pointer is over the list, while the reader has scrolled away from its top, and after the key `p` or the button.
"use strict";
(() => {
  const list = document.getElementById("feed"), news = document.getElementById("news"), pause = document.getElementById("pause");
  if (!list || !list.dataset.stream) return;
  const MOST = 200, AWAY_PX = 160;
  let waiting = [], count = 0, last = "", source = null, isOver = false, isPaused = false;
  const isHeld = () => isPaused || isOver || scrollY > AWAY_PX;
  const shown = (number) => number.toLocaleString(document.documentElement.lang);

  function show() {
    news.hidden = !count;
    news.textContent = news.dataset.some.replace("#", shown(count));
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.querySelector("span").textContent = isPaused ? pause.dataset.on : pause.dataset.off;
  }
  function put() {
    const fresh = waiting.filter((row) => !document.getElementById(row.id));
    list.prepend(...fresh);
    while (list.rows.length > MOST) list.lastElementChild.remove();
    if (fresh.length) document.getElementById("feed-none")?.remove();
    waiting = [];
    count = 0;
    // As after an update by htmx: times get the reader's zone.
    list.dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true }));
    show();
  }
  function release() {
    if (count && !isHeld()) put();
    else show();
  }
  function take({ rows, count: number }) {
    const body = document.createElement("tbody");
    body.innerHTML = rows;
    waiting = [...body.rows, ...waiting].slice(0, MOST);
    count += number;
    release();
  }
  function setPaused(now) {
    isPaused = now;
    release();
  }

  list.addEventListener("pointerover", ({ pointerType }) => { if (pointerType === "mouse") isOver = true; });
  list.addEventListener("pointerleave", () => { isOver = false; release(); });
  addEventListener("scroll", release, { passive: true });
  news.addEventListener("click", () => { isPaused = isOver = false; scrollTo(0, 0); put(); });
  pause.addEventListener("click", () => setPaused(!isPaused));
  addEventListener("keydown", (event) => {
    if (keyOf(event) !== "p" || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    setPaused(!isPaused);
  });

  function follow() {
    if (source || document.hidden) return;
    const address = new URL(list.dataset.stream, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.addEventListener("rows", (event) => { last = event.lastEventId; take(JSON.parse(event.data)); });
    source.onerror = () => { if (source?.readyState === EventSource.CLOSED) { leave(); setTimeout(follow, 2000); } };
  }
  function leave() {
    source?.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", follow);
  pause.hidden = false;
  follow();
})();
