// One photo, one group, one pair, one folder: what a page of a view is made of.
const number = (value) => value.toLocaleString(language, { maximumSignificantDigits: 4 });

function photoCard(photo, own, options = {}) {
  const card = h("article", {
    class: "card" + (options.reference ? " reference" : ""), tabindex: "0", "data-photo": String(photo), "data-keeper": options.keeper ?? null,
    "aria-label": printable(photos.path[photo]),
  });
  card.append(picture(photo, card), caption(photo));
  if (options.keeper === "true") card.append(h("span", { class: "badge keeper" }, "★ " + t("keeper")));
  for (const line of options.lines || []) card.append(h("p", { class: "why" }, line));
  for (const finding of own) card.append(reason(finding, options.showMethod));
  if (own.length || options.controls) card.append(controls(photo));
  const refutable = options.refutable === undefined ? null : refuteButton([[photo, options.refutable]], "notDuplicateOfKeeper");
  if (refutable) card.append(refutable);
  refreshCard(card);
  return card;
}

function picture(photo, card) {
  const frame = h("button", { class: "frame", tabindex: "-1", type: "button", title: t("openFile"), onclick: () => enlarge(card) });
  if (photo in data.errors) {
    frame.append(h("span", { class: "broken" }, h("b", {}, t("unreadable")), h("span", {}, printable(said("error", data.errors[photo])))));
  } else {
    const image = h("img", { alt: "", loading: "lazy", decoding: "async", src: thumbnailUrl(photo) });
    image.addEventListener("error", () => image.replaceWith(h("span", { class: "broken" }, t("missing"))));
    frame.append(image);
  }
  return frame;
}

function caption(photo) {
  const path = photos.path[photo];
  const cut = path.lastIndexOf("/") + 1;
  return h("p", { class: "path", title: printable(path) },
    h("span", { class: "folder" }, printable(path.slice(0, cut))), h("span", { class: "name" }, printable(path.slice(cut))));
}

function reason(finding, showMethod) {
  const score = findings.score[finding];
  return h("p", { class: "why" + (findings.flagged[finding] ? "" : " context") },
    showMethod && h("b", {}, methodName(methodOf(finding)) + ": "),
    printable(said("reason", findings.reasons[findings.reason[finding]])),
    score !== null && findings.group[finding] < 0 && h("span", { class: "score" }, " " + t("score", { score: number(score) })));
}

function controls(photo) {
  const button = (keep) => h("button", {
    type: "button", class: keep ? "keep" : "remove", tabindex: "-1", onclick: () => decide(photo, keep),
  }, (keep ? "✓ " : "✕ ") + t(keep ? "keep" : "remove"));
  return h("div", { class: "controls", role: "group" }, button(true), button(false),
    h("button", { type: "button", class: "undo", tabindex: "-1", title: t("undo"), "aria-label": t("undo"), onclick: () => decide(photo, null) }, "↺"));
}

function refuteButton(list, text) {
  const possible = list.filter(([a, b]) => contentPair(a, b));
  if (!possible.length) return null;
  const button = h("button", { type: "button", class: "refute", tabindex: "-1" }, "≠ " + t(text));
  button.pairs = possible;
  button.addEventListener("click", () => refute(possible, !possible.every(([a, b]) => isRefuted(a, b))));
  return button;
}

// The state of a card from the decisions; its structure stays, so that the focus does.
function refreshCard(card) {
  const photo = Number(card.dataset.photo);
  const keep = keeps(photo);
  card.classList.toggle("removed", !keep);
  card.classList.toggle("decided", isDecided(photo));
  for (const [name, on] of [["keep", keep], ["remove", !keep]]) {
    const button = card.querySelector(".controls ." + name);
    if (button) button.setAttribute("aria-pressed", String(on));
  }
  const undo = card.querySelector(".undo");
  if (undo) undo.hidden = !explicit.has(photo);
}

function refreshItems(root) {
  root.querySelectorAll(".card").forEach(refreshCard);
  root.querySelectorAll(".refute").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.pairs.every(([a, b]) => isRefuted(a, b))));
  });
  root.querySelectorAll(".item.group").forEach((element) => {
    element.querySelector(".none-kept").hidden = element.item.photos.some(keeps);
    element.classList.toggle("refuted", isRefutedGroup(element.item.group));
  });
}

// -- items ----------------------------------------------------------------------------------------------------------

function itemElement(item, showMethod) {
  const build = { photo: photoItem, versus: versusItem, group: groupItem, clone: cloneItem }[item.kind];
  const element = build(item, showMethod);
  element.item = item;
  return element;
}

