// A refinement on the screen: its versions one below the other, each as a difference by step from the one it revises.

import { critiqueView, evidenceOf, make, renderDiff, richText, unmarked, WORDS } from "./common.js";

const ENDS = {
  turns: "Not accepted: all revisions are used.",
  tokens: "Not accepted: the budget of tokens is spent.",
  unchanged: "Not accepted: the policy wrote nothing new.",
  unreadable: "The policy wrote nothing that can be read.",
  no_verdict: "Not accepted: the critic came to no verdict.",
};
const STATES = {
  no_answer: "no answer in a box, so it is not judged and cannot lead",
  cut_off: "cut off at the limit of tokens, so it is not judged and cannot lead",
  empty: "nothing was written",
  repeated: "the same as an earlier version",
  too_long: "the conversation does not fit the policy's window",
};

/**
 * A refinement as it is made: `element`, and `draft`, `step`, `version`, `refinement` for the events of the same names;
 * `broken(message)`. Each returns what there is to say aloud, if anything.
 */
export function refinementView({ problem, plan }) {
  const conclusion = make("div", "conclusion waiting", make("p", "verdict", "Refining …"));
  const list = make("ol", "versions");
  const made = make("p", "made");
  const element = make("section", "critique refinement", conclusion, make("div", "problem", richText(problem.text)), list, made);
  const versions = [];
  let open = null;

  const begin = (turn, solution, base) => {
    open = versionCard(turn, base === null ? null : versions[base].solution.steps, solution.steps);
    open.turn = turn;
    open.base = base;
    list.append(open.element);
  };
  return {
    element,
    draft({ turn, solution }) {
      begin(turn, solution, baseOf(versions, plan));
      return turn ? `Revision ${turn} is written.` : "";
    },
    step({ turn, critique }) {
      if (open?.turn === turn) open.judge(critique);
      return "";
    },
    version(version) {
      if (open?.turn !== version.turn || open.base !== version.base) {
        open?.element.isConnected && open.turn === version.turn && open.element.remove();
        begin(version.turn, version.solution, version.base);
      }
      open.close(version);
      versions.push({ ...version, card: open });
      open = null;
      return `${title(version.turn)}: ${verdictOf(version)[1]}.`;
    },
    refinement(found) {
      const leader = versions.at(-1)?.leader ?? null;
      if (leader !== null) versions[leader].card.choose();
      conclude(conclusion, found, leader === null ? null : versions[leader]);
      made.textContent = madeBy(found);
      return conclusion.querySelector(".verdict").textContent;
    },
    broken(message) {
      conclusion.className = "conclusion unknown";
      conclusion.replaceChildren(make("p", "verdict", "Not finished"), make("p", "reason", message));
      open?.stop();
    },
  };
}

/** Which version is revised next, as the plan says. */
function baseOf(versions, plan) {
  const last = versions.at(-1);
  if (!last) return null;
  if (plan.base === "best" && last.leader !== null) return last.leader;
  const reviewed = versions.findLastIndex((version) => version.review !== null);
  return reviewed < 0 ? versions.length - 1 : reviewed;
}

function versionCard(turn, before, after) {
  const word = make("span", "verdict-word", "being judged …");
  const score = make("span", "score");
  const head = make("header", "version-head", make("h3", "version-title", title(turn)), word, score);
  const rows = [];
  const shown = after.map((text, index) => unmarked(text, index));
  const diff = renderDiff(before?.map((text, index) => unmarked(text, index)) ?? shown, shown, (item, index) => rows.push(row(item, index)));
  const element = make("li", "version waiting", head, diff);
  element.id = `version-${turn}`;
  const judge = (judged) => rows[judged.step]?.judge(judged);
  return {
    element,
    judge,
    close(version) {
      const [kind, said] = verdictOf(version);
      element.className = `version ${kind}`;
      word.textContent = said;
      if (typeof version.review?.score === "number") score.textContent = `score ${version.review.score.toFixed(2)}`;
      version.review?.critique?.steps.forEach(judge);
      rows.forEach((one, index) => one.close(version.review?.first_error === index));
      if (version.review?.feedback) element.append(told(version.review.feedback));
      if (version.review?.critique) element.append(whole(version));
    },
    choose() {
      element.classList.add("chosen");
      head.append(make("span", "chosen-mark", "Chosen"));
    },
    stop() {
      element.classList.remove("waiting");
      word.textContent = "not judged";
      rows.forEach((one) => one.close(false));
    },
  };
}

/** One step of a version in the list of differences. */
function row(item, index) {
  const word = make("span", "judgement", "…");
  const evidence = make("div", "evidence");
  item.classList.add("judged", "waiting");
  item.append(make("span", "number", `${index + 1}`), word, evidence);
  let last = null;
  return {
    judge(judged) {
      if (last === JSON.stringify(judged)) return; // what is open stays open
      last = JSON.stringify(judged);
      item.classList.remove("waiting", "right", "wrong", "unknown");
      item.classList.add(judged.correct === null ? "unknown" : judged.correct ? "right" : "wrong");
      word.textContent = WORDS[judged.correct];
      evidence.replaceChildren(...(judged.correct === true ? [] : evidenceOf(judged)));
      evidence.querySelectorAll("details[open]").forEach((details) => details.removeAttribute("open"));
    },
    close(first) {
      if (item.classList.contains("waiting")) word.textContent = "";
      item.classList.remove("waiting");
      item.classList.toggle("is-first", first);
      if (first) word.textContent = "first error";
    },
  };
}

function told(feedback) {
  return make("details", "told", make("summary", "", "What the policy is told"), richText(feedback));
}

/** The whole critique of a version; drawn when somebody opens it. */
function whole(version) {
  const details = make("details", "whole", make("summary", "", "The whole critique"));
  const draw = () => {
    const view = critiqueView(version.solution, { heading: "h4", prefix: `version-${version.turn}-` });
    view.end(version.review.critique);
    details.append(view.element);
  };
  details.addEventListener("toggle", draw, { once: true });
  return details;
}

function title(turn) {
  return turn ? `Revision ${turn}` : "Start";
}

/** Its kind, and in words. */
function verdictOf({ state, review, error }) {
  if (review === null) return ["unknown", STATES[state] ?? (error || state.replace("_", " "))];
  if (review.accepted) return ["right", "no error found"];
  if (review.accepted === null) return ["unknown", "no verdict"];
  return ["wrong", review.first_error === null ? "rejected" : `step ${review.first_error + 1} is wrong`];
}

function conclude(box, found, chosen) {
  const turns = chosen?.turn ?? 0;
  const times = turns === 1 ? "1 revision" : `${turns} revisions`;
  const accepted = turns ? `Accepted after ${times}.` : "No error found: nothing to revise.";
  box.className = `conclusion ${found.outcome === "accepted" ? "right" : "unknown"}`;
  box.replaceChildren(make("p", "verdict", found.outcome === "accepted" ? accepted : ENDS[found.outcome] ?? found.outcome));
  if (!chosen) return;
  const answer = richText(chosen.answer ? `Answer: $${chosen.answer}$` : "It has no answer in a box.", "prose answer");
  box.append(answer);
}

function madeBy(found) {
  const own = found.versions.reduce((sum, version) => sum + version.usage.completion_tokens, 0);
  const reviewed = found.versions.reduce((sum, version) => sum + (version.review?.usage.completion_tokens ?? 0), 0);
  const tokens = `${own.toLocaleString("en")} tokens by the policy, ${reviewed.toLocaleString("en")} by the critic`;
  return [`policy ${found.policy}`, found.reviewer, tokens, `${found.seconds.toFixed(2)} s`].join(" · ");
}
