// The try-it page: one user, one slate, one act at a time. It uses the public API only, and shows nothing the API did not answer.

import { $, KEY, Refusal, call, figure } from "/console/shared.js";

const HUES = { trending: "#d1862f", history: "#3f8f5c", covisitation: "#4a72d8", ease: "#8259c9", ials: "#b8489a", content: "#2c98a6", fresh: "#c9524a", lexical: "#5d7183", semantic: "#7a6a3a" };
const MEANING = {
  trending: "popular now", history: "had before", covisitation: "goes with what they had", ease: "neighbours of what they had",
  ials: "people alike", content: "similar in content", fresh: "new here",
  lexical: "has your words", semantic: "close in meaning",
};
const TYPING_MS = 90;
const state = { about: { users: [], scenarios: ["home"], event_types: [], scenario: "home" }, slate: null, busy: false };

async function timed(promise) {
  const began = performance.now();
  const answer = await promise;
  return [answer, performance.now() - began];
}

// ---- asking and acting

function question() {
  const diversity = Number($("diversity").value);
  return {
    user: $("user").value.trim(), scenario: $("scenario").value, n: Number($("n").value) || 10, explain: true,
    ...(typed() ? { q: typed(), highlight: true } : {}),
    ...(diversity > 0 ? { diversity } : {}),
  };
}

function typed() {
  return $("q").value.trim();
}

async function show({ afterAct = false } = {}) {
  const asked = question();
  if (!asked.user) return;
  const [slate, took] = await timed(call("POST", asked.q ? "/v1/search" : "/v1/recommend", asked));
  const before = state.slate?.user === asked.user && state.slate.q === (asked.q ?? "") ? state.slate : null;
  state.slate = { ...slate, user: asked.user, q: asked.q ?? "" };
  $("release").textContent = slate.release || "none yet";
  $("rung").textContent = slate.rung + armed(slate.arm);
  $("took").textContent = `${took.toFixed(1)} ms`;
  draw(before, afterAct);
  history.replaceState(null, "", `#${new URLSearchParams({ user: asked.user })}`);
}

function armed(arm) {
  if (arm === "champion") return "";
  return arm === "holdout" ? ", in the holdout: the best list for everybody" : `, ${arm}`;
}

async function act(item, position) {
  const { user, rec_id } = state.slate;
  const type = $("type").value;
  const event = { type, user, item: item.item, time: new Date().toISOString(), rec_id, position };
  const [receipt, took] = await timed(call("POST", "/v1/events", event));
  remember(type, titleOf(item), receipt.applied, took);
  await show({ afterAct: true });
  return position;
}

function busily(work) {
  return async (...given) => {
    if (state.busy) return;
    setBusy(true);
    $("problem").hidden = true;
    let place;
    try {
      place = await work(...given);
    } catch (error) {
      $("problem").textContent = error instanceof Refusal ? error.message : `No answer: ${error.message}`;
      $("problem").hidden = false;
    } finally {
      setBusy(false);
    }
    if (place !== undefined) $("slate").children[place]?.querySelector(".act").focus({ preventScroll: true }); // the button that had it is gone
  };
}

function setBusy(busy) {
  state.busy = busy;
  $("slate").setAttribute("aria-busy", String(busy));
  for (const button of document.querySelectorAll("button")) button.disabled = busy;
}

const showNow = busily(show);

let waiting = 0;
function typing() { // as you type: the newest text is always shown in the end
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    if (state.busy) return typing();
    const asked = typed();
    await showNow();
    $("q").focus({ preventScroll: true });
    if (asked !== typed()) return typing();
    if (asked) $("ahead").replaceChildren(...(await call("GET", `/v1/suggest?${new URLSearchParams({ q: asked })}`)).suggestions.map((each) => new Option(each.title)));
  }, TYPING_MS);
}

const actNow = busily(act);

// ---- drawing

function titleOf(item) {
  return item.title || item.item;
}

function draw(before, afterAct) {
  const places = new Map((before?.items ?? []).map((item, i) => [item.item, i]));
  const tops = new Map([...$("slate").children].map((li) => [li.dataset.item, li.getBoundingClientRect().top]));
  $("slate").replaceChildren(...state.slate.items.map((item, i) => card(item, i, before ? places : null)));
  $("slate-title").textContent = state.slate.q ? `“${state.slate.q}” for ${state.slate.user}` : `The slate of ${state.slate.user}`;
  describeChange(before, places, afterAct);
  glide(tops);
}

function card(item, position, places) {
  const li = $("item").content.firstElementChild.cloneNode(true);
  const part = (name) => li.querySelector(`.${name}`);
  li.dataset.item = item.item;
  part("rank").textContent = position + 1;
  marked(part("title"), item.highlight?.title?.length ? item.highlight.title : [[titleOf(item), false]]);
  if (item.match) {
    part("parts").hidden = false;
    for (const name of ["lexical", "semantic", "personal"]) part(name).textContent = item.match[name] === null || item.match[name] === undefined ? "–" : figure(item.match[name]);
  }
  part("why").textContent = sentenceOf(item.why);
  part("sources").append(...item.sources.map(chip));
  part("id").textContent = item.item;
  part("score").textContent = figure(item.score);
  part("propensity").textContent = item.propensity === undefined ? "–" : figure(item.propensity);
  mark(li, part("moved"), position, places?.get(item.item), places);
  effects(part("more"), item.why?.features ?? []);
  const button = part("act");
  button.textContent = $("type").value;
  button.setAttribute("aria-label", `${$("type").value}: ${titleOf(item)}`);
  button.addEventListener("click", () => actNow(item, position));
  return li;
}

