// Puts the code of a login link into its form. It stands behind the # of the address, which browsers send to no
// server, and is taken out of the address, so that it is in no history either.
"use strict";
(() => {
  const code = location.hash.slice(1), field = document.getElementById("code");
  if (!code) return;
  field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
  field.form.querySelector("button").focus();
})();
