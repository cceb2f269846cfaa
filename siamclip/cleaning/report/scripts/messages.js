// What the run says in English, in the reader's language: data.chinese has the templates (see chinese.py).
const FIELD = /\{(\w+)\}/;
const forms = new Map(); // kind -> [{whole: RegExp, names, chinese}]

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const sourceOf = (kind) => "(?:" + Object.keys(data.chinese[kind]).map((english) => pattern(english, "(?:")).join("|") + ")";

// A regular expression for a template; `open` begins the groups of its fields.
function pattern(english, open) {
  return english.split(FIELD).map((part, place) => {
    if (place % 2 === 0) return escaped(part);
    return open + (part in data.chinese ? sourceOf(part) : part.length === 1 ? "\\S+" : ".+") + ")";
  }).join("");
}

function formsOf(kind) {
  if (!forms.has(kind)) {
    forms.set(kind, Object.entries(data.chinese[kind]).map(([english, chinese]) => ({
      whole: new RegExp("^" + pattern(english, "(") + "$", "su"), names: english.split(FIELD).filter((_, place) => place % 2), chinese,
    })));
  }
  return forms.get(kind);
}

// The text as the reader reads it; English where no template fits, as of a run of another version.
function said(kind, text) {
  if (language !== "zh") return text;
  for (const { whole, names, chinese } of formsOf(kind)) {
    const found = whole.exec(text);
    if (!found) continue;
    const values = Object.fromEntries(names.map((name, place) => [name, name in data.chinese ? said(name, found[place + 1]) : found[place + 1]]));
    return chinese.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }
  return text;
}
