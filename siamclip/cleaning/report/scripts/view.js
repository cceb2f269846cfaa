// The page around the cards: views, filters, paging, keys, the enlarged photo, import and export.
const NO_FILTER = { search: "", folder: "", method: "", show: "all", sort: "found" };
const state = { view: "overview", page: 0, filter: { ...NO_FILTER } };
let pagesNow = [];
let main, nav, status, notice, dialog;

function start() {
  buildViews();
  restore();
  build();
  document.addEventListener("decisions", scheduleRefresh);
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", fromHash);
  fromHash();
  unsaved = unsaved && decisionCount() > 0;
  refresh();
  if (restoreError) say(t("importFailed", { why: restoreError }));
}

function build() {
  document.documentElement.lang = language;
  const page = document.getElementById("page");
  nav = h("nav", { "aria-label": t("methods") });
  main = h("main", { tabindex: "-1" });
  status = h("span", { class: "status", role: "status" });
  notice = h("div", { class: "notice", role: "alert", hidden: true });
  dialog = h("dialog", { class: "large" });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  const file = h("input", { type: "file", accept: ".json,application/json", hidden: true, id: "import-file" });
  file.addEventListener("change", () => importFile(file));
  page.replaceChildren(
    h("header", { class: "top" },
      h("h1", {}, t("title"), h("span", { class: "root", title: printable(data.root) }, printable(data.root))),
      status,
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary", id: "export", onclick: exportFile }, "⤓ " + t("exportDecisions")),
        h("button", { type: "button", id: "import", onclick: () => file.click() }, t("importDecisions")),
        h("button", { type: "button", id: "forget", onclick: forget }, t("resetAll")),
        h("button", { type: "button", id: "language", lang: language === "en" ? "zh" : "en", onclick: () => { switchLanguage(); build(); show(); refresh(); } }, t("language")),
        file)),
    notice, h("div", { class: "body" }, nav, main), dialog);
}

function say(text) {
  notice.hidden = false;
  notice.replaceChildren(text, h("button", { type: "button", "aria-label": t("close"), onclick: () => { notice.hidden = true; } }, "✕"));
}

// -- decisions in and out -------------------------------------------------------------------------------------------

function exportFile() {
  const text = JSON.stringify(exported(), null, 1);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: url, download: "decisions.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  unsaved = false;
  store();
  refresh();
  say(t("exported"));
}

async function importFile(input) {
  const [file] = input.files;
  if (!file) return;
  try {
    const decisions = JSON.parse(await file.text());
    const result = take(decisions);
    const parts = [t("imported", { n: result.taken })];
    if (result.elsewhere) parts.push(t("importedOther", { n: result.elsewhere }));
    if (result.changed) parts.push(t("importedChanged", { n: result.changed }));
    if (decisions.run !== data.run) parts.push(t("importedRun", { run: printable(String(decisions.run)) }));
    say(parts.join(" "));
  } catch (error) {
    say(t("importFailed", { why: printable(error.message) }));
  }
  input.value = "";
}

function forget() {
  const number = decisionCount();
  if (number && confirm(t("resetSure", { n: number }))) forgetAll();
}

// -- navigation -----------------------------------------------------------------------------------------------------

function fromHash() {
  let name = "overview";
  try { name = decodeURIComponent(location.hash.slice(1)) || "overview"; } catch { /* a damaged hash: the overview */ }
  state.view = name !== "overview" && views.has(name) ? name : "overview";
  state.page = 0;
  if (!views.get(state.view)?.methods.includes(state.filter.method)) state.filter.method = "";
  show();
}

function go(view, filter = {}) {
  Object.assign(state.filter, filter);
  const hash = "#" + encodeURIComponent(view);
  if (location.hash === hash || (view === "overview" && !location.hash)) fromHash();
  else location.hash = hash;
}

function navigation() {
  const link = (view, text, count) => h("a", {
    href: "#" + encodeURIComponent(view), class: state.view === view ? "current" : "",
    "aria-current": state.view === view ? "page" : null,
  }, h("span", {}, text), count !== undefined && h("span", { class: "count" }, count.toLocaleString(language)));
  const parts = [link("overview", t("overview")), link("*", t("allPhotos"), views.get("*").items.length)];
  for (const family of ["", ...data.families]) {
    const own = [...views.keys()].filter((name) => name !== "*" && data.views[name] === family);
    if (!own.length) continue;
    parts.push(h("h2", {}, t("family_" + family)));
    for (const name of own) parts.push(link(name, methodName(name), views.get(name).items.length));
  }
  nav.replaceChildren(...parts, h("p", { class: "soft" }, h("b", {}, t("keys")), h("br"), t("keysText")));
}

