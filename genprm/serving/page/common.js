// A critique on the screen, from its JSON (docs/results.md). Whatever a model or a person wrote becomes text nodes.

import { renderMath } from "./math.js";

const FORMULA = /\\\$|\$\$([^]{1,4000}?)\$\$|\\\[([^]{1,4000}?)\\\]|\\\(([^]{1,4000}?)\\\)|(\\begin\{(align|aligned|equation|gather|cases|[pbvB]?matrix|array)\*?\}[^]{1,4000}?\\end\{\5\*?\})|\$(?!\s)((?:\\.|[^$\\\n]){0,2000}?(?:\\.|[^\s$\\]))\$(?!\d)|\\boxed\{([^{}\n]*)\}|`([^`\n]+)`|\*\*([^*\n]+)\*\*/g;
const PYTHON = /(#[^\n]*)|("""[^]*?"""|'''[^]*?'''|[rbf]?"(?:\\.|[^"\\\n])*"|[rbf]?'(?:\\.|[^'\\\n])*')|\b(and|as|assert|break|class|continue|def|del|elif|else|except|finally|for|from|if|import|in|is|lambda|not|or|pass|print|raise|return|try|while|with|None|True|False)\b|\b(\d[\d_.eE]*)\b/g;
export const WORDS = { true: "right", false: "wrong", null: "no verdict" };

/** An element with its class, and children: nodes, or text. */
export function make(name, kind, ...children) {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Text with its formulas drawn, a paragraph for each blank line. */
export function richText(text, kind = "prose") {
  const box = make("div", kind);
  for (const part of text.trim().split(/\n\s*\n/)) {
    const paragraph = make("p");
    paragraph.dir = "auto";
    let at = 0;
    for (const found of part.matchAll(FORMULA)) {
      paragraph.append(part.slice(at, found.index), formula(found));
      at = found.index + found[0].length;
    }
    paragraph.append(part.slice(at));
    box.append(paragraph);
  }
  return box;
}

function formula(found) {
  const [all, dollars, brackets, parentheses, environment, , inline, boxed, code, strong] = found;
  if (all === "\\$") return "$";
  if (code !== undefined) return make("code", "", code);
  if (strong !== undefined) return make("strong", "", strong);
  if (boxed !== undefined) return renderMath(all);
  const block = dollars ?? brackets ?? environment;
  return block !== undefined ? renderMath(block, true) : renderMath(parentheses ?? inline);
}

/** Python, its parts in quiet colours. */
export function renderCode(source) {
  const code = make("code");
  let at = 0;
  for (const found of source.matchAll(PYTHON)) {
    const kind = ["comment", "string", "keyword", "number"][found.slice(1).findIndex((group) => group !== undefined)];
    code.append(source.slice(at, found.index), make("span", `py-${kind}`, found[0]));
    at = found.index + found[0].length;
  }
  code.append(source.slice(at));
  const box = make("pre", "code", code);
  box.tabIndex = 0;
  return box;
}

/**
 * A solution on the screen, to which verdicts are added as they come.
 *
 * `element`; `step(stepCritique)`; `end(critique)`; `broken(message)`. Steps are numbered from 1 here.
 */
export function critiqueView(solution, { full = false, heading = "h3", prefix = "" } = {}) {
  const cards = solution.steps.map((text, index) => stepCard(text, index, heading, prefix));
  const conclusion = make("div", "conclusion waiting", make("p", "verdict", "Reading …"));
  const list = make("ol", "steps", ...cards.map((card) => card.element));
  const made = make("p", "made");
  const box = make("section", "critique", conclusion, make("div", "problem", richText(solution.problem.text)), list, made);
  return {
    element: box,
    step: (judged) => cards[judged.step]?.judge(judged, full),
    end(critique) {
      critique.steps.forEach((judged) => cards[judged.step]?.judge(judged, full));
      critique.analysis?.faults.forEach((fault) => cards[fault.step]?.diagnose(fault));
      cards.forEach((card, index) => card.close(critique, index));
      conclude(conclusion, critique, prefix);
      const label = critique.solution.first_error;
      made.textContent = (label === null || label === undefined ? "" : `Label: ${place(label)}. `) + madeBy(critique);
      critique.judgements.forEach((rationale) => made.before(rationaleBox(rationale, full)));
    },
    broken(message) {
      conclusion.className = "conclusion unknown";
      conclusion.replaceChildren(make("p", "verdict", "No critique"), make("p", "reason", message));
      cards.forEach((card) => card.stop());
    },
  };
}

/** A whole critique, finished. */
export function renderCritique(critique, options) {
  const view = critiqueView(critique.solution, options);
  view.end(critique);
  return view.element;
}

function stepCard(text, index, heading, prefix) {
  const state = make("span", "state", "…");
  const votes = make("span", "votes");
  const mark = make("span", "first-error", "First error");
  mark.hidden = true;
  const title = make(heading, "step-title", `Step ${index + 1}`);
  const head = make("header", "step-head", title, state, votes, mark);
  const evidence = make("div", "evidence");
  const box = make("li", "step waiting", head, richText(unmarked(text, index), "prose step-text"), evidence);
  box.id = `${prefix}step-${index + 1}`;
  return {
    element: box,
    diagnose(fault) {
      evidence.prepend(faultBox(fault));
    },
    judge(judged, full) {
      box.className = `step ${judged.correct === null ? "unknown" : judged.correct ? "right" : "wrong"}`;
      state.textContent = WORDS[judged.correct];
      votes.replaceChildren(...voteMarks(judged));
      evidence.replaceChildren(...evidenceOf(judged, full));
    },
    close(critique, at) {
      if (box.classList.contains("waiting")) state.textContent = "not judged";
      box.classList.remove("waiting");
      mark.hidden = critique.first_error !== at;
      box.classList.toggle("is-first", critique.first_error === at);
      if (critique.first_error === at) evidence.querySelector("details")?.setAttribute("open", "");
    },
    stop() {
      box.classList.remove("waiting");
      if (state.textContent === "…") state.textContent = "not judged";
    },
  };
}

/** Of a faulty step: its kind, how bad it is, what to do, and why not to rely on that. */
function faultBox(fault) {
  const kind = make("span", "kind", fault.kind.replace("_", " "));
  const box = make("div", "fault", make("p", "", kind, ` severity ${fault.severity.toFixed(2)}`));
  box.append(make("p", "suggestion", fault.suggestion));
  if (fault.warning) box.append(make("p", "warning", `Not sure: ${fault.warning}.`));
  return box;
}

/** A step without the "Step 3:" that its title says already. */
export function unmarked(text, index) {
  const found = /^\s*(?:#+\s*)?(?:\*\*)?(?:step|paragraph)\s+(\d+)(?:\*\*)?\s*[:.)](?:\*\*)?\s+/i.exec(text);
  return found && Number(found[1]) === index + 1 ? text.slice(found[0].length) : text;
}

function voteMarks(judged) {
  const { yes, no, missing } = judged.votes;
  const said = [`${yes} yes`, `${no} no`, ...(missing ? [`${missing} missing`] : [])].join(", ");
  const dots = make("span", "dots");
  dots.setAttribute("aria-hidden", "true");
  if (yes + no + missing > 1) {
    for (const [kind, count] of [["yes", yes], ["no", no], ["missing", missing]]) {
      for (let i = 0; i < Math.min(count, 64); i += 1) dots.append(make("i", kind));
    }
  }
  const reward = judged.reward === null ? "no reward" : `reward ${judged.reward.toFixed(2)}`;
  return [dots, make("span", "numbers", `${said} · ${reward}`)];
}

/** Why a step is right or wrong: its rationales, those that disagree apart. */
export function evidenceOf(judged, full) {
  const ranked = [...judged.rationales].sort((a, b) => support(b, judged.correct) - support(a, judged.correct));
  if (!ranked.length) return [];
  const [best, ...others] = ranked;
  const against = others.filter((one) => one.verdict !== null && one.verdict !== judged.correct);
  const summary = judged.correct === false ? "Why it is wrong" : judged.correct ? "What was checked" : "What was said";
  const details = make("details", "why", make("summary", "", summary), rationaleBox(best, full));
  details.open = full || judged.correct !== true;
  const out = [details];
  if (against.length) {
    const split = `${against.length} of ${ranked.length} rationales disagree`;
    out.push(make("details", "disagree", make("summary", "", split), ...against.map((one) => rationaleBox(one, full))));
  }
  const rest = others.filter((one) => !against.includes(one));
  if (rest.length) {
    const more = rest.length === 1 ? "One more rationale" : `${rest.length} more rationales`;
    details.append(make("details", "others", make("summary", "", more), ...rest.map((one) => rationaleBox(one, full))));
  }
  return out;
}

/** How well a rationale stands for a verdict. */
function support(rationale, verdict) {
  if (rationale.verdict === null || rationale.verdict !== verdict) return -1;
  const p = rationale.p_yes ?? Number(rationale.verdict);
  return verdict ? p : 1 - p;
}

/** One rationale: analysis, code with its real output, verdict. */
export function rationaleBox(rationale) {
  const verdict = rationale.first_error !== null ? `names ${place(rationale.first_error)}` : WORDS[rationale.verdict];
  const p = rationale.p_yes === null ? "" : ` · P(right) ${rationale.p_yes.toFixed(2)}`;
  const box = make("article", "rationale");
  box.append(make("p", "who", `Rationale ${rationale.sample + 1}: ${verdict}${p}`));
  if (rationale.analysis.trim()) box.append(richText(rationale.analysis, "prose analysis"));
  else if (!rationale.checks.length && rationale.text.trim()) box.append(richText(rationale.text, "prose analysis"));
  rationale.checks.forEach((check) => box.append(checkBox(check)));
  if (rationale.outcome !== "ok") box.append(make("p", "trouble", [rationale.outcome.replace("_", " "), rationale.error].filter(Boolean).join(": ")));
  return box;
}

function checkBox(check) {
  const result = check.result;
  const took = result.wall_s ? ` · ${(1000 * result.wall_s).toFixed(0)} ms` : "";
  const shown = [result.stdout.replace(/\n+$/, ""), result.error].filter(Boolean).join("\n") || "(nothing printed)";
  const output = make("pre", result.status === "ok" ? "output" : "output failed", make("code", "", shown));
  output.tabIndex = 0;
  const again = check.reused ? " · run before, by another rationale" : "";
  const box = make("figure", "check", make("figcaption", "", "Check"), renderCode(check.code));
  box.append(make("figcaption", "", `Output (${result.status.replace("_", " ")})${took}${again}`), output);
  if (result.policy.length) box.append(make("figcaption", "policy", `Policy: ${result.policy.join("; ")}`));
  return box;
}

function conclude(box, critique, prefix) {
  const first = critique.first_error;
  box.className = `conclusion ${first === null ? "unknown" : first < 0 ? "right" : "wrong"}`;
  const line = make("p", "verdict");
  if (first === null) line.append(`The first error is not known (${critique.outcome.replace("_", " ")}).`);
  else if (first < 0) line.append("No error found.");
  else {
    const link = make("a", "", `step ${first + 1}`);
    link.href = `#${prefix}step-${first + 1}`;
    line.append("First error: ", link, ".");
  }
  box.replaceChildren(line, ...(critique.error ? [make("p", "reason", critique.error)] : []));
}

