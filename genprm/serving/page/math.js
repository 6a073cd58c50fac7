// LaTeX as people write it in solutions, as MathML, which browsers draw themselves. What is not known is shown as it
// was written. Every text goes in as text: nothing of it is ever read as HTML.

const NS = "http://www.w3.org/1998/Math/MathML";
const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ",
  vartheta: "ϑ", iota: "ι", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ",
  upsilon: "υ", phi: "ϕ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ",
  Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", infty: "∞", emptyset: "∅", varnothing: "∅", ell: "ℓ",
  partial: "∂", nabla: "∇", angle: "∠", triangle: "△", circ: "∘", degree: "°", hbar: "ℏ", Re: "ℜ", Im: "ℑ", aleph: "ℵ",
};
const OPERATORS = {
  times: "×", cdot: "⋅", div: "÷", pm: "±", mp: "∓", ast: "∗", star: "⋆", le: "≤", leq: "≤", leqslant: "⩽", ge: "≥",
  geq: "≥", geqslant: "⩾", ne: "≠", neq: "≠", approx: "≈", equiv: "≡", sim: "∼", simeq: "≃", cong: "≅", propto: "∝",
  lt: "<", gt: ">", ll: "≪", gg: "≫", to: "→", rightarrow: "→", leftarrow: "←", Rightarrow: "⇒", Leftarrow: "⇐",
  leftrightarrow: "↔", Leftrightarrow: "⇔", implies: "⟹", iff: "⟺", mapsto: "↦", in: "∈", notin: "∉", ni: "∋",
  subset: "⊂", subseteq: "⊆", supset: "⊃", supseteq: "⊇", cup: "∪", cap: "∩", setminus: "∖", land: "∧", wedge: "∧",
  lor: "∨", vee: "∨", neg: "¬", lnot: "¬", forall: "∀", exists: "∃", perp: "⟂", parallel: "∥", mid: "∣", nmid: "∤",
  ldots: "…", dots: "…", cdots: "⋯", vdots: "⋮", ddots: "⋱", therefore: "∴", because: "∵", langle: "⟨", rangle: "⟩",
  lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉", lvert: "|", rvert: "|", vert: "|", Vert: "‖", "|": "‖", oplus: "⊕",
  otimes: "⊗", prime: "′", colon: ":", bmod: "mod", backslash: "\\", "{": "{", "}": "}", "%": "%", "$": "$", "#": "#",
  "&": "&", _: "_",
};
const LARGE = { sum: "∑", prod: "∏", int: "∫", iint: "∬", oint: "∮", bigcup: "⋃", bigcap: "⋂" };
const NAMES = "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf det dim gcd lcm deg ker arg Pr mod".split(" ");
const LIMITS = new Set(["lim", "max", "min", "sup", "inf", "gcd"]);
const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", "!": "0", " ": "0.3em", quad: "1em", qquad: "2em", thinspace: "0.17em" };
const FONTS = { mathbf: "bold", boldsymbol: "bold", mathrm: "normal", operatorname: "normal", mathit: "italic", mathbb: "double", mathcal: "script" };
const DOUBLE = { N: "ℕ", Z: "ℤ", Q: "ℚ", R: "ℝ", C: "ℂ", P: "ℙ", F: "𝔽", E: "𝔼" };
const ACCENTS = { overline: "‾", bar: "‾", hat: "^", widehat: "^", vec: "→", overrightarrow: "→", dot: "˙", ddot: "¨", tilde: "~", widetilde: "~" };
const FENCES = { matrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], vmatrix: ["|", "|"], Bmatrix: ["{", "}"], cases: ["{", ""] };
const DEEPEST = 60;

/** A `math` element. `display`: on a line of its own. */
export function renderMath(source, display = false) {
  const math = element("math");
  if (display) math.setAttribute("display", "block");
  math.setAttribute("aria-label", source);
  math.append(row(new Parser(source).all()));
  return math;
}

