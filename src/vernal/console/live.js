// The live loop: what is in charge, what is on trial and how it does, and what personal answers are worth. Looks again every few seconds.

import { $, call, chip, el, figure, moment, page, percent } from "/console/shared.js";

const AGAIN_MS = 3000;
const STAGES = { 0: "seen by nobody" };

const show = page(async () => {
  const [status, trial, compared] = await Promise.all([call("GET", "/v1/status"), call("GET", "/v1/canary"), call("GET", "/v1/experiments")]);
  const now = Date.parse(status.at) || Date.now();
  const charge = status.in_charge;
  $("in-charge").replaceChildren(el("p", { class: "big" }, charge?.name ?? "none"), charge ? el("p", { class: "hint" }, "Since ", moment(charge.since, now), `: ${charge.reason}`) : "");
  $("trial").replaceChildren(...onTrial(trial.canary, now));
  $("uplift").replaceChildren(...uplift(compared.running.find((each) => each.name === "holdout")));
  $("canary").hidden = !trial.canary;
  if (trial.canary) inProgress(trial, now);
  table($("steps"), ["When", "Release", "Act", "Users", "Why"], trial.steps.toReversed().map((step) => stepRow(step, now)), "Nothing was on trial yet.");
});

function onTrial(canary, now) {
  if (!canary) return [el("p", { class: "big" }, "nothing"), el("p", { class: "hint" }, "A release that passes the gate comes here.")];
  return [el("p", { class: "big" }, canary.release), el("p", {}, canary.share ? `${percent(canary.share)} of users meet it.` : "Nobody sees its answers yet."),
    el("p", { class: "hint" }, "Since ", moment(at(canary.begun_at), now), canary.held ? "; held by a person" : "")];
}

function uplift(found) {
  const arm = found?.arms[1];
  if (!arm || arm.value === null) return [el("p", { class: "big" }, "not known yet"), el("p", { class: "hint" }, "A share of users gets the best non-personalised list; both need clicks.")];
  return [el("p", { class: "big" }, signed(arm.value)), el("p", {}, between(arm)), el("p", { class: "hint" }, `${figure(arm.users)} users beside ${figure(found.arms[0].users)} in the holdout`)];
}

function inProgress({ canary, look }, now) {
  const seen = look && look.canary.release === canary.release ? look : null;
  $("stages").replaceChildren(...[0, ...new Set([canary.share])].map((share) => el("li", { "aria-current": share === canary.share ? "step" : undefined }, STAGES[share] ?? percent(share))), el("li", {}, "in charge"));
  $("verdict").replaceChildren(...(seen ? [chip(seen.verdict.act), ` ${seen.verdict.reason} `, el("span", { class: "hint" }, "Looked ", moment(at(seen.at), now), ".")] : ["Not looked at yet."]));
  const arms = seen ? [[canary.against, seen.evidence.control], [canary.release, seen.evidence.canary]] : [];
  table($("arms"), ["Arm", "Users", "Slates", "Items shown", "Clicks", "Clicks per item", "Failed", "Late", "Fallen"], arms.map(armRow), "Nobody met it yet.");
  const left = Object.entries(seen?.left_out ?? {}).filter(([name, n]) => n && name !== "elsewhere").map(([name, n]) => `${n} ${name.replace("_", " ")}`);
  $("left-out").textContent = left.length ? `Left out, or odd: ${left.join(", ")}.` : "";
  $("hold").textContent = canary.held ? "Let it go on" : "Hold";
  $("hold").dataset.held = canary.held;
}

function armRow([name, { users, slates, reward, guards }]) {
  const cells = [figure(users), figure(slates), figure(reward.impressions), figure(reward.clicks), percent(reward.clicks / reward.impressions)];
  const bad = ["failed", "late", "fallen"].map((guard) => (guards[guard] ? percent(guards[guard].clicks / guards[guard].impressions) : "–"));
  return el("tr", {}, el("td", {}, name), ...[...cells, ...bad].map((text) => el("td", { class: "number" }, text)));
}

function stepRow(step, now) {
  return el("tr", {}, el("td", { class: "short" }, moment(at(step.at), now)), el("td", { class: "short" }, step.release), el("td", {}, chip(step.act, step.act.replace(" ", "-"))),
    el("td", { class: "number", "data-head": "users" }, percent(step.share)), el("td", { class: "text" }, step.reason, el("p", { class: "hint" }, step.by)));
}

const at = (us) => new Date(us / 1000).toISOString();
const signed = (share) => `${share > 0 ? "+" : ""}${percent(share)}`;
const between = ({ low, high }) => `between ${low === null ? "no bound" : signed(low)} and ${high === null ? "no bound" : signed(high)}, at every look`;

function table(place, heads, rows, none) {
  if (!rows.length) return place.replaceChildren(el("tbody", {}, el("tr", {}, el("td", {}, none))));
  place.replaceChildren(el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows));
}

async function act(path, body) {
  try {
    await call("POST", path, body);
    await show();
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}

$("hold").addEventListener("click", () => act("/v1/canary/hold", { held: $("hold").dataset.held !== "true" }));
$("abort").addEventListener("click", () => window.confirm("Take the release on trial away from everybody?") && act("/v1/canary/abort", { reason: "aborted on the page" }));
setInterval(() => document.hidden || $("problem").hidden === false || show(), AGAIN_MS);
