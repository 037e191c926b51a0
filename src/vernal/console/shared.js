// What every page of the console needs: the public API, times and figures as people read them, elements without markup.

export const $ = (id) => document.getElementById(id);
export const KEY = "vernal-key";

export class Refusal extends Error {
  constructor(status, error) {
    super([error.message, error.hint && `Hint: ${error.hint}`].filter(Boolean).join("\n"));
    this.status = status;
  }
}

export async function call(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers["x-api-key"] = key;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status === 401 || answer.status === 403) $("key-row").hidden = false;
  throw new Refusal(answer.status, content.error ?? { message: `the server answered ${answer.status}` });
}

// An element with attributes and children; text is only ever text.
export function el(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(document.querySelector("svg").namespaceURI, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return made;
}

export function figure(number) {
  if (!Number.isFinite(number)) return "–";
  return Math.abs(number) >= 1000 ? Math.round(number).toLocaleString("en") : Number(number.toPrecision(3)).toString();
}

export function percent(share) {
  return Number.isFinite(share) ? `${Number((100 * share).toPrecision(3))} %` : "–";
}

export function span(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? units.at(-1);
  const n = Math.round(Math.abs(seconds) / length);
  return `${n} ${unit}${n === 1 ? "" : "s"}`;
}

// A moment as `<time>`: how long ago, or in how long, with the full time beside the pointer.
export function moment(text, now = Date.now()) {
  const at = Date.parse(text);
  if (!Number.isFinite(at)) return el("span", {}, "–");
  const away = (at - now) / 1000;
  return el("time", { datetime: text, title: new Date(at).toLocaleString() }, away > 0 ? `in ${span(away)}` : `${span(-away)} ago`);
}

export function chip(text, kind = text) {
  return el("span", { class: `chip ${kind}` }, text);
}

// Runs `work` now and when a key is given; what goes wrong is shown in the server's words.
export function page(work) {
  const show = async () => {
    $("problem").hidden = true;
    document.body.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      $("problem").textContent = error instanceof Refusal ? error.message : `No answer: ${error.message}`;
      $("problem").hidden = false;
    }
    document.body.removeAttribute("aria-busy");
  };
  $("key").addEventListener("change", () => {
    sessionStorage.setItem(KEY, $("key").value);
    show();
  });
  show();
  return show;
}
