// The edit form shows what it would come to while one types.

import { refresh } from "./times.js";

const form = document.getElementById("edit");
const csrf = document.querySelector("meta[name=csrf-token]")?.content;
const WAIT = 400; // milliseconds after the last key

let timer = null;
let asked = 0;

async function preview() {
  const turn = ++asked;
  const headers = { Accept: "text/html", ...(csrf && { "X-CSRF-Token": csrf }) };
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.dataset.preview, { method: "POST", headers, body });
  if (!answer.ok || turn !== asked) return;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  document.getElementById("preview").replaceChildren(...holder.content.firstElementChild.childNodes);
  refresh();
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(preview, WAIT);
});
// Enter in a field saves; the first button of a form would be the preview.
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target instanceof HTMLInputElement) {
    event.preventDefault();
    form.requestSubmit();
  }
});
preview();
