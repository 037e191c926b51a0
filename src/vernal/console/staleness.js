// How fresh is what answers: shows what `GET /v1/status` says, and nothing else.

import { $, call, chip, el, figure, moment, page, percent, span } from "/console/shared.js";

const MODES = {
  automatic: "Trains, judges and promotes by itself.",
  propose: "Only says what it would do; you train and promote.",
  off: "Neither watches nor trains: rollout.mode is off.",
};

page(async () => {
  const status = await call("GET", "/v1/status");
  const now = Date.parse(status.at) || Date.now();
  $("mode").replaceChildren(`${MODES[status.mode] ?? status.mode} `, ...(status.looked ? ["Last looked ", moment(status.looked, now), "."] : ["Nobody has looked yet."]));
  $("holds").replaceChildren(...status.holds.map((sentence) => el("li", {}, sentence, " ", el("a", { href: "/console/drift" }, "See drift"))));
  $("in-charge").replaceChildren(...charge(status.in_charge, now));
  $("next").replaceChildren(
    el("p", { class: "big" }, status.next_training ? moment(status.next_training, now) : "not known"),
    el("p", { class: "hint" }, status.next_reason || "Nothing was decided yet."),
  );
  $("stale").replaceChildren(...stale(status.staleness));
  table($("trainings"), ["When", "What became of it", "Took", "Release", "Why"], status.trainings.map((training) => trainingRow(training, now)), "No training was begun by itself yet.");
  table($("decisions"), ["When", "Act", "Reason", "Waiting", "Training"], status.decisions.map((decision) => decisionRow(decision, now)), "Nothing was decided yet.");
});

function charge(release, now) {
  if (!release) return [el("p", { class: "big" }, "none"), el("p", { class: "hint" }, "Popular items are shown until the first training.")];
  const age = release.age_s > 0 ? `It knows nothing of the last ${span(release.age_s)}.` : "It knows everything there is.";
  return [el("p", { class: "big" }, release.name), el("p", {}, age), el("p", { class: "hint" }, "Since ", moment(release.since, now), `: ${release.reason}`)];
}

function stale(found) {
  const rows = found
    ? [
        ["predicted regret", percent(found.predicted_regret ?? NaN), "how much worse it is than a fresh release would be"],
        ["price of age", percent(found.price ?? NaN), "how much worse a release gets in its first unit of time"],
        ["unknown items", percent(found.unknown_share), "share of the last events on items it never saw"],
        ["incidents", figure(found.incidents), "times that regret was too high for too long"],
      ]
    : [["not looked yet", "–", ""]];
  return rows.flatMap(([name, value, title]) => [el("dt", { title }, name), el("dd", {}, value)]);
}

function trainingRow(training, now) {
  return el("tr", {},
    el("td", { class: "short" }, moment(training.at, now)), el("td", {}, chip(training.outcome)),
    el("td", { class: "number", "data-head": "took" }, training.took_s === null ? "–" : span(training.took_s)), el("td", { class: "short" }, training.release || "–"),
    el("td", { class: "text" }, training.reason, training.note && el("p", { class: "hint" }, training.note)));
}

function decisionRow(decision, now) {
  return el("tr", {},
    el("td", { class: "short" }, moment(decision.at, now)), el("td", {}, chip(decision.act)), el("td", { class: "text" }, decision.reason),
    el("td", { class: "number", "data-head": "waiting" }, figure(decision.cost_of_waiting)), el("td", { class: "number", "data-head": "training" }, figure(decision.cost_of_training)));
}

function table(place, heads, rows, none) {
  if (!rows.length) return place.replaceChildren(el("tbody", {}, el("tr", {}, el("td", {}, none))));
  place.replaceChildren(el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows));
}
