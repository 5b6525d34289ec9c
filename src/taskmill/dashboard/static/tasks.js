// Picking tasks in the list: the picks outlive live updates, also of tasks that have left the page meanwhile, and say
// what the buttons are about.
"use strict";
(() => {
  const picked = new Set();
  const boxes = () => [...document.querySelectorAll("#list tbody input[name=id]")];
  function show() {
    const list = document.getElementById("list");
    if (!list) return;
    const here = boxes();
    for (const box of here) {
      box.checked = picked.has(box.value);
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
    }
  }
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.id === "all" && !box.checked) picked.clear();
    else if (box.id === "all") for (const one of boxes()) picked.add(one.value);
    else if (box.name === "id") box.checked ? picked.add(box.value) : picked.delete(box.value);
    else return;
    show();
  });
  document.body.addEventListener("htmx:afterSettle", show);
  document.body.addEventListener("htmx:configRequest", ({ detail }) => {
    // Not its `id`, which is the field of that name.
    if (detail.elt.getAttribute("id") !== "list") return;
    detail.formData.delete("id");
    for (const id of picked) detail.formData.append("id", id);
  });
  show();
})();
