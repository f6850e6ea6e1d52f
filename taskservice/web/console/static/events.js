// Brings a page to life: on an event of the service, what shows its subject is fetched anew.
//
// `data-live` names what an element shows (`task:ID`, `executions:TASK_ID`, `execution:ID`,
// `tasks`, `new-tasks`, `sync`), `data-fragment` the address of its HTML, and `data-every` how many
// milliseconds lie between two fetches of it at least (1000 if it doesn't say). Every event is
// dispatched at `document` as `taskservice:event` too, with {type, data} as its detail.

import { refresh as refreshTimes } from "./times.js";

const AT_MOST_EACH = 1000; // milliseconds between two fetches of one element
const NEW = 60000; // milliseconds for which a task is new
const AGAIN = 3000; // milliseconds until a lost stream is tried again
const HIDDEN = 15000; // milliseconds after which a page that nobody sees lets go of its stream

const mark = document.getElementById("live");
const due = new Map(); // by address, or `page`: when it was fetched last, the timer of the next time
let stream = null;

function topics(type, data) {
  switch (type) {
    case "task": {
      const isNew = Date.now() - Date.parse(data.create_time) < NEW;
      const unseen = !document.querySelector(`[data-live~="${CSS.escape(`task:${data.id}`)}"]`);
      return [`task:${data.id}`, "tasks", ...(isNew && unseen ? ["new-tasks"] : [])];
    }
    case "task-gone":
      return ["tasks"];
    case "execution":
      return [`execution:${data.id}`, `executions:${data.task_id}`, "executions"];
    default:
      return [type];
  }
}

function showLive(live) {
  if (mark) mark.hidden = live;
}

/** Have the elements that show one of these topics fetched anew; the whole page for `reset`. */
export function touch(names) {
  if (names.includes("reset")) {
    plan("page", renewPage);
    return;
  }
  for (const element of document.querySelectorAll("[data-live][data-fragment]")) {
    const address = element.dataset.fragment;
    const shown = element.dataset.live.split(" ");
    if (names.some((name) => shown.includes(name))) {
      plan(address, () => renew(address), Number(element.dataset.every ?? AT_MOST_EACH));
    }
  }
}

function plan(name, work, every = AT_MOST_EACH) {
  const known = due.get(name) ?? { last: 0, timer: null };
  due.set(name, known);
  if (known.timer !== null) return;
  const wait = Math.max(0, known.last + every - Date.now());
  known.timer = setTimeout(() => {
    known.timer = null;
    known.last = Date.now();
    work();
  }, wait);
}

const at = (page, address) => page.querySelector(`[data-fragment="${CSS.escape(address)}"]`);

/** The answer to a GET; null where the service is away, or the session is over. */
async function get(address) {
  try {
    return await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
  } catch {
    showLive(false);
    return null;
  }
}

async function renew(address) {
  const answer = await get(address);
  const element = at(document, address);
  if (!answer || !element) return;
  if (answer.status === 404) {
    element.remove();
  } else if (answer.ok) {
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    put(element, holder.content.firstElementChild);
  }
}

/** Take away what shows a task that is no more: there is nothing to be fetched. */
function remove(taskId) {
  for (const element of document.querySelectorAll("[data-live][data-fragment]")) {
    if (element.dataset.live.split(" ").includes(`task:${taskId}`)) element.remove();
  }
}

/** Renew all elements by one fetch: of what happened meanwhile nothing was heard. */
async function renewPage() {
  const elements = document.querySelectorAll("[data-live][data-fragment]");
  const answer = elements.length ? await get(location.href) : null;
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const element of elements) {
    const fresh = at(page, element.dataset.fragment);
    if (fresh) put(element, fresh);
    else element.remove();
  }
}

/** The HTML of an element, but for times, which move on by themselves. */
function said(element) {
  const copy = element.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.replaceWith(time.dateTime);
  return copy.outerHTML;
}

function put(element, fresh) {
  if (!fresh || said(fresh) === said(element)) return;
  if (element.matches(":active")) {
    // A click whose link vanishes between its press and its release is lost.
    addEventListener("pointerup", () => touch(["reset"]), { once: true });
    return;
  }
  const dialog = element.querySelector("dialog[open]");
  if (dialog) {
    // Nobody likes a form to vanish that he is filling in.
    dialog.addEventListener("close", () => touch(["reset"]), { once: true });
    return;
  }
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
    touch(["reset"]);
  });
  stream.addEventListener("error", () => {
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
      if (type === "task-gone") remove(data.id);
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
    leaving = setTimeout(close, HIDDEN);
  } else {
    open();
  }
});
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());

open();
