// What is not as usual: shows what `GET /v1/drift` says. Colour goes with the evidence, as a share of what an alarm takes.

import { $, call, chip, el, figure, moment, page, percent } from "/console/shared.js";

const STEPS = [0.1, 0.4, 0.7, 1]; // shares of the threshold at which the colour changes
const SHARES = ["missing", "unseen", "out_of_range", "not_finite", "tails", "top", "second", "rate"]; // statistics that are shares of rows

const show = page(async () => {
  const report = await call("GET", "/v1/drift");
  const standing = report.alarms.filter((alarm) => !alarm.acknowledged);
  $("quiet").textContent = report.quiet || (standing.length ? `${standing.length} ${standing.length === 1 ? "alarm stands" : "alarms stand"}.` : "");
  $("caveat").textContent = report.caveat;
  $("spent").replaceChildren(...spent(report));
  $("acknowledge").hidden = standing.length === 0;
  $("alarms").replaceChildren(...report.alarms.map((alarm) => alarmCard(alarm, report)));
  $("evidence").replaceChildren(...evidence(report.streams));
  $("columns").replaceChildren(...report.streams.flatMap((stream) => stream.columns.filter((column) => column.now.length).map((column) => columnCard(column, stream))));
  for (const section of document.querySelectorAll("section")) section.hidden = report.streams.length === 0;
});

function spent(report) {
  const promise = `As long as all is as usual, the chance ever to raise an alarm is ${percent(report.promise)}; ${percent(report.spent / report.promise)} of that is given away.`;
  return report.at ? [promise, " Judged up to ", moment(report.at), `; ${percent(report.unknown_share)} of the newest events are about items that the release in charge never saw.`] : [promise];
}

// ---- alarms

function alarmCard(alarm, report) {
  const column = report.streams.find((stream) => stream.name === alarm.stream)?.columns.find((found) => found.name === alarm.column);
  const shown = SHARES.includes(alarm.statistic) ? percent : figure;
  const state = alarm.acknowledged ? "acknowledged" : alarm.severity;
  return el("li", { class: `panel alarm ${state}` },
    el("div", { class: "head" }, chip(alarm.severity), el("h3", {}, alarm.column || "all rows"), el("span", { class: "hint" }, `${alarm.stream}, since ${alarm.since}`), alarm.holds && chip("holds training", "hold")),
    el("div", {},
      el("p", { class: "effect" }, `${shown(alarm.before)} → ${shown(alarm.after)}`, el("span", { class: "hint" }, ` (${shown(alarm.after_low)}..${shown(alarm.after_high)})`)),
      el("p", {}, alarm.sentence)),
    column?.now.length > 0 && el("div", {}, ...histogram(column)),
    alarm.acknowledged && el("p", { class: "hint" }, `Acknowledged: ${alarm.acknowledged}`));
}

// ---- evidence: a row per stream and kind of column, a cell per window

function evidence(streams) {
  return streams.flatMap((stream) => {
    const kinds = [...new Set(stream.strip.flatMap((strip) => Object.keys(strip.log_e)))];
    return kinds.map((kind) => el("tr", {}, el("th", { scope: "row" }, `${stream.name} · ${kind}`), ...stream.strip.map((strip) => cell(strip, kind, stream.threshold))));
  });
}

function cell(strip, kind, threshold) {
  const share = Math.max(0, strip.log_e[kind] ?? 0) / threshold;
  const step = STEPS.filter((least) => share >= least).length;
  const title = `${strip.window}: ${percent(share)} of what an alarm takes, ${strip.rows.toLocaleString("en")} rows`;
  return el("td", { class: `e${step}`, title }, el("span", { class: "sr" }, title));
}

// ---- columns

function columnCard(column, stream) {
  const first = column.moves[0];
  return el("li", {},
    el("h3", {}, column.name), ...histogram(column),
    first && el("p", { class: "hint" }, `${first.words}; evidence ${percent(Math.max(0, first.log_e) / stream.threshold)} of what an alarm takes.`));
}

function histogram(column) {
  const n = column.labels.length;
  const most = Math.max(...column.now, ...column.reference, 1e-9);
  const height = (share) => (share / most) * 40;
  const steps = column.reference.map((share, at) => `${at ? "L" : "M"}${at} ${40 - height(share)}H${at + 1}`).join("");
  const [at, change] = column.now.map((share, at) => [at, share - column.reference[at]]).reduce((a, b) => (b[1] > a[1] ? b : a));
  const told = `Most grown: ${column.labels[at] || "one value"}, ${percent(column.reference[at])} → ${percent(column.now[at])}`;
  const svg = el("svg:svg", { viewBox: `0 0 ${n} 40`, preserveAspectRatio: "none", class: "histogram", role: "img", "aria-label": `${column.name}, now against reference. ${told}` },
    ...column.now.map((share, at) => el("svg:rect", { class: "now", x: at + 0.08, width: 0.84, y: 40 - height(share), height: height(share) }, el("svg:title", {}, `${column.labels[at]}: ${percent(column.reference[at])} → ${percent(share)}`))),
    el("svg:path", { class: "then", d: steps }));
  const ends = el("p", { class: "ends", "aria-hidden": "true" }, el("span", {}, column.labels[0] ?? ""), el("span", {}, column.labels[n - 1] ?? ""));
  return [svg, ends, change > 0.005 && el("p", { class: "hint" }, `${told}.`)];
}

// ---- a person's word

$("acknowledge").addEventListener("click", () => {
  const dialog = $("sure");
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && acknowledged();
  dialog.showModal();
});

async function acknowledged() {
  try {
    const { standing } = await call("POST", "/v1/acknowledge", { by: $("by").value.trim(), note: $("note").value.trim(), usual: $("usual").checked });
    await show();
    $("done").textContent = `${standing} ${standing === 1 ? "alarm is" : "alarms are"} acknowledged; the keeper takes the word at its next look.`;
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}