class Parser {
  constructor(source) {
    this.tokens = source.match(/\\[a-zA-Z]+\*?|\\[^]|\d+(?:[.,]\d+)*|\s+|[^]/g) ?? [];
    this.at = 0;
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.at];
  }

  skip() {
    while (this.next !== undefined && /^\s+$/.test(this.next)) this.at += 1;
  }

  all() {
    const nodes = [];
    while (this.at < this.tokens.length) nodes.push(...this.until(() => false), ...this.stray());
    return nodes;
  }

  /** A brace or an end that nothing has opened. */
  stray() {
    return this.at < this.tokens.length ? [element("mtext", this.tokens[this.at++])] : [];
  }

  until(ends) {
    const nodes = [];
    for (this.skip(); this.next !== undefined && this.next !== "}" && !ends(this.next); this.skip()) {
      const node = this.scripted();
      if (isSign(node) && isOperator(nodes.at(-1))) node.setAttribute("form", "prefix");
      if (node) nodes.push(node);
    }
    return nodes;
  }

  scripted() {
    let base = /^[\^_]$/.test(this.next) ? row([]) : this.atom();
    if (!base) return null;
    let below = null;
    const over = [];
    for (this.skip(); this.next === "^" || this.next === "_" || this.next === "'"; this.skip()) {
      const sign = this.tokens[this.at++];
      if (sign === "'") over.push(element("mo", "′"));
      else if (sign === "^") over.push(this.argument());
      else below = this.argument();
    }
    if (!below && !over.length) return base;
    const above = over.length ? row(over) : null;
    const under = base.dataset?.limits === "yes";
    const kind = below && above ? (under ? "munderover" : "msubsup") : below ? (under ? "munder" : "msub") : under ? "mover" : "msup";
    return element(kind, base, ...[below, above].filter(Boolean));
  }

  argument() {
    this.skip();
    if (this.next === undefined || this.next === "}") return row([]);
    if (this.depth >= DEEPEST) return element("mtext", this.tokens[this.at++]);
    this.depth += 1;
    const node = this.atom() ?? row([]);
    this.depth -= 1;
    return node;
  }

  /** The text between braces, as it stands. */
  raw() {
    this.skip();
    if (this.next !== "{") return this.next === undefined ? "" : this.tokens[this.at++];
    let text = "";
    let open = 0;
    for (; this.at < this.tokens.length; this.at += 1) {
      if (this.next === "{" && open++ === 0) continue;
      if (this.next === "}" && --open === 0) break;
      text += this.next;
    }
    this.at += 1;
    return text;
  }

  atom() {
    const token = this.tokens[this.at++];
    if (token === "{") {
      if (++this.depth > DEEPEST) {
        this.depth -= 1;
        return element("mtext", "{");
      }
      const nodes = this.until(() => false);
      this.at += 1;
      this.depth -= 1;
      return row(nodes);
    }
    if (token.startsWith("\\")) return this.command(token.slice(1));
    if (/^\d/.test(token)) return element("mn", token);
    if (/^\p{L}$/u.test(token)) return element("mi", token);
    if (token === "~") return space("0.3em");
    if (token === "&") return null;
    return operator(token === "-" ? "−" : token === "*" ? "∗" : token);
  }

  command(name) {
    if (name in LETTERS) return element("mi", LETTERS[name]);
    if (name in OPERATORS) return operator(OPERATORS[name]);
    if (name in LARGE) return limits(operator(LARGE[name]), !name.includes("int"));
    if (NAMES.includes(name)) return limits(element("mi", name), LIMITS.has(name));
    if (name in SPACES) return space(SPACES[name]);
    if (name in FONTS) return this.font(FONTS[name]);
    if (name in ACCENTS) return accent("mover", this.argument(), ACCENTS[name]);
    switch (name) {
      case "frac": case "dfrac": case "tfrac": case "cfrac": {
        const above = this.argument();
        return element("mfrac", above, this.argument());
      }
      case "binom": case "dbinom": case "tbinom": {
        const above = this.argument();
        const fraction = element("mfrac", above, this.argument());
        fraction.setAttribute("linethickness", "0");
        return row([operator("("), fraction, operator(")")]);
      }
      case "sqrt": return this.root();
      case "text": case "textbf": case "textit": case "textrm": case "mbox": case "operatorname*": return element("mtext", this.raw().replaceAll("\\", ""));
      case "boxed": case "fbox": {
        const box = element("mrow", this.argument());
        box.setAttribute("class", "boxed");
        return box;
      }
      case "underline": return accent("munder", this.argument(), "_");
      case "left": return this.fenced();
      case "right": this.skip(); this.at += 1; return null;
      case "big": case "Big": case "bigg": case "Bigg": case "bigl": case "bigr": case "Bigl": case "Bigr": return null;
      case "begin": return this.environment(this.raw());
      case "pmod": return row([operator("("), element("mi", "mod"), space("0.3em"), this.argument(), operator(")")]);
      case "not": return operator("̸");
      case "displaystyle": case "textstyle": case "limits": case "nolimits": case "label": case "tag": case "nonumber": case "\\": return null;
      case "color": this.raw(); return null;
      default: return element("mtext", /^[a-zA-Z]/.test(name) ? `\\${name}` : name);
    }
  }

  font(kind) {
    if (kind === "normal") return element("mtext", this.raw());
    if (kind === "double") {
      const text = this.raw();
      return element("mi", DOUBLE[text] ?? text);
    }
    const inner = element("mrow", this.argument());
    inner.setAttribute("class", `math-${kind}`);
    return inner;
  }

  root() {
    this.skip();
    if (this.next !== "[") return element("msqrt", this.argument());
    this.at += 1;
    const index = row(this.until((token) => token === "]"));
    this.at += 1;
    return element("mroot", this.argument(), index);
  }

  fenced() {
    if (this.depth >= DEEPEST) return null;
    this.depth += 1;
    const open = this.delimiter();
    const nodes = this.until((token) => token === "\\right");
    if (this.next === "\\right") this.at += 1;
    this.depth -= 1;
    return row([open, ...nodes, this.delimiter()]);
  }

  delimiter() {
    this.skip();
    const token = this.tokens[this.at++] ?? ".";
    const sign = token === "." ? "" : token.startsWith("\\") ? OPERATORS[token.slice(1)] ?? "" : token;
    const node = operator(sign);
    node.setAttribute("stretchy", "true");
    return node;
  }

  environment(name) {
    if (name === "array") this.raw();
    const table = element("mtable");
    if (/^(align|aligned|split|gather|eqnarray)/.test(name)) table.setAttribute("class", "aligned");
    const ends = (token) => token === "\\end" || token === "\\\\" || token === "&";
    let line = element("mtr");
    if (++this.depth > DEEPEST) this.at = this.tokens.length;
    while (this.next !== undefined) {
      line.append(element("mtd", ...this.until(ends)));
      const token = this.tokens[this.at++];
      if (token !== "&") {
        table.append(line);
        line = element("mtr");
      }
      if (token === "\\end" || token === undefined) break;
    }
    this.raw();
    this.depth -= 1;
    const fences = (FENCES[name] ?? ["", ""]).map((sign) => (sign ? [element("mo", sign)] : []));
    return row([...fences[0], table, ...fences[1]]);
  }
}

function element(name, ...children) {
  const node = document.createElementNS(NS, name);
  node.append(...children);
  return node;
}

function row(nodes) {
  return nodes.length === 1 ? nodes[0] : element("mrow", ...nodes);
}

/** Fences grow only where \left and \right ask for it. */
function operator(text) {
  const node = element("mo", text);
  if (/^[()[\]{}|‖]$/.test(text)) node.setAttribute("stretchy", "false");
  return node;
}

function isSign(node) {
  return node?.localName === "mo" && /^[−+]$/.test(node.textContent);
}

/** Whether a sign after it belongs to what follows. */
function isOperator(node) {
  return !node || (node.localName === "mo" && !/^[)\]}|!′…]$/.test(node.textContent));
}

function space(width) {
  const node = element("mspace");
  node.setAttribute("width", width);
  return node;
}

function limits(node, under) {
  if (under) node.dataset.limits = "yes";
  return node;
}

function accent(kind, inner, sign) {
  const node = element(kind, inner, operator(sign));
  node.setAttribute("accent", "true");
  return node;
}
