// What is kept and what is in charge: `GET /v1/releases`, and the two acts that change it, each asked for twice.

import { $, call, chip, el, figure, moment, page } from "/console/shared.js";

const VERDICTS = { passed: "passed the gate", refused: "refused by the gate", overridden: "refused, promoted by a person", unjudged: "never judged" };

const show = page(async () => {
  const { champion, serving, releases } = await call("GET", "/v1/releases");
  $("releases").replaceChildren(...releases.toReversed().map((release) => card(release, champion)));
  $("none").hidden = releases.length > 0;
  $("rollback").hidden = releases.length < 2;
  if (champion && serving !== champion) $("change").textContent = `In charge: ${champion}; this worker still answers from ${serving || "no release"}.`;
});

function card(release, champion) {
  const inCharge = release.name === champion;
  const verdict = release.certificate?.verdict ?? "unjudged";
  const promote = el("button", { type: "button", class: "push", "aria-label": `Promote ${release.name}`, onclick: () => promoteAsked(release.name, champion) }, "Promote");
  return el("li", { class: `panel release${inCharge ? " charge" : ""}`, "data-release": release.name },
    el("div", { class: "head" }, el("h2", {}, release.name), inCharge && chip("in charge", "charge"), chip(VERDICTS[verdict] ?? verdict, verdict), !inCharge && verdict !== "refused" && promote),
    el("p", { class: "hint" }, "Made ", moment(release.created_at), `. ${headline(release.metrics.evaluation)}`),
    certificate(release.certificate));
}

function headline(found) {
  if (!found) return "Not evaluated: too little history to hold a stretch back.";
  const [ratio] = found.ratio;
  return `NDCG@10 ${figure(found.release["ndcg@10"])} on the last stretch it never saw: ${figure(ratio)} times the best list (${found.best_list}).`;
}

function certificate(found) {
  if (!found) return el("p", { class: "hint" }, "No certificate.");
  const heads = ["Check", "Verdict", "Figure", "Bound", "What it says"].map((head) => el("th", { scope: "col" }, head));
  const data = [["by", found.by], ["reason", found.reason], ["against", found.against || "nothing"], ["manifest", found.manifest], ["data", found.data || "not looked at"], ["key", found.key]];
  return el("details", {},
    el("summary", {}, `Certificate: ${(found.checks ?? []).length} checks`),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...(found.checks ?? []).map(checkRow)))),
    el("dl", { class: "figures facts-list" }, ...data.filter(([, text]) => text).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
}

function checkRow(check) {
  const interval = check.low !== null && check.low !== undefined ? ` (${figure(check.low)}..${figure(check.high)})` : "";
  return el("tr", {},
    el("td", { class: "short" }, check.name), el("td", {}, chip(check.verdict, check.verdict.replace(" ", "-"))),
    el("td", { class: "number", "data-head": "figure" }, check.figure === null || check.figure === undefined ? "–" : `${figure(check.figure)}${interval}`),
    el("td", { class: "number", "data-head": "bound" }, check.bound === null || check.bound === undefined ? "–" : figure(check.bound)), el("td", { class: "text" }, check.sentence));
}

// ---- changing what is in charge

function promoteAsked(name, champion) {
  sure(`Put ${name} in charge?`, `In charge: ${champion ?? "none"} → ${name}. Undo it with Roll back.`, "Promote", (reason) =>
    call("POST", "/v1/promote", { release: name, ...(reason && { reason }) }));
}

$("rollback").addEventListener("click", () =>
  sure("Roll back?", "The release that was in charge before answers again, at once, with the same bytes. Undo it with Promote.", "Roll back", (reason) =>
    call("POST", "/v1/rollback", reason ? { reason } : {})));

function sure(title, what, yes, act) {
  const dialog = $("sure");
  $("sure-title").textContent = title;
  $("sure-what").textContent = what;
  $("sure-yes").textContent = yes;
  $("reason").value = "";
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && done(act, $("reason").value.trim());
  dialog.showModal();
}

async function done(act, reason) {
  try {
    const { before, after } = await act(reason);
    await show();
    $("change").textContent = `In charge: ${before || "none"} → ${after}.`;
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}
