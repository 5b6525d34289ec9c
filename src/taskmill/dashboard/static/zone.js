// Times in the filter are in the reader's zone, and in UTC in the address.
"use strict";
(() => {
  const two = (number) => String(number).padStart(2, "0");
  const shown = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  for (const field of document.querySelectorAll("input[data-utc]")) {
    const sent = document.createElement("input");
    sent.type = "hidden";
    sent.name = field.name;
    // What the page came with: a browser that restores a form has put the reader's time into the field.
    sent.value = field.defaultValue;
    field.removeAttribute("name");
    field.after(sent);
    const given = new Date(`${field.defaultValue}Z`);
    if (field.defaultValue && !Number.isNaN(given.getTime())) field.value = shown(given);
    const label = field.closest("label").querySelector("[data-zone]");
    if (zone) label.textContent = label.textContent.replace("UTC", zone);
    const put = () => {
      const at = new Date(field.value);
      sent.value = field.value && !Number.isNaN(at.getTime()) ? at.toISOString().slice(0, 19) : "";
    };
    field.addEventListener("input", put);
    field.addEventListener("change", put);
  }
})();
