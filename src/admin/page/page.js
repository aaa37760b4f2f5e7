
"use strict";
let busy = 0;
for (const form of document.forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    busy += 1;
    try {
      const response = await fetch(form.action, { method: "POST" });
      if (response.ok) {
        location.reload();
        return;
      }
      const problem = await response.json();
      document.getElementById("notice").textContent = `${problem.title}: ${problem.detail}`;
    } catch (error) {
      document.getElementById("notice").textContent = `The sidecar did not respond: ${error.message}`;
    } finally {
      button.disabled = false;
      busy -= 1;
    }
  });
}
setInterval(() => {
  if (!busy && !document.hidden && !document.getElementById("notice").textContent) location.reload();
}, 15000);
