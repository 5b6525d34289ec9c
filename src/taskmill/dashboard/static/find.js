// The search of every page: a dialog that `/`, Ctrl-K or its button opens. Up, Down, Home and End move among the results, Enter opens
// one, and Enter in the field the first. What was typed since is searched for before anything of it is opened.
"use strict";
(() => {
  const dialog = document.getElementById("find"), field = document.getElementById("find-text"), found = document.getElementById("found");
  if (!dialog) return;
  const form = document.getElementById("find-form"), count = document.getElementById("find-count");
  // What is searched for, and whether it has to be searched for again: it has failed, or its search has ended with the dialog.
  let opensFirst = false, isStale = false;
  const hits = () => [...found.querySelectorAll("a.hit")];
  const isCurrent = () => !isStale && found.querySelector(".hits")?.dataset.text === field.value.trim();
  function open() {
    if (document.querySelector("dialog[open]")) return;
    dialog.showModal();
    field.select();
    if (isStale) htmx.trigger(form, "again");
  }
  document.getElementById("find-open").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
  addEventListener("keydown", (event) => {
    if (keyOf(event).toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      if (dialog.open) field.select();
      else open();
    }
  });
  dialog.addEventListener("keydown", (event) => {
    // Else it would only empty the field at first.
    if (event.key === "Escape") {
      event.preventDefault();
      dialog.close();
      // Where nothing had the focus before, the field keeps it until the next frame, and would get the next key.
      if (dialog.contains(document.activeElement)) document.activeElement.blur();
      return;
    }
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
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isCurrent()) { hits()[0]?.click(); return; }
    opensFirst = true;
    if (isStale) htmx.trigger(form, "again");
  });
  field.addEventListener("input", () => { opensFirst = false; });
  document.body.addEventListener("htmx:afterSettle", ({ target }) => {
    if (!found.contains(target) || isStale) return;
    count.textContent = count.dataset.some.replace("#", hits().length);
    if (!opensFirst || !isCurrent()) return;
    opensFirst = false;
    hits()[0]?.click();
  });
  // What was found for another text would mislead: where a search fails, that is what is shown.
  function fail(content) {
    isStale = true;
    opensFirst = false;
    count.textContent = "";
    if (content) found.replaceChildren(content);
  }
  dialog.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt !== form) return;
    isStale = !dialog.open;
    if (isStale) event.preventDefault();
  });
  dialog.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== found || detail.xhr.status < 400) return;
    detail.shouldSwap = true;
    fail(null);
  });
  dialog.addEventListener("htmx:sendError", ({ detail }) => {
    if (detail.elt !== form) return;
    const text = document.createElement("p");
    text.className = "hits-none";
    text.setAttribute("role", "alert");
    text.textContent = document.getElementById("banner").dataset.off;
    fail(text);
  });
  // A search that goes on ends with its dialog, and begins again with it.
  dialog.addEventListener("close", () => {
    const goingOn = [...found.querySelectorAll(".hit-more")];
    if (goingOn.length || form.classList.contains("htmx-request")) isStale = true;
    for (const one of [form, ...goingOn]) htmx.trigger(one, "htmx:abort");
    goingOn.forEach((one) => one.remove());
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
})();