function show() {
  navigation();
  if (state.view === "overview") main.replaceChildren(...overview());
  else showGallery();
  refresh();
}

// -- a method's gallery ---------------------------------------------------------------------------------------------

function showGallery() {
  const view = views.get(state.view);
  const known = data.methods[state.view];
  const list = h("div", { class: "list" });
  main.replaceChildren(
    h("h2", { class: "view" }, view.name === "*" ? t("allPhotos") : methodName(view.name)),
    ...(known && known.sees ? [h("p", { class: "soft" }, `${view.name}: ${said("sees", known.sees)}`)] : []),
    ...view.methods.flatMap(questionedOf).map(questionedNote), filterBar(view), h("div", { class: "pager top-pager" }), list,
    h("div", { class: "pager" }));
  main.list = list;
  listPage(true);
}

function filterBar(view) {
  const change = (name) => (event) => { state.filter[name] = event.target.value; state.page = 0; listPage(true); };
  const select = (name, options) => h("select", { id: "filter-" + name, onchange: change(name) },
    options.map(([value, text]) => h("option", { value, selected: state.filter[name] === value }, text)));
  const grouped = view.items.some((item) => item.kind === "group");
  const folders = h("datalist", { id: "folders" });
  const folder = h("input", { id: "filter-folder", type: "search", list: "folders", value: state.filter.folder, oninput: change("folder") });
  folder.addEventListener("focus", () => suggestFolders(folders, folder.value), { once: false });
  folder.addEventListener("input", () => suggestFolders(folders, folder.value));
  let timer = 0;
  const search = h("input", { id: "filter-search", type: "search", value: state.filter.search, oninput: (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => change("search")(event), 200);
  } });
  return h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    h("label", {}, t("search"), search), h("label", {}, t("classFilter"), folder, folders),
    view.methods.length > 1 && h("label", {}, t("method"), select("method", [["", t("anyMethod")], ...view.methods.map((name) => [name, methodName(name)])])),
    h("label", {}, t("show"), select("show", [["all", t("showAll")], ["undecided", t("showUndecided")], ["removed", t("showRemoved")], ["kept", t("showKept")]])),
    h("label", {}, t("sort"), select("sort", [["found", t("sortFound")], ["up", t(grouped ? "sortSmall" : "sortUp")], ["down", t(grouped ? "sortLarge" : "sortDown")], ["path", t("sortPath")]])),
    h("button", { type: "button", id: "accept", onclick: acceptPage }, "✓ " + t("confirmPage")));
}

function suggestFolders(list, typed) {
  const names = new Set();
  for (let photo = 0; photo < PHOTOS && names.size < 100; photo++) {
    const name = folderOf(photo);
    if (name && name.includes(typed)) names.add(name);
  }
  list.replaceChildren(...[...names].map((value) => h("option", { value })));
}

function listPage(refilter) {
  if (refilter) pagesNow = paged(matching(views.get(state.view), state.filter));
  state.page = Math.max(0, Math.min(state.page, pagesNow.length - 1));
  const items = pagesNow[state.page] || [];
  main.list.replaceChildren(...items.map((item) => itemElement(item, state.view === "*")));
  main.list.classList.toggle("wide", items.some((item) => item.kind === "group" || item.kind === "clone"));
  if (!items.length) main.list.append(h("p", { class: "empty" }, t("noMatch"), " ", h("button", { type: "button", onclick: () => {
    state.filter = { ...NO_FILTER, sort: state.filter.sort };
    show();
  } }, t("clearFilters"))));
  const number = pagesNow.reduce((sum, page) => sum + page.length, 0);
  for (const pager of main.querySelectorAll(".pager")) pager.replaceChildren(
    h("button", { type: "button", class: "previous", "aria-label": t("previous"), disabled: state.page === 0, onclick: () => turn(-1) }, "‹"),
    h("span", {}, t("page", { page: Math.min(state.page + 1, pagesNow.length), pages: pagesNow.length })),
    h("button", { type: "button", class: "next", "aria-label": t("next"), disabled: state.page >= pagesNow.length - 1, onclick: () => turn(1) }, "›"),
    h("span", { class: "soft" }, t("items", { n: number })));
  for (const pager of main.querySelectorAll(".pager")) pager.classList.toggle("one", pagesNow.length < 2);
  refreshItems(main);
}

function turn(by) {
  const next = state.page + by;
  if (next < 0 || next >= pagesNow.length) return;
  // What was decided meanwhile leaves a list of the undecided; then the next ones move up.
  if (state.filter.show !== "all") {
    const first = by > 0 ? pagesNow[next][0] : null;
    pagesNow = paged(matching(views.get(state.view), state.filter));
    state.page = first ? Math.max(0, pagesNow.findIndex((page) => page.includes(first))) : Math.min(next, pagesNow.length - 1);
  } else state.page = next;
  listPage(false);
  scrollTo({ top: 0 });
  main.querySelector(".card")?.focus({ preventScroll: true });
}