function marked(element, pieces) {
  element.replaceChildren(...pieces.map(([text, found]) => {
    if (!found) return document.createTextNode(text);
    const hit = document.createElement("mark");
    hit.textContent = text;
    return hit;
  }));
}

function mark(li, badge, position, was, places) {
  if (!places) return;
  if (was === undefined) return label(li, badge, "new", "new");
  if (was > position) return label(li, badge, "up", `▲ ${was - position} (was ${was + 1})`);
  if (was < position) return label(li, badge, "down", `▼ ${position - was} (was ${was + 1})`);
}

function label(li, badge, kind, text) {
  li.classList.add(`moved-${kind}`);
  badge.textContent = text;
}

function chip(source) {
  const span = document.createElement("span");
  span.className = "source";
  span.style.setProperty("--hue", HUES[source] ?? "#777");
  span.textContent = source;
  span.title = MEANING[source] ?? source;
  return span;
}

function sentenceOf(why) {
  return typeof why === "string" ? why : why?.sentence ?? "";
}

function effects(details, features) {
  details.hidden = features.length === 0;
  const most = Math.max(...features.map((feature) => Math.abs(feature.contribution)), 1e-12);
  details.querySelector("tbody").replaceChildren(...features.map((feature) => effectRow(feature, most)));
}

function effectRow(feature, most) {
  const row = document.createElement("tr");
  const [name, value, bar, effect] = [0, 1, 2, 3].map(() => row.insertCell());
  name.textContent = feature.feature;
  value.textContent = feature.value === null || feature.value === undefined ? "none" : figure(feature.value);
  bar.className = feature.contribution < 0 ? "bar less" : "bar";
  const span = document.createElement("span");
  span.style.setProperty("--share", `${(100 * Math.abs(feature.contribution)) / most}%`);
  bar.append(span);
  effect.textContent = `${feature.contribution < 0 ? "−" : "+"}${figure(Math.abs(feature.contribution))}`;
  return row;
}

function describeChange(before, places, afterAct) {
  const notes = state.slate.notes ?? [];
  $("notes").textContent = notes.join("\n");
  $("notes").hidden = notes.length === 0;
  $("left").hidden = true;
  if (!before) {
    $("change").textContent = `${state.slate.items.length} items`;
    return;
  }
  const now = new Map(state.slate.items.map((item, i) => [item.item, i]));
  const came = state.slate.items.filter((item) => !places.has(item.item));
  const left = before.items.filter((item) => !now.has(item.item));
  const moved = state.slate.items.filter((item, i) => places.has(item.item) && places.get(item.item) !== i);
  const changed = came.length + moved.length;
  const cause = afterAct ? "After that: " : "";
  $("change").textContent = changed ? `${cause}${came.length} new, ${moved.length} moved, ${left.length} left` : `${cause}the same slate`;
  if (left.length) {
    $("left").textContent = `Left the slate: ${left.map(titleOf).join(", ")}`;
    $("left").hidden = false;
  }
}

function glide(tops) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const li of $("slate").children) {
    const was = tops.get(li.dataset.item);
    const moved = was === undefined ? 0 : was - li.getBoundingClientRect().top;
    const from = was === undefined ? { opacity: 0, transform: "translateX(14px)" } : { transform: `translateY(${moved}px)` };
    li.animate([from, { opacity: 1, transform: "none" }], { duration: 340, easing: "cubic-bezier(.2,.8,.3,1)" });
  }
}

function remember(type, title, applied, took) {
  $("trail-empty").hidden = true;
  const li = document.createElement("li");
  const small = document.createElement("small");
  li.textContent = `${type} · ${title}`;
  small.textContent = `on disk${applied ? " and in their features" : ""} after ${took.toFixed(0)} ms`;
  li.append(small);
  $("trail").prepend(li);
}

// ---- the panel

function options(select, values) {
  select.replaceChildren(...values.map((value) => new Option(value, value)));
}

function suggest(users) {
  $("known").replaceChildren(...users.map((user) => new Option(user, user)));
  const newcomer = `visitor-${Math.random().toString(36).slice(2, 6)}`;
  const buttons = [...users.slice(0, 9), newcomer].map((user) => {
    const li = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = user;
    button.addEventListener("click", () => choose(user));
    li.append(button);
    return li;
  });
  $("suggestions").replaceChildren(...buttons);
}

function choose(user) {
  $("user").value = user;
  for (const button of $("suggestions").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.textContent === user));
  $("trail").replaceChildren();
  $("trail-empty").hidden = false;
  state.slate = null;
  return showNow();
}

async function begin() {
  $("legend").replaceChildren(...Object.keys(HUES).map(chip));
  state.about = await call("GET", "/console/about.json");
  options($("scenario"), state.about.scenarios);
  options($("type"), state.about.event_types);
  suggest(state.about.users);
  const wanted = new URLSearchParams(location.hash.slice(1)).get("user") ?? state.about.users[0];
  if (wanted) $("user").value = wanted;
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (state.slate?.user === $("user").value.trim()) showNow();
  else choose($("user").value.trim());
});
$("q").addEventListener("input", typing);
for (const id of ["scenario", "n", "diversity"]) $(id).addEventListener("change", () => showNow());
$("type").addEventListener("change", () => state.slate && draw(null, false));
$("key").addEventListener("change", async () => {
  sessionStorage.setItem(KEY, $("key").value);
  await beginNow();
});

const beginNow = busily(async () => {
  await begin();
  if ($("user").value) {
    for (const button of $("suggestions").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.textContent === $("user").value));
    await show();
  }
});
beginNow();
