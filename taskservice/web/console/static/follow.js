// What an execution prints, as it comes: the rest of its output is asked for until it has ended.

import { touch } from "./events.js";

const EACH = 500; // milliseconds between two questions
const LATER = 3000; // after one that was not answered

const output = document.getElementById("output");
const nothing = document.getElementById("no-output");
const follow = document.getElementById("follow");
let length = Number(output?.dataset.length);
let state = ""; // of an output whose middle is left out: it changes before its end too

const isAtEnd = () => output.scrollHeight - output.scrollTop - output.clientHeight < 24;

function toEnd() {
  output.scrollTop = output.scrollHeight;
}

/** Whether there is more to come. */
async function ask() {
  const answer = await fetch(`${output.dataset.address}?from=${length}&state=${state}`, { redirect: "error" });
  if (!answer.ok) throw new Error(answer.statusText);
  const said = await answer.json();
  // Who has scrolled up reads: what comes must not move the text away.
  const along = follow.checked && isAtEnd();
  if (said.from < length) output.textContent = "";
  if (said.text) output.append(said.text);
  length = said.to;
  state = said.state;
  output.hidden = length === 0;
  nothing.hidden = length > 0;
  if (along) toEnd();
  return said.running;
}

async function keepAsking() {
  let wait = EACH;
  try {
    if (!document.hidden && !(await ask())) {
      document.getElementById("following").hidden = true;
      touch([`execution:${output.dataset.execution}`]);
      return;
    }
  } catch {
    wait = LATER; // the service is away for a moment
  }
  setTimeout(keepAsking, wait);
}

if (output && "running" in output.dataset) {
  document.getElementById("following").hidden = false;
  follow.addEventListener("change", () => follow.checked && toEnd());
  toEnd();
  keepAsking();
}
