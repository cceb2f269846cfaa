// Two photos and a question: what people answer is what clean.py calibrate takes back.
const data = JSON.parse(document.getElementById("data").textContent);
const { photos, questions } = data;
const STORE = `siamclip.answers.${data.run}.${data.method}.${data.seed}`;
const ANSWERS = ["same", "different", "skip"];
const keyOf = (question) => [question[2], question[3]].sort().join(" ");
const answers = new Map(questions.filter((question) => question[4]).map((question) => [keyOf(question), question[4]]));
let at = 0;
let storageWorks = true;

function restoreAnswers() {
  let stored = null;
  try { stored = JSON.parse(localStorage.getItem(STORE)); } catch { storageWorks = false; }
  const asked = new Set(questions.map(keyOf));
  for (const [key, answer] of Array.isArray(stored) ? stored : []) {
    if (asked.has(key) && ANSWERS.includes(answer)) answers.set(key, answer);
  }
}

function answer(value) {
  answers.set(keyOf(questions[at]), value);
  try { localStorage.setItem(STORE, JSON.stringify([...answers])); } catch { storageWorks = false; }
  const open = unanswered();
  if (open >= 0) at = open;
  show();
}

// The next one from here on, and then from the start; -1 when all are answered.
function unanswered() {
  for (let step = 1; step <= questions.length; step++) {
    const place = (at + step) % questions.length;
    if (!answers.has(keyOf(questions[place]))) return place;
  }
  return -1;
}

function exported() {
  const given = questions.filter((question) => answers.has(keyOf(question)));
  return { format: 1, method: data.method, run: data.run, answers: given.map((q) => [q[2], q[3], answers.get(keyOf(q))]) };
}

function exportAnswers() {
  const url = URL.createObjectURL(new Blob([JSON.stringify(exported(), null, 1)], { type: "application/json" }));
  h("a", { href: url, download: `answers-${data.method}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function photo(place) {
  const frame = h("figure", { class: "asked" });
  const image = h("img", { alt: "", src: imageUrl(place, photos, data.base) });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "broken" }, t("missing"))));
  image.addEventListener("click", () => frame.classList.toggle("large"));
  frame.append(image, h("figcaption", {}, printable(photos.path[place])));
  return frame;
}

function show() {
  document.documentElement.lang = language;
  const [first, second] = questions[at];
  const given = answers.get(keyOf(questions[at]));
  const button = (value) => h("button", { type: "button", class: "answer " + value, "aria-pressed": String(given === value), onclick: () => answer(value) }, t(value));
  const done = answers.size === questions.length;
  document.getElementById("page").replaceChildren(
    h("header", { class: "top" },
      h("h1", {}, t("title"), h("span", { class: "root" }, t("method", { method: data.method }) + " · " + printable(data.root))),
      h("span", { class: "status", role: "status" }, t("progress", { done: answers.size, all: questions.length })),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary", id: "export", onclick: exportAnswers }, "⤓ " + t("exportAnswers")),
        h("button", { type: "button", id: "language", onclick: () => { switchLanguage(); show(); } }, t("language")))),
    h("main", { class: "ask" },
      h("p", { class: "soft" }, t("lead")),
      !storageWorks && h("p", { class: "note" }, t("noStorage")),
      done && h("p", { class: "note" }, t("done"), h("br"), h("code", {}, t("command", { method: data.method }))),
      h("div", { class: "asked-pair" }, photo(first), photo(second)),
      h("div", { class: "answers" }, ANSWERS.map(button)),
      h("div", { class: "pager" },
        h("button", { type: "button", class: "previous", "aria-label": t("back"), disabled: at === 0, onclick: () => turn(-1) }, "‹"),
        h("span", {}, t("place", { n: at + 1 })),
        h("button", { type: "button", class: "next", "aria-label": t("next"), disabled: at === questions.length - 1, onclick: () => turn(1) }, "›"),
        h("span", { class: "soft" }, t("keys")))));
}

function turn(by) {
  at = Math.max(0, Math.min(questions.length - 1, at + by));
  show();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const value = { s: "same", d: "different", x: "skip" }[event.key.toLowerCase()];
  if (value) answer(value);
  else if (event.key === "ArrowLeft" || event.key === "ArrowRight") turn(event.key === "ArrowLeft" ? -1 : 1);
});

restoreAnswers();
at = Math.max(0, questions.findIndex((question) => !answers.has(keyOf(question))));
show();
