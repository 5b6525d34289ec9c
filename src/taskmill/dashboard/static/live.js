// Keeps a page fresh: the server says that something has changed, and the page asks for its live part. A hidden page
// lets go of its stream, since browsers open only six at a time to one host.
"use strict";
(() => {
  const body = document.body, change_ticker = document.getElementById("change_ticker"), banner = document.getElementById("banner");
  let source = null, isAway = "outage" in body.dataset;
  function show(state) {
    change_ticker.className = `change_ticker ${state}`;
    const words = change_ticker.querySelector("span"), text = change_ticker.dataset[state];
    if (words.textContent !== text) words.textContent = text;
    const trouble = state === "on" ? "" : banner.dataset[state];
    if (banner.textContent !== trouble) banner.textContent = trouble;
    banner.hidden = !trouble;
  }
  function refresh() {
    // A page that could not be drawn at all is asked for anew.
    if ("outage" in body.dataset) { location.reload(); return; }
    change_ticker.classList.remove("beat");
    requestAnimationFrame(() => change_ticker.classList.add("beat"));
    htmx.trigger(body, "beat");
  }
  let lost = 0;
  function follow() {
    if (source || document.hidden) return;
    source = new EventSource(body.dataset.live);
    source.addEventListener("changed", () => { lost = 0; isAway = false; show("on"); refresh(); });
    source.addEventListener("away", () => { isAway = true; show("away"); });
    source.onopen = () => { lost = 0; if (!isAway) show("on"); };
    source.onerror = () => {
      // A stream that ends in order comes back at once, and that is nobody's concern.
      lost += 1;
      if (lost > 1 && !document.hidden) show("off");
      if (source && source.readyState === EventSource.CLOSED) { leave(); setTimeout(follow, 2000); }
    };
  }
  function leave() {
    source?.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", follow);
  if (isAway) show("away");
  follow();
})();
