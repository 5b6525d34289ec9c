// Refreshes a page: the server reports that something has changed, and the page requests its live part. A hidden page
// closes its stream, since browsers open only six at a time to one host.
"use strict";
(() => {
  const body = document.body, connection = document.getElementById("connection"), banner = document.getElementById("banner");
  let source = null, isAway = "outage" in body.dataset;
  function show(state) {
    connection.className = `connection ${state}`;
    const words = connection.querySelector("span"), text = connection.dataset[state];
    if (words.textContent !== text) words.textContent = text;
    const trouble = state === "on" ? "" : banner.dataset[state];
    if (banner.textContent !== trouble) banner.textContent = trouble;
    banner.hidden = !trouble;
  }
  function refresh() {
    // A page that could not be rendered at all is reloaded.
    if ("outage" in body.dataset) { location.reload(); return; }
    connection.classList.remove("flash");
    requestAnimationFrame(() => connection.classList.add("flash"));
    htmx.trigger(body, "refresh");
  }
  let lost = 0;
  function follow() {
    if (source || document.hidden || !body.dataset.live) return;
    source = new EventSource(body.dataset.live);
    source.addEventListener("changed", () => { lost = 0; isAway = false; show("on"); refresh(); });
    source.addEventListener("away", () => { isAway = true; show("away"); });
    source.onopen = () => { lost = 0; if (!isAway) show("on"); };
    source.onerror = () => {
      // A stream that ends in order is opened again at once, so only the second error in a row counts.
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
