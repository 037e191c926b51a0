// What is compared: the holdout and every experiment, with intervals as they narrowed.

import { $, call, el, figure, moment, page, percent } from "/console/shared.js";

page(async () => {
  const { running, stopped } = await call("GET", "/v1/experiments");
  $("running").replaceChildren(...running.map(card));
  $("none").hidden = running.length > 0;
  $("stopped").replaceChildren(...(stopped.length ? stopped.toReversed().map(card) : [el("li", { class: "hint" }, "No experiment has ended yet.")]));
});

function card(found) {
  const rows = found.arms.map((arm) => el("tr", {}, el("td", {}, arm.arm), ...[figure(arm.users), figure(arm.shown), figure(arm.clicks), percent(arm.rate), interval(arm)].map((text) => el("td", { class: "number" }, text))));
  const heads = ["Arm", "Users", "Items shown", "Clicks", "Clicks per item", "Beside the first"].map((head) => el("th", { scope: "col" }, head));
  return el("li", { class: "panel release", "data-experiment": found.name },
    el("div", { class: "head" }, el("h2", {}, found.name === "holdout" ? "Uplift over the holdout" : found.name)),
    el("p", { class: found.odd ? "problem" : "" }, found.sentence),
    el("p", { class: "hint" }, "Since ", moment(found.since), found.left_out && `; left out, or odd: ${found.left_out}`),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows))),
    ...found.arms.filter((arm) => arm.past.length > 1).map((arm) => sequence(arm)));
}

// A confidence sequence: the interval after so many items shown, within half and double.
function sequence(arm) {
  const [low, high] = [-0.5, 0.5];
  const y = (value) => 90 - (90 * (Math.min(high, Math.max(low, value ?? high)) - low)) / (high - low);
  const first = Math.log(arm.past[0].shown || 1), last = Math.log(arm.past.at(-1).shown || 1);
  const x = (point) => (300 * (Math.log(point.shown || 1) - first)) / (last - first || 1);
  const band = [...arm.past.map((p) => [x(p), y(p.high)]), ...arm.past.toReversed().map((p) => [x(p), y(p.low ?? low)])];
  const made = el("svg:svg", { class: "histogram", viewBox: "0 0 300 90", preserveAspectRatio: "none", role: "img", "aria-label": `${arm.arm}: the interval narrowed to ${interval(arm)}` },
    el("svg:polygon", { class: "now", points: band.map((point) => point.join(",")).join(" ") }),
    el("svg:polyline", { class: "then", points: arm.past.map((p) => `${x(p)},${y(p.value ?? 0)}`).join(" ") }),
    el("svg:line", { class: "then", x1: 0, x2: 300, y1: y(0), y2: y(0) }));
  return el("div", {}, el("h3", {}, arm.arm), made, el("p", { class: "ends" }, el("span", {}, `${figure(arm.past[0].shown)} items shown`), el("span", {}, "between −50 % and +50 %"), el("span", {}, figure(arm.past.at(-1).shown))));
}

const signed = (share) => `${share > 0 ? "+" : ""}${percent(share)}`;
const interval = ({ value, low, high }) => (value === null ? "–" : `${signed(value)} [${low === null ? "–" : signed(low)}, ${high === null ? "–" : signed(high)}]`);
