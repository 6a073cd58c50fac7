// The live page: asks for a critique or a refinement, and shows it as it comes.

import { critiqueView, make, WORDS } from "./common.js";
import { refinementView } from "./refine.js";

const $ = (id) => document.getElementById(id);
const form = $("ask");
let running = null;

start();

async function start() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(CRITIQUE);
  });
  $("refine").addEventListener("click", () => {
    if (["problem", "n", "turns"].every((name) => $(name).reportValidity())) run(REFINE);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  $("cancel").addEventListener("click", () => running?.abort());
  const [info, examples] = await Promise.all([load("/v1/info"), load("/page/examples.json")]);
  settle(info);
  offer(examples);
}

async function load(path) {
  return (await fetch(path)).json();
}

function settle(info) {
  $("key-field").hidden = !info.key;
  $("n-field").hidden = !("n" in info.defaults);
  $("stop-field").hidden = !("stop_at_first_error" in info.defaults);
  $("n").max = Math.max(info.limits.max_n, info.defaults.n ?? 1);
  $("n").value = Math.min(4, $("n").max);
  $("stop").checked = info.defaults.stop_at_first_error ?? false;
  if (info.refine) {
    for (const name of ["refine-field", "refine", "fresh-hint"]) $(name).hidden = false;
    $("turns").max = Math.max(info.limits.max_turns, info.refine.turns);
    $("turns").value = info.refine.turns;
    $("keep").checked = info.refine.from === "error";
  }
  $("version").textContent = `genprm ${info.version}`;
}

function offer(examples) {
  for (const example of examples) {
    const button = make("button", "chip", example.name);
    button.type = "button";
    button.addEventListener("click", () => {
      $("problem").value = example.problem;
      $("solution").value = example.solution;
      $("go").focus();
    });
    $("examples").append(button);
  }
}

function request(more) {
  const body = { problem: $("problem").value, solution: $("solution").value, stream: true, ...more };
  if (!$("n-field").hidden) body.n = $("n").valueAsNumber;
  if (!$("stop-field").hidden) body.stop_at_first_error = $("stop").checked;
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  return { method: "POST", headers, body: JSON.stringify(body) };
}

// What can be asked for: its route, what it adds to the body, the view of what comes, and the event that ends it.
const CRITIQUE = {
  path: "/v1/critique",
  more: () => ({ analysis: true }),
  view: ({ solution }) => {
    const view = critiqueView(solution);
    return {
      ...view,
      step(judged) {
        view.step(judged);
        return `Step ${judged.step + 1}: ${WORDS[judged.correct]}.`;
      },
      critique(whole) {
        view.end(whole);
        return view.element.querySelector(".verdict").textContent;
      },
    };
  },
  end: "critique",
};
const REFINE = {
  path: "/v1/refine",
  more: () => ({
    solution: $("solution").value.trim() ? $("solution").value : null,
    turns: $("turns").valueAsNumber,
    from: $("keep").checked ? "error" : "whole",
  }),
  view: refinementView,
  end: "refinement",
};

async function run(kind) {
  running?.abort();
  const mine = (running = new AbortController());
  busy(true);
  let view = null;
  let ended = false;
  try {
    const answer = await fetch(kind.path, { ...request(kind.more()), signal: mine.signal });
    if (!answer.ok) throw new Error(await refusal(answer));
    for await (const [name, data] of events(answer.body)) {
      if (name === "start") view = show(kind.view(data));
      else if (name === "error") throw new Error(data.error.message);
      else say(view[name]?.(data));
      ended ||= name === kind.end;
    }
    if (!ended) throw new Error("the answer broke off before its end");
  } catch (error) {
    if (running === mine) fail(view, reason(error));
  } finally {
    if (running === mine) {
      running = null;
      busy(false);
    }
  }
}

/** Server-sent events of a stream: pairs of name and record. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const name = /^event: (.*)$/m.exec(part)?.[1];
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (name && data) yield [name, JSON.parse(data)];
    }
  }
}

function show(view) {
  $("result").replaceChildren(view.element);
  if (matchMedia("(max-width: 60rem)").matches) $("result").scrollIntoView({ block: "start" });
  return view;
}

function fail(view, message) {
  if (view) view.broken(message);
  else $("result").replaceChildren(make("p", "notice", message));
  say(message);
}

async function refusal(answer) {
  const said = await answer.json().catch(() => null); // a proxy says it in words of its own
  return said?.error?.message ?? `the server answered ${answer.status}`;
}

function reason(error) {
  if (error.name === "AbortError") return "Cancelled.";
  return error instanceof TypeError ? "The server cannot be reached, or has gone away." : sentence(error.message);
}

function busy(is) {
  $("go").disabled = $("refine").disabled = is;
  $("cancel").hidden = !is;
  $("result").setAttribute("aria-busy", String(is));
}

function say(text) {
  if (text) $("status").textContent = text;
}

function sentence(text) {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
