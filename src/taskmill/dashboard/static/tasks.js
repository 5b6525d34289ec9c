// Picking tasks in the list: picks survive live updates, also those of tasks that have left the page, and the buttons
// act on them. Only actions that apply to some of them are offered.
"use strict";
(() => {
  // By id, the actions on a task when it was last seen.
  const picked = new Map();
  const boxes = () => [...document.querySelectorAll("#list tbody input[name=id]")];
  function show() {
    const list = document.getElementById("list");
    if (!list) return;
    const here = boxes();
    for (const box of here) {
      box.checked = picked.has(box.value);
      if (box.checked) picked.set(box.value, box.dataset.can);
      box.closest("tr").classList.toggle("picked", box.checked);
    }
    const every = document.getElementById("all");
    every.checked = here.length > 0 && here.every((box) => box.checked);
    every.indeterminate = picked.size > 0 && !every.checked;
    const words = document.getElementById("selected");
    words.hidden = !picked.size;
    words.textContent = words.dataset.some.replace("#", picked.size);
    document.getElementById("total").hidden = picked.size > 0;
    for (const button of list.querySelectorAll("button[name=what]")) {
      button.querySelector("span").textContent = picked.size ? button.dataset.some : button.dataset.all;
      button.hidden = picked.size ? ![...picked.values()].includes(button.value) : !("offered" in button.dataset);
    }
  }
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.id === "all" && !box.checked) picked.clear();
    else if (box.id === "all") for (const one of boxes()) picked.set(one.value, one.dataset.can);
    else if (box.name === "id") box.checked ? picked.set(box.value, box.dataset.can) : picked.delete(box.value);
    else return;
    show();
  });
  document.body.addEventListener("htmx:afterSettle", show);
  document.body.addEventListener("htmx:configRequest", ({ detail }) => {
    // Not `elt.id`, which is the field of that name.
    if (detail.elt.getAttribute("id") !== "list") return;
    detail.formData.delete("id");
    for (const id of picked.keys()) detail.formData.append("id", id);
  });
  show();
})();