function acceptPage() {
  let number = 0;
  for (const item of pagesNow[state.page] || []) {
    for (const photo of flaggedPhotos(item)) {
      if (!isDecided(photo)) { explicit.set(photo, proposedKeep[photo]); number++; }
    }
  }
  changed();
  say(t("confirmed", { n: number }));
}

// -- refresh --------------------------------------------------------------------------------------------------------

let refreshing = false;
function scheduleRefresh() {
  if (refreshing) return;
  refreshing = true;
  requestAnimationFrame(() => { refreshing = false; refresh(); });
}

function refresh() {
  const number = decisionCount();
  status.textContent = number ? t("count", { n: number }) + (unsaved ? " · " + t("unsaved") : "") : t("none");
  status.classList.toggle("unsaved", unsaved && number > 0);
  if (state.view === "overview") refreshOverview();
  refreshItems(main);
  if (dialog.open) refreshItems(dialog);
  if (!storageWorks && notice.hidden) say(t("noStorage"));
}

// -- keys and the enlarged photo --------------------------------------------------------------------------------------

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, select, textarea")) return;
  if (dialog.open) return enlargedKey(event);
  const key = event.key;
  if (key === "/" && document.getElementById("filter-search")) {
    event.preventDefault();
    document.getElementById("filter-search").focus();
  } else if (state.view !== "overview" && (key === "," || key === ".")) turn(key === "," ? -1 : 1);
  const card = document.activeElement?.closest(".card");
  if (!card || !main.contains(card)) return;
  if (key.startsWith("Arrow")) { event.preventDefault(); moveFocus(card, key); }
  else if (key === "Enter" && event.target === card) { event.preventDefault(); enlarge(card); }
  else cardKey(card, key);
}

function cardKey(card, key) {
  const wanted = { k: ".keep", r: ".remove", u: ".undo", d: ".refute" }[key.toLowerCase()];
  if (wanted) card.querySelector(wanted)?.click();
}

function moveFocus(card, key) {
  const cards = [...main.querySelectorAll(".card")];
  const index = cards.indexOf(card);
  if (key === "ArrowLeft" || key === "ArrowRight") return cards[index + (key === "ArrowRight" ? 1 : -1)]?.focus();
  const from = card.getBoundingClientRect();
  const down = key === "ArrowDown";
  let best = null, least = Infinity;
  for (const other of cards) {
    const box = other.getBoundingClientRect();
    const rows = down ? box.top - from.top : from.top - box.top;
    if (rows < from.height / 2) continue;
    const far = rows * 10 + Math.abs(box.left - from.left);
    if (far < least) [best, least] = [other, far];
  }
  best?.focus();
}

let enlarged = null; // {card, cards, index}

function enlarge(card) {
  const item = card.closest(".item");
  const cards = [...item.querySelectorAll(".card")];
  enlarged = { cards, index: cards.indexOf(card) };
  showEnlarged();
  if (!dialog.open) dialog.showModal();
}

// The photos of an entry stand in the same place one after the other, so that a difference jumps to the eye.
function showEnlarged() {
  const card = enlarged.cards[enlarged.index];
  const photo = Number(card.dataset.photo);
  const image = h("img", { alt: "", src: fileUrl(photo) });
  image.addEventListener("error", () => {
    const place = photos.image[photo];
    const instead = place >= 0 ? h("img", { alt: "", src: thumbnailUrl(photo) }) : h("span", { class: "broken" }, printable(data.errors[photo] || t("missing")));
    image.replaceWith(instead);
  });
  const inner = h("div", { class: "card", "data-photo": String(photo) }, caption(photo),
    findingsOf[photo].map((finding) => reason(finding, true)), card.querySelector(".controls") && controls(photo));
  dialog.replaceChildren(
    h("div", { class: "stage" }, image), inner,
    h("p", { class: "soft" }, enlarged.cards.length > 1 && `${enlarged.index + 1} / ${enlarged.cards.length} · `, t("enlargedKeys"), " · ",
      h("a", { href: fileUrl(photo), target: "_blank", rel: "noopener" }, t("openFile"))),
    h("button", { type: "button", class: "close", "aria-label": t("close"), onclick: () => dialog.close() }, "✕"));
  refreshCard(inner);
}

function enlargedKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    event.preventDefault();
    const { cards } = enlarged;
    enlarged.index = (enlarged.index + step + cards.length) % cards.length;
    showEnlarged();
  } else if (event.key !== "Escape") cardKey(dialog, event.key);
}

start();
