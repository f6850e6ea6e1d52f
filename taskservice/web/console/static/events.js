// Brings a page to life: on an event of the service, what shows its subject is fetched anew.
//
// `data-live` names what an element shows (`task:ID`, `executions:TASK_ID`, `execution:ID`,
// `tasks`, `sync`), `data-fragment` the address of its HTML. Every event is dispatched at
// `document` as `taskservice:event` too, with {type, data} as its detail.

import { refresh as refreshTimes } from "./times.js";

const AT_MOST_EACH = 1000; // milliseconds between two fetches of one element
const AGAIN = 3000; // milliseconds until a lost stream is tried again
const HIDDEN = 15000; // milliseconds after which a page that nobody sees lets go of its stream

const mark = document.getElementById("live");
const due = new Map(); // by address: when it was fetched last, and the timer of the next time
let stream = null;
let lost = false;

function topics(type, data) {
  switch (type) {
    case "task":
    case "task-gone":
      return [`task:${data.id}`, "tasks"];
    case "execution":
      return [`execution:${data.id}`, `executions:${data.task_id}`, "executions"];
    default:
      return [type];
  }
}

function showLive(live) {
  if (mark) mark.hidden = live;
}

/** Have the elements that show one of these topics fetched anew; all of them for `reset`. */
export function touch(names) {
  const all = names.includes("reset");
  for (const element of document.querySelectorAll("[data-live][data-fragment]")) {
    const shown = element.dataset.live.split(" ");
    if (all || names.some((name) => shown.includes(name))) plan(element.dataset.fragment);
  }
}

function plan(address) {
  const known = due.get(address) ?? { last: 0, timer: null };
  due.set(address, known);
  if (known.timer !== null) return;
  const wait = Math.max(0, known.last + AT_MOST_EACH - Date.now());
  known.timer = setTimeout(() => {
    known.timer = null;
    known.last = Date.now();
    renew(address);
  }, wait);
}

const shownAt = (address) => document.querySelector(`[data-fragment="${CSS.escape(address)}"]`);

async function renew(address) {
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
  } catch {
    showLive(false); // the service is away, or the session is over
    return;
  }
  const element = shownAt(address);
  if (!element) return;
  if (answer.status === 404) {
    element.remove();
  } else if (answer.ok) {
    put(element, await answer.text());
  }
}

function put(element, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.firstElementChild;
  if (!fresh || fresh.outerHTML === element.outerHTML) return;
  const kept = [...element.querySelectorAll("input[type=checkbox]:checked")].map((one) => one.value);
  for (const box of fresh.querySelectorAll("input[type=checkbox]")) {
    box.checked = kept.includes(box.value);
  }
  const focused = element.contains(document.activeElement)
    ? [...element.querySelectorAll("a, button, input")].indexOf(document.activeElement)
    : -1;
  element.replaceWith(fresh);
  refreshTimes(fresh.parentElement ?? document);
  if (focused >= 0) fresh.querySelectorAll("a, button, input")[focused]?.focus();
  document.dispatchEvent(new CustomEvent("taskservice:renewed", { detail: fresh }));
}

function open() {
  if (stream) return;
  stream = new EventSource("/events");
  stream.addEventListener("open", () => {
    showLive(true);
    if (lost) touch(["reset"]); // what came meanwhile was not heard
    lost = false;
  });
  stream.addEventListener("error", () => {
    lost = true;
    showLive(false);
    if (stream?.readyState === EventSource.CLOSED) {
      close();
      setTimeout(() => document.hidden || open(), AGAIN);
    }
  });
  for (const type of ["task", "task-gone", "execution", "sync", "reset"]) {
    stream.addEventListener(type, (event) => {
      let data = {};
      try {
        data = JSON.parse(event.data);
      } catch {
        // a bare event says all by its name
      }
      touch(topics(type, data ?? {}));
      document.dispatchEvent(new CustomEvent("taskservice:event", { detail: { type, data } }));
    });
  }
}

function close() {
  stream?.close();
  stream = null;
}

// A browser opens few connections to one host: tabs in the background must not use them up.
let leaving = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (document.hidden) {
    leaving = setTimeout(() => {
      lost = true;
      close();
    }, HIDDEN);
  } else {
    open();
  }
});
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());

open();
