// The live page: asks for a critique, and shows it as it comes.

import { critiqueView, make } from "./common.js";

const $ = (id) => document.getElementById(id);
const form = $("ask");
let running = null;

start();

async function start() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
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

function request() {
  const body = { problem: $("problem").value, solution: $("solution").value, stream: true };
  if (!$("n-field").hidden) body.n = $("n").valueAsNumber;
  if (!$("stop-field").hidden) body.stop_at_first_error = $("stop").checked;
  const headers = { "Content-Type": "application/json" };
  if ($("key").value) headers.Authorization = `Bearer ${$("key").value}`;
  return { method: "POST", headers, body: JSON.stringify(body) };
}

async function run() {
  if (!form.reportValidity()) return;
  running?.abort();
  const mine = (running = new AbortController());
  busy(true);
  let view = null;
  try {
    const answer = await fetch("/v1/critique", { ...request(), signal: mine.signal });
    if (!answer.ok) throw new Error(await refusal(answer));
    for await (const [name, data] of events(answer.body)) {
      if (name === "start") view = show(data.solution);
      else if (name === "step") {
        view.step(data);
        say(`Step ${data.step + 1}: ${{ true: "right", false: "wrong", null: "no verdict" }[data.correct]}.`);
      } else if (name === "critique") {
        view.end(data);
        say($("result").querySelector(".verdict").textContent);
        view = null;
      } else if (name === "error") throw new Error(data.error.message);
    }
    if (view) throw new Error("the answer broke off before its end");
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

function show(solution) {
  const view = critiqueView(solution);
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
  $("go").disabled = is;
  $("cancel").hidden = !is;
  $("result").setAttribute("aria-busy", String(is));
}

function say(text) {
  $("status").textContent = text;
}

function sentence(text) {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
