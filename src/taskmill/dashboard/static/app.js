// What all pages share: dialogs, keys, times in the reader's zone, and how new content replaces old.
"use strict";
// The key of an event as keyboards with Latin letters have it: Russian ones have others in the same places.
function keyOf({ key = "", code = "" }) {
  if (code === "Slash" && key === ".") return "/";
  return key.length === 1 && key > "\u007f" && /^Key[A-Z]$/.test(code) ? code.slice(3).toLowerCase() : key;
}
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const body = document.body;

  // Times: the server renders them in UTC, and how long ago; here they get the reader's zone, and stay up to date.
  const units = body.dataset.units.split(",");
  const sizes = [["3", 86400], ["2", 3600], ["1", 60], ["0", 1]];
  const two = (number) => String(number).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const exact = (at) => `${clock(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  // Of a day of the past with its date.
  const since = (at) => (at.toDateString() === new Date().toDateString() ? clock(at).slice(0, 5) : full(at).slice(0, 16));
  const full = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at)}`;
  // A reader's clock may be wrong; the page was rendered a moment ago.
  const off = new Date(body.dataset.now) - Date.now(), skewMs = Math.abs(off) > 3000 ? off : 0;
  function ago(at) {
    const seconds = (Date.now() + skewMs - at) / 1000, away = Math.abs(seconds);
    const [unit, size] = sizes.find(([, one]) => away >= one) || sizes[3];
    const span = `${Math.floor(away / size)}\u00a0${units[unit]}`;
    return (seconds < 0 ? body.dataset.in : body.dataset.ago).replace("#", span);
  }
  function showTimes(root) {
    for (const time of all("time", root)) {
      const at = new Date(time.dateTime);
      const text = "full" in time.dataset ? full(at) : "clock" in time.dataset ? exact(at) : "since" in time.dataset ? since(at) : ago(at);
      if (time.textContent !== text) time.textContent = text;
      if ("ago" in time.dataset && !time.dataset.titled) { time.title = full(at); time.dataset.titled = "1"; }
    }
  }
  showTimes(document);
  setInterval(() => showTimes(document), 5000);

  // What the reader has opened, picked or scrolled survives updates.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => {
    if (name === "open" && node.tagName === "DETAILS") return false;
    if (name === "checked" && node.type === "checkbox") return false;
    if (name === "value" && "kept" in node.dataset) return false;
    if (name === "class" && node.tagName === "TR") return false;
    if (name === "hidden" && node.name === "what") return false;
    return !(node.id === "selected" || node.id === "total");
  };
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) => {
    if (old.tagName === "TIME" && fresh.tagName === "TIME" && old.dateTime === fresh.dateTime) return false;
    if (old.dataset && old.dataset.points !== undefined && fresh.dataset) {
      Object.assign(old.dataset, { ...fresh.dataset });
      old.setAttribute("aria-label", fresh.getAttribute("aria-label"));
      old.dispatchEvent(new Event("points"));
      return false;
    }
    return true;
  };
  // Logs follow what comes, until the reader scrolls back.
  function toEnd() {
    for (const one of all("[data-tail]")) if ($("#follow").checked) one.scrollTop = one.scrollHeight;
  }
  body.addEventListener("scroll", ({ target }) => {
    if (target.dataset && "tail" in target.dataset) $("#follow").checked = target.scrollTop + target.clientHeight >= target.scrollHeight - 8;
  }, true);
  body.addEventListener("change", ({ target }) => { if (target.id === "follow") toEnd(); });
  body.addEventListener("htmx:afterSettle", (event) => {
    showTimes(event.target);
    toEnd();
    if (event.target.id === "sheet-body" && !$("#sheet").open) $("#sheet").showModal();
  });
  toEnd();

  // Browsers give the clipboard to secure addresses only; the old way works everywhere.
  async function copy(text) {
    if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
    const field = body.appendChild(document.createElement("textarea"));
    field.className = "unseen";
    field.value = text;
    field.select();
    document.execCommand("copy");
    field.remove();
  }

  // Dialogs.
  body.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-open],[data-close],[data-copy],[data-copy-of]");
    if (!target) return;
    if (target.dataset.open) $("#" + target.dataset.open).showModal();
    else if ("close" in target.dataset) target.closest("dialog").close();
    else {
      await copy(target.dataset.copy ?? $("#" + target.dataset.copyOf).textContent);
      target.classList.add("copied");
      setTimeout(() => target.classList.remove("copied"), 2000);
    }
  });
  body.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm) return;
    event.preventDefault();
    const dialog = $("#confirm");
    // A copy, as an update may change the form's action before the user confirms.
    const confirmed = form.cloneNode(true);
    const { confirm, other, otherAction, otherText, yes } = form.dataset;
    $("#confirm-text").textContent = other ? `${confirm}\n${otherText}` : confirm;
    const [otherButton, yesButton] = ["other", "yes"].map((value) => $(`button[value=${value}]`, dialog));
    otherButton.hidden = !other;
    otherButton.textContent = other || "";
    yesButton.textContent = yes || yesButton.dataset.usual;
    dialog.returnValue = "no";
    dialog.showModal();
    dialog.onclose = () => {
      if (dialog.returnValue === "other") confirmed.action = otherAction;
      else if (dialog.returnValue !== "yes") return;
      confirmed.hidden = true;
      body.append(confirmed);
      confirmed.submit();
    };
  });
  body.addEventListener("change", (event) => {
    if ("submit" in event.target.dataset) event.target.form.requestSubmit();
  });
  // Forms with a span of time: their fields are in UTC, and get the reader's zone.
  for (const form of all("form[data-local]")) {
    for (const field of all("[type=datetime-local]", form)) {
      // Not its value: a browser that goes back restores the one that has the reader's zone already.
      const at = new Date(`${field.defaultValue}Z`);
      if (!isNaN(at)) field.value = full(at).slice(0, 16).replace(" ", "T");
    }
    for (const label of all("[data-local-text]", form)) label.textContent = label.dataset.localText;
    form.addEventListener("formdata", ({ formData }) => {
      for (const { name, value } of all("[type=datetime-local]", form)) formData.set(name, new Date(value).toISOString().slice(0, 16) + "Z");
    });
  }
  // A form is not sent twice.
  body.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, 3000);
  });
  body.addEventListener("htmx:beforeOnLoad", ({ detail }) => {
    if (detail.xhr.getResponseHeader("HX-Redirect")) detail.elt.inert = true;
  });
  // A refused action is shown in the dialog; a failed update leaves the page as it is.
  body.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.xhr.status < 400 || detail.requestConfig.verb !== "post" || ["same", "preview"].includes(detail.target.id)) return;
    detail.shouldSwap = true;
    detail.target = $("#sheet-body");
    detail.swapOverride = "innerHTML";
  });
  // Empty fields would only make addresses long.
  body.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "get") return;
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
  });
  // Back to a page that was left.
  addEventListener("pageshow", () => {
    all("form[method=get] [disabled]").forEach((field) => { field.disabled = false; });
    all("form[inert]").forEach((form) => { form.inert = false; });
  });

  // Keys.
  let isGoing = false;
  const rows = () => all(".list tbody tr");
  function move(step) {
    const list = rows(), now = list.findIndex((row) => row.classList.contains("here"));
    const next = list[Math.min(Math.max(now + step, 0), list.length - 1)];
    if (!next) return;
    list.forEach((row) => row.classList.toggle("here", row === next));
    next.scrollIntoView({ block: "nearest" });
  }
  const keys = {
    "?": () => $("#help").showModal(),
    "/": () => $("#find-open")?.click(),
    j: () => move(1),
    k: () => move(-1),
    x: () => $(".list tr.here input[type=checkbox]")?.click(),
    Enter: () => $(".list tr.here a")?.click(),
    g: () => { isGoing = true; setTimeout(() => { isGoing = false; }, 1200); },
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const target = event.target;
    if (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && target.type !== "checkbox") return;
    const key = keyOf(event);
    if (isGoing) {
      isGoing = false;
      const link = $(`nav [data-letter="${CSS.escape(key)}"]`);
      if (link) { event.preventDefault(); link.click(); return; }
    }
    if (key === "Enter" && target.closest("a,button,summary")) return;
    if (!keys[key]) return;
    event.preventDefault();
    keys[key]();
  });
})();