/** How it was made, in a line. */
export function madeBy(critique) {
  const { method, usage } = critique;
  const n = method.n === 1 ? "1 rationale" : `${method.stopping === "none" ? "" : "at most "}${method.n} rationales`;
  const tokens = (usage.prompt_tokens + usage.completion_tokens).toLocaleString("en");
  return [`engine ${method.engine}`, `protocol ${method.protocol}`, `${n} a step`, `vote ${method.vote}, threshold ${method.threshold}`,
    `${tokens} tokens`, `${critique.seconds.toFixed(2)} s`].join(" · ");
}

function place(index) {
  return index < 0 ? "no error" : `step ${index + 1}`;
}

/**
 * Two lists of steps, before and after, as one: what stayed, what went, what came (a longest common subsequence).
 *
 * `decorate(item, index)` is given the list item of each step of `after`.
 */
export function renderDiff(before, after, decorate = () => {}) {
  const list = make("ol", "diff");
  let at = 0;
  for (const [kind, text] of diff(before, after)) {
    const sign = { same: "", gone: "−", come: "+" }[kind];
    const said = { same: "", gone: "removed: ", come: "added: " }[kind];
    const mark = make("span", "sign", sign);
    mark.setAttribute("aria-hidden", "true");
    const item = make("li", kind, mark, make("span", "visually-hidden", said), richText(text));
    if (kind !== "gone") decorate(item, at++);
    list.append(item);
  }
  return list;
}

/** Pairs of `same`, `gone` or `come` and a text, in order. */
export function diff(before, after) {
  const length = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      length[i][j] = before[i] === after[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const out = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) out.push(["same", before[i++], j++]);
    else if (j === after.length || (i < before.length && length[i + 1][j] >= length[i][j + 1])) out.push(["gone", before[i++]]);
    else out.push(["come", after[j++]]);
  }
  return out.map(([kind, text]) => [kind, text]);
}
