// The first view: figures, thresholds in question, classes, methods, settings.
const CLASS_ROWS = 200; // shown at once
const NUMBERS = new Set(["findings", "removals", "before", "after", "yours"]); // columns

const questionedOf = (method) => {
  const said = data.notes[method]?.questioned;
  return said ? (Array.isArray(said) ? said : [said]).map((text) => [method, text]) : [];
};
const questionedNote = ([method, text]) =>
  h("p", { class: "note" }, h("b", {}, methodName(method) + ": "), printable(said("questioned", text)));

function figures() {
  const removed = (keep) => {
    let number = 0;
    for (let photo = 0; photo < PHOTOS; photo++) number += !keep(photo);
    return number;
  };
  const count = (method) => (views.has(method) ? views.get(method).items.length : 0);
  let copies = 0;
  for (const group of groups.values()) copies += group.view === "duplicates";
  const proposed = removed((photo) => proposedKeep[photo]);
  const yours = removed(keeps);
  return [
    ["cardPhotos", data.scan.photos, null],
    ["cardUnreadable", data.scan.unreadable, views.has("unreadable") && "unreadable"],
    ["cardRemove", yours, "*", yours === proposed ? "" : t("proposed", { n: proposed }), { show: "removed" }],
    ["cardGroups", copies, views.has("duplicates") && "duplicates"],
    ["cardConflicts", count("label_conflict"), views.has("label_conflict") && "label_conflict"],
    ["cardClones", count(CLONE_AUDIT), views.has(CLONE_AUDIT) && CLONE_AUDIT],
  ];
}

function figureCards() {
  return figures().map(([key, value, view, small, filter]) => {
    const inside = [h("b", {}, (value ?? 0).toLocaleString(language)), h("span", {}, t(key)), small ? h("small", {}, small) : null];
    if (!view || !value) return h("div", { class: "figure", "data-figure": key }, inside);
    return h("button", { type: "button", class: "figure", "data-figure": key, onclick: () => go(view, { ...NO_FILTER, ...filter }) }, inside);
  });
}

// A time of the ISO form in the reader's own; anything else as it is.
function when(text) {
  const time = /^\d{4}-\d\d-\d\dT/.test(text) ? new Date(text) : new Date(NaN);
  return isNaN(time) ? printable(text) : time.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

function overview() {
  const questioned = Object.keys(data.notes).flatMap(questionedOf);
  const embedded = photos.image.filter((place) => place >= 0).length;
  const rest = PHOTOS - embedded - Object.keys(data.errors).length;
  return [
    h("p", { class: "soft", title: printable(data.run) }, t("created", { when: when(data.created) }), " · ", t("untilApply")),
    h("div", { class: "figures" }),
    ...data.warnings.map((text) => h("p", { class: "note" }, printable(said("warning", text)))),
    ...(questioned.length ? [h("section", {}, h("h2", {}, t("questioned")), h("p", { class: "soft" }, t("questionedLead")), questioned.map(questionedNote))] : []),
    findings.photo.length ? methodTable() : h("p", { class: "empty" }, t("nothing")),
    h("section", { class: "classes" }),
    ...(rest ? [h("p", { class: "soft" }, t("referenced", { embedded, rest, root: printable(data.root) }))] : []),
    ...(data.pairsOmitted ? [h("p", { class: "soft" }, t("pairsOmitted", { n: data.pairsOmitted }))] : []),
    h("details", { class: "settings" }, h("summary", {}, t("settings")), h("pre", {}, data.settings.split("\n").map(printable).join("\n"))),
  ];
}

const noteText = ([key, value]) =>
  `${printable(said("note", key))}: ${typeof value === "number" ? number(value) : printable(said("value", String(value)))}`;

function methodTable() {
  const flaggedBy = {}, removedBy = {};
  findings.photo.forEach((_, finding) => {
    const name = methodOf(finding);
    flaggedBy[name] = (flaggedBy[name] || 0) + findings.flagged[finding];
    removedBy[name] = (removedBy[name] || 0) + 1 - findings.keep[finding];
  });
  const rows = Object.keys(data.methods).map((name) => {
    const [flagged, removed] = [flaggedBy[name] || 0, removedBy[name] || 0];
    const { view } = data.methods[name];
    const notes = Object.entries(data.notes[name] || {}).filter(([key]) => key !== "questioned");
    return h("tr", {},
      h("td", {}, name in flaggedBy && views.has(view)
        ? h("button", { type: "button", class: "link", onclick: () => go(view, { ...NO_FILTER, method: view === name ? "" : name }) }, methodName(name)) : methodName(name)),
      h("td", { class: "number" }, flagged.toLocaleString(language)), h("td", { class: "number" }, removed.toLocaleString(language)),
      h("td", {}, said("sees", data.methods[name].sees)), h("td", { class: "soft" }, notes.map(noteText).join(" · ")));
  });
  return h("section", {}, h("h2", {}, t("methods")), h("p", { class: "soft" }, t("methodsLead")),
    h("div", { class: "scroll" }, h("table", { class: "methods" },
      h("thead", {}, h("tr", {}, ["method", "findings", "removals", "sees", "notes"].map((key) => h("th", { scope: "col", class: NUMBERS.has(key) && "number" }, t(key))))),
      h("tbody", {}, rows))));
}

let onlyChanged = true;
function classSection() {
  if (!data.classes.length) return [h("h2", {}, t("classes")), h("p", { class: "soft" }, t("flat"))];
  const all = classTable();
  // Those that lose the most come first: they are what a person must see before any apply.
  const rows = all.filter((row) => !onlyChanged || row.before !== row.yours || row.before !== row.after)
    .sort((a, b) => a.yours / a.before - b.yours / b.before || b.before - a.before);
  const box = h("input", { type: "checkbox", id: "only-changed", checked: onlyChanged, onchange: () => { onlyChanged = !onlyChanged; refreshOverview(); } });
  const body = rows.slice(0, CLASS_ROWS).map((row) => h("tr", { class: row.yours <= 0 ? "emptied" : "" },
    h("td", {}, h("button", { type: "button", class: "link", onclick: () => go("*", { ...NO_FILTER, folder: row.name }) }, row.name === data.withoutLabel ? t("noFolder") : printable(row.name))),
    ...[row.before, row.after, row.yours].map((value) => h("td", { class: "number" }, value.toLocaleString(language))),
    h("td", {}, h("span", { class: "bar", "aria-hidden": "true" }, bar(row)), row.yours <= 0 && h("b", {}, " " + t("emptyClass")))));
  return [
    h("h2", {}, t("classes")), h("p", { class: "soft" }, t("classesLead")), h("label", { class: "check" }, box, t("onlyChanged")),
    rows.length ? h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["class_", "before", "after", "yours"].map((key) => h("th", { scope: "col", class: NUMBERS.has(key) && "number" }, t(key))), h("th", {}))),
      h("tbody", {}, body))) : h("p", { class: "soft" }, t("noChange")),
    rows.length > CLASS_ROWS ? h("p", { class: "soft" }, t("moreClasses", { n: rows.length - CLASS_ROWS })) : "",
  ];
}

function bar(row) {
  const fill = h("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(100, (100 * row.yours) / Math.max(row.before, 1)))}%`;
  return fill;
}

function refreshOverview() {
  const focused = document.activeElement?.id;
  main.querySelector(".figures").replaceChildren(...figureCards());
  main.querySelector(".classes").replaceChildren(...classSection());
  if (focused === "only-changed") document.getElementById(focused)?.focus();
}
