// The blocks of a row (genprm/viewing/sheets.py) on the screen.

import { make, rationaleBox, renderCritique, renderDiff, richText } from "./common.js";

const WORDS = { true: "right", false: "wrong", null: "unsure" };

/** A block as an element; what cannot be drawn is shown as the data that it is. */
export function drawBlock(block) {
  try {
    return { critique, solution, change, fields, table }[block.type](block);
  } catch {
    return fields({ title: "", fields: [["record", JSON.stringify(block, null, 2)]] });
  }
}

function critique(block) {
  const drawn = renderCritique(block.critique);
  if (block.analysis.length) {
    const lines = block.analysis.map((line) => make("p", line.startsWith("  ") ? "warning" : "", line.trim()));
    drawn.querySelector(".steps").before(make("div", "blame", ...lines));
  }
  for (const link of drawn.querySelectorAll(".verdict a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      drawn.querySelector(".is-first").scrollIntoView();
    });
  }
  drawn.querySelectorAll("[id]").forEach((element) => element.removeAttribute("id"));
  return block.folded ? make("details", "folded", make("summary", "", "Its critique"), drawn) : drawn;
}

function solution(block) {
  const judged = block.steps.some((step) => step.state !== "" || step.rationales.length);
  const box = headed(block, `block critique${judged ? "" : " compact"}`);
  if (block.problem) box.append(make("div", "problem", richText(block.problem)));
  if (block.steps.length) box.append(make("ol", "steps", ...block.steps.map(step)));
  if (block.feedback) box.append(feedback(block));
  return box;
}

function step({ text, note, state, rationales }, index) {
  const kind = state === "" ? "" : state === null ? "unknown" : state ? "right" : "wrong";
  const head = make("header", "step-head", make("span", "step-title", `Step ${index + 1}`));
  if (kind) head.append(make("span", "state", WORDS[state]));
  if (note) head.append(make("span", "note", note));
  const box = make("li", `step ${kind}`, head, richText(text, "prose step-text"));
  if (rationales.length) {
    const details = make("details", "why", make("summary", "", "Rationale"), ...rationales.map(rationaleBox));
    details.open = state !== true;
    box.append(make("div", "evidence", details));
  }
  return box;
}

function change(block) {
  const box = headed(block, "block critique");
  box.append(renderDiff(block.before, block.after));
  if (block.feedback) box.append(feedback(block));
  return box;
}

function feedback(block) {
  const details = make("details", "why", make("summary", "", "What it was told of this version"), richText(block.feedback));
  return make("div", "evidence", details);
}

export function fields(block) {
  const list = make("dl", "fields");
  for (const [name, text] of block.fields) {
    list.append(make("dt", "", name), make("dd", text.includes("\n") ? "long" : "", text));
  }
  const box = headed(block, "block");
  box.append(list);
  return box;
}

function table(block) {
  const cells = (row, kind) => make("tr", "", ...row.map((text) => make(kind, "", text)));
  const rows = block.rows.length ? block.rows.map((row) => cells(row, "td")) : [cells(["none"], "td")];
  const drawn = make("table", "figures", make("thead", "", cells(block.head, "th")), make("tbody", "", ...rows));
  const box = headed(block, "block");
  box.append(drawn);
  return box;
}

function headed({ title, note }, kind) {
  return make("section", kind, title ? make("h3", "title", title) : null, note ? make("p", "note", note) : null);
}
