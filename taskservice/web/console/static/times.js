// Times that move on: `data-ago` (how far away), `data-since` (how long already) and `data-time`
// (whose title tells it in the viewer's own zone). The server wrote each of them once.

const language = document.documentElement.lang;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
const local = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
// The form that the server writes too, in the viewer's zone.
const plain = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const number = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

const UNITS = [
  ["year", 31536000],
  ["month", 2592000],
  ["week", 604800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How far `seconds` are away, in words: negative ones have passed. */
export function away(seconds) {
  const size = Math.abs(seconds);
  const [unit, length] = UNITS.find(([, length]) => size >= length * 1.2) ?? ["second", 1];
  return relative.format(Math.round(seconds / length), unit);
}

/** A span of time with as much precision as a person wants of it. */
export function duration(seconds) {
  if (seconds < 60) return `${number.format(Math.max(0, seconds))} s`;
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  return parts
    .filter(([value]) => value)
    .slice(0, 2)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Bring the times in a part of the page up to date. */
export function refresh(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-ago]")) {
    write(element, away((Date.parse(element.dateTime) - now) / 1000));
  }
  for (const element of root.querySelectorAll("time[data-since]")) {
    write(element, duration((now - Date.parse(element.dateTime)) / 1000));
  }
  for (const element of root.querySelectorAll("time:not([data-told])")) {
    element.dataset.told = "";
    element.title = local.format(new Date(element.dateTime));
  }
  for (const element of root.querySelectorAll("time[data-local]")) {
    write(element, plain.format(new Date(element.dateTime)));
  }
}

refresh();
setInterval(refresh, 1000);
