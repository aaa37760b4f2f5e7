"use strict";
// The sidecar renders the page; this script fetches it again at each event, and replaces what has changed.

const RETRY_MS = 2000;
const MAX_SILENCE_MS = 25000;
const notice = document.getElementById("notice");
const gone = document.getElementById("gone");
let events = null;
let watchdog = 0;
let retry = 0;
let failures = 0;
let updating = null;
let clockOffset = readClock();

/** The time of the sidecar minus that of this machine, in milliseconds. */
function readClock() {
  return Date.parse(document.getElementById("as-of").dateTime) - Date.now();
}

/** Fetches the page and shows it. Calls at the same time share one fetch. */
function update() {
  updating ??= fetchPage().finally(() => { updating = null; });
  return updating;
}

async function fetchPage() {
  const response = await fetch("/", { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const isOther = (tag) => document.querySelector(tag)?.textContent !== next.querySelector(tag)?.textContent;
  if (isOther("script") || isOther("head style:last-of-type")) {
    location.reload(); // Another version of bearward.
    return;
  }
  for (const tag of ["header", "main", "footer"]) morph(document.querySelector(tag), next.querySelector(tag));
  clockOffset = readClock();
  failures = 0;
  if (gone.textContent) gone.textContent = "";
  delete document.body.dataset.gone;
  if (document.title !== next.title) document.title = next.title;
}

/** Makes `live` equal to `next`, and keeps every node that need not go: focus and opened details stay. */
function morph(live, next) {
  if (live.isEqualNode(next) || live.dataset?.busy) return;
  if (live.nodeName !== next.nodeName || live.id !== next.id) {
    live.replaceWith(document.importNode(next, true));
    return;
  }
  if (!(live instanceof Element)) {
    live.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...live.attributes]) {
    if (name !== "open" && !next.hasAttribute(name)) live.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  const wanted = [...next.childNodes];
  wanted.forEach((child, place) => {
    const present = live.childNodes[place];
    if (present) morph(present, child);
    else live.append(document.importNode(child, true));
  });
  while (live.childNodes.length > wanted.length) live.lastChild.remove();
}

/** Words a duration as the sidecar does. */
function words(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days >= 2) return `${days} days`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** Lets the times on the page pass. */
function tick() {
  if (document.hidden || document.body.dataset.gone) return;
  const now = Date.now() + clockOffset;
  for (const time of document.querySelectorAll("time[data-form]")) {
    const left = Date.parse(time.dateTime) - now;
    const forms = { left: words(left), ago: `${words(-left)} ago` };
    const text = forms[time.dataset.form] ?? (left >= 0 ? `in ${forms.left}` : forms.ago);
    if (time.textContent !== text) time.textContent = text;
  }
}

function listen() {
  if (events || document.hidden) return;
  events = new EventSource("/api/events");
  events.onmessage = () => {
    watch();
    update().catch(recover);
  };
  events.onerror = recover;
  watch();
}

/** Expects the next event in time. */
function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(recover, MAX_SILENCE_MS);
}

function stopListening() {
  events?.close();
  events = null;
  clearTimeout(watchdog);
  clearTimeout(retry);
}

/** Looks whether the sidecar is still there; says so if not, and looks again. */
function recover() {
  stopListening();
  failures += 1;
  retry = setTimeout(async () => {
    try {
      await update();
      failures = 1; // One more, should the events fail at once.
      listen();
    } catch (error) {
      showGone(error);
      recover();
    }
  }, failures === 1 ? 100 : RETRY_MS);
}

function showGone(error) {
  const time = new Date(Date.now() + clockOffset).toLocaleTimeString();
  if (gone.textContent) return;
  gone.textContent = error.message.startsWith("status")
    ? `bearward responds with ${error.message}. Load this page again. It is out of date since ${time}.`
    : `bearward does not respond. This page is out of date since ${time}, and goes on as soon as it does.`;
  document.title = "Not responding · bearward";
  document.body.dataset.gone = "true";
}

function say(text, tone) {
  notice.textContent = text;
  notice.className = `box ${tone}`;
}

async function renew(form) {
  const button = form.querySelector("button");
  const name = form.dataset.renew;
  form.dataset.busy = "true";
  button.setAttribute("aria-disabled", "true"); // `disabled` would take the focus away.
  button.textContent = "Renewing…";
  try {
    const response = await fetch(form.action, { method: "POST" });
    const body = await response.json();
    if (response.ok) say(`${name}: renewed. The new token is in use.`, "good");
    else say(`${name}: not renewed. ${body.title}: ${body.detail}`, "bad");
  } catch (error) {
    say(`${name}: not renewed. bearward does not respond (${error.message}).`, "bad");
  } finally {
    button.textContent = "Renew";
    button.removeAttribute("aria-disabled");
    delete form.dataset.busy;
    update().catch(recover);
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.renew) return;
  event.preventDefault();
  if (!form.dataset.busy) renew(form);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stopListening();
    return;
  }
  update().then(listen, recover);
});
setInterval(tick, 1000);
listen();
