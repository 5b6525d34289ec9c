// The search of every page: a dialog that `/`, Ctrl-K or its button opens. Up, Down, Home and End move among the results, Enter opens
// one, and Enter in the field the first. What was typed since is searched for before anything of it is opened.
"use strict";
(() => {
  const dialog = document.getElementById("find"), field = document.getElementById("find-text"), found = document.getElementById("found");
  if (!dialog) return;
  let opensFirst = false;
  const hits = () => [...found.querySelectorAll("a.hit")];
  const isCurrent = () => found.querySelector(".hits")?.dataset.text === field.value.trim();
  function open() {
    if (document.querySelector("dialog[open]")) return;
    dialog.showModal();
    field.select();
  }
  document.getElementById("find-open").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
  addEventListener("keydown", (event) => {
    // By its place, too: the key has another letter in Russian.
    const isK = event.key.toLowerCase() === "k" || (event.code === "KeyK" && !/^[a-z]$/i.test(event.key));
    if (isK && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      if (dialog.open) field.select();
      else open();
    }
  });
  dialog.addEventListener("keydown", (event) => {
    // Else it would only empty the field at first.
    if (event.key === "Escape") { event.preventDefault(); dialog.close(); return; }
    const list = hits(), now = list.indexOf(document.activeElement);
    const ways = { ArrowDown: now + 1, ArrowUp: now - 1, Home: now < 0 ? null : 0, End: now < 0 ? null : list.length - 1 };
    const next = ways[event.key];
    if (next === undefined || next === null || event.ctrlKey || event.metaKey || event.altKey) {
      // Typing goes on in the field.
      if (now >= 0 && event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey) field.focus();
      return;
    }
    event.preventDefault();
    if (next < 0) field.focus();
    else list[Math.min(next, list.length - 1)]?.focus();
  });
  document.getElementById("find-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (isCurrent()) hits()[0]?.click();
    else opensFirst = true;
  });
  field.addEventListener("input", () => { opensFirst = false; });
  document.body.addEventListener("htmx:afterSettle", ({ target }) => {
    if (!found.contains(target)) return;
    const count = document.getElementById("find-count");
    count.textContent = count.dataset.some.replace("#", hits().length);
    if (!opensFirst || !isCurrent()) return;
    opensFirst = false;
    hits()[0]?.click();
  });
  // A search that goes on ends with its dialog.
  dialog.addEventListener("close", () => { found.querySelectorAll(".hit-more").forEach((one) => one.remove()); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
})();