function photoItem(item, showMethod) {
  return h("div", { class: "item photo" }, photoCard(item.photos[0], item.findings, { showMethod }));
}

function versusItem(item) {
  const [photo, related] = item.photos;
  return h("div", { class: "item versus" },
    photoCard(photo, item.findings, { lines: [t("own", { label: printable(folderOf(photo)) || "/" })] }),
    h("span", { class: "arrow", "aria-hidden": "true" }, "↔"),
    photoCard(related, [], { reference: true, lines: [t("betterLabel", { label: printable(folderOf(related)) || "/" })] }));
}

function evidenceLines(a, b) {
  const lines = evidenceOf(a, b).map((row) => {
    const distance = pairs.distance[row];
    const inliers = pairs.inliers[row];
    const name = methodName(pairs.methods[pairs.method[row]]);
    return [distance ? `${name}: ${t("distance", { distance: number(distance) })}` : "= " + name,
            inliers >= 0 ? " · " + t("inliers", { n: inliers }) : ""].join("");
  });
  return lines;
}

function groupItem(item) {
  const { group } = item;
  const cards = h("div", { class: "cards" });
  let shown = 0;
  const more = h("button", { type: "button", class: "more" });
  const showMore = () => {
    for (const photo of item.photos.slice(shown, shown + GROUP_PHOTOS)) {
      const isKeeper = photo === group.keeper;
      cards.append(photoCard(photo, reasonsOf(group, photo), {
        keeper: String(isKeeper && !isConflict(group)), lines: isKeeper ? [] : evidenceLines(photo, group.keeper),
        refutable: isKeeper ? undefined : group.keeper, controls: true,
      }));
    }
    shown = Math.min(shown + GROUP_PHOTOS, item.photos.length);
    more.hidden = shown === item.photos.length;
    more.textContent = t("more", { n: item.photos.length - shown });
    refreshItems(cards);
  };
  more.addEventListener("click", showMore);
  showMore();
  return h("section", { class: "item group" },
    h("header", {},
      h("h3", {}, t("group", { n: item.photos.length })),
      h("span", { class: "none-kept" }, "⚠ " + t("noneKept")),
      refuteButton(groupPairs(group), "areNotDuplicates")),
    cards, more, pairsOf(group).length > item.photos.length - 1 && pairList(group));
}

const isConflict = (group) => group.view !== "duplicates";

// In words: why the keeper is one, and what the pairs do not say.
function reasonsOf(group, photo) {
  const own = group.own.get(photo);
  if (photo === group.keeper) return own.slice(0, 1);
  const spared = (finding) => !isConflict(group) && findings.keep[finding];
  return own.filter((finding) => spared(finding) || !evidenceOf(photo, group.keeper).length).slice(0, 1);
}

// Built when it is opened: a group of a hundred has thousands of pairs.
function pairList(group) {
  const list = pairsOf(group);
  const details = h("details", { class: "pairs" }, h("summary", {}, t("allPairs", { n: list.length })));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    const rows = list.slice(0, 500).map(([a, b]) => h("tr", {},
      h("td", {}, printable(photos.path[a])), h("td", {}, printable(photos.path[b])),
      h("td", {}, evidenceLines(a, b).join(", ")), h("td", {}, refuteButton([[a, b]], "notDuplicates"))));
    details.append(h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, rows))));
    if (list.length > 500) details.append(h("p", { class: "soft" }, t("morePairs", { n: list.length - 500 })));
    refreshItems(details);
  });
  return details;
}

function cloneItem(item) {
  const sides = item.sides.map((own, index) => h("div", { class: "side" },
    h("h4", {}, t("side", { n: index + 1, count: own.length })),
    h("div", { class: "cards" }, own.slice(0, GROUP_PHOTOS).map((finding) => photoCard(findings.photo[finding], [], { controls: true }))),
    own.length > GROUP_PHOTOS && h("p", { class: "soft" }, t("morePhotos", { n: own.length - GROUP_PHOTOS }))));
  const reasons = [...new Set(item.findings.filter((f) => findings.flagged[f]).map((f) => findings.reason[f]))];
  return h("section", { class: "item clone" },
    h("header", {}, h("h3", {}, t("clone", { label: printable(item.folder) })),
      item.score !== null && h("span", { class: "score" }, t("score", { score: number(item.score) }))),
    reasons.slice(0, 3).map((place) => h("p", { class: "why" }, printable(said("reason", findings.reasons[place])))),
    h("div", { class: "sides" }, sides));
}
