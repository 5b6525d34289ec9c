// Picking tasks in the list: the picks outlive live updates, and say what the buttons are about.
"use strict";
(() => {
  const picked = new Set();
  const boxes = () => [...document.querySelectorAll("#list tbody input[name=id]")];
  function show() {
    const list = document.getElementById("list");
    if (!list) return;
    const here = boxes();
    for (const id of [...picked]) if (!here.some((box) => box.value === id)) picked.delete(id);
    for (const box of here) {
      box.checked = picked.has(box.value);
      box.closest("tr").classList.toggle("picked", box.checked);
    }
    const every = document.getElementById("all");
    every.checked = here.length > 0 && picked.size === here.length;
    every.indeterminate = picked.size > 0 && picked.size < here.length;
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
    if (box.id === "all") for (const one of boxes()) box.checked ? picked.add(one.value) : picked.delete(one.value);
    else if (box.name === "id") box.checked ? picked.add(box.value) : picked.delete(box.value);
    else return;
    show();
  });
  document.body.addEventListener("htmx:afterSettle", show);
  show();
})();
