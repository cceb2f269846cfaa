// What a view lists: items of one or more photos, filtered, sorted, and cut into pages.
const PAGE_PHOTOS = 60; // on one page; a group is never cut, but shows its first GROUP_PHOTOS
const GROUP_PHOTOS = 24;

// A view: {name, kind, items}; an item: {kind, photos, findings, group?, folder?, sides?}.
const views = new Map();

function buildViews() {
  const byView = new Map();
  findings.photo.forEach((_, finding) => {
    const view = viewOf(finding);
    if (!byView.has(view)) byView.set(view, []);
    byView.get(view).push(finding);
  });
  for (const [view, own] of byView) views.set(view, { name: view, items: itemsOf(view, own) });
  const all = [];
  findingsOf.forEach((own, photo) => {
    if (own.some((finding) => findings.flagged[finding])) all.push(single("photo", own, photo));
  });
  views.set("*", { name: "*", items: all });
  for (const view of views.values()) view.methods = [...new Set(view.items.flatMap(methodsOf))];
}

// Those that have a finding on an item; of a group, also those that saw a pair of it.
function methodsOf(item) {
  const names = item.findings.map(methodOf);
  if (item.group) {
    for (const [a, b] of pairsOf(item.group)) {
      for (const row of evidenceOf(a, b)) names.push(pairs.methods[pairs.method[row]]);
    }
  }
  return [...new Set(names)];
}

function itemsOf(view, own) {
  if (view === CLONE_AUDIT) return clonesOf(own);
  const items = [];
  for (const group of groups.values()) {
    if (group.view !== view) continue;
    const members = group.photos.flatMap((photo) => group.own.get(photo));
    items.push({ kind: "group", group, findings: members, photos: group.photos, score: group.photos.length });
  }
  for (const finding of own) {
    if (findings.group[finding] >= 0) continue;
    const related = findings.related[finding];
    const item = single(related >= 0 ? "versus" : "photo", [finding], findings.photo[finding]);
    if (related >= 0) item.photos.push(related);
    items.push(item);
  }
  return items;
}

function single(kind, own, photo) {
  return { kind, findings: own, photos: [photo], score: findings.score[own[0]] };
}

// The groups of one folder stand side by side: they are the vehicles that the folder seems to hold.
function clonesOf(own) {
  const folders = new Map();
  for (const finding of own) {
    const number = Math.floor(findings.group[finding] / 2); // 2 n and 2 n + 1 are the two groups of folder n
    if (!folders.has(number)) folders.set(number, []);
    folders.get(number).push(finding);
  }
  return [...folders.values()].map((members) => {
    const sides = new Map();
    for (const finding of members) {
      const number = findings.group[finding];
      if (!sides.has(number)) sides.set(number, []);
      sides.get(number).push(finding);
    }
    return { kind: "clone", folder: folderOf(findings.photo[members[0]]), findings: members, photos: members.map((f) => findings.photo[f]),
             sides: [...sides.values()], score: highest(members) };
  });
}

function highest(own) {
  const scores = own.map((finding) => findings.score[finding]).filter((score) => score !== null);
  return scores.length ? scores.reduce((a, b) => Math.max(a, b)) : null;
}

const flaggedPhotos = (item) => {
  const flagged = item.findings.filter((f) => findings.flagged[f]).map((f) => findings.photo[f]);
  return [...new Set(flagged)];
};
const isUndecided = (item) =>
  !(item.group && isRefutedGroup(item.group)) && flaggedPhotos(item).some((photo) => !isDecided(photo));

// filter: {search, folder, method, show, sort}
function matching(view, filter) {
  const search = filter.search.toLowerCase();
  const folder = filter.folder;
  const found = view.items.filter((item) => {
    if (folder && !item.photos.some((photo) => folderOf(photo) === folder)) return false;
    if (search && !item.photos.some((photo) => photos.path[photo].toLowerCase().includes(search))) return false;
    if (filter.method && !methodsOf(item).includes(filter.method)) return false;
    if (filter.show === "undecided") return isUndecided(item);
    if (filter.show === "removed") return item.photos.some((photo) => !keeps(photo));
    if (filter.show === "kept") return flaggedPhotos(item).some((photo) => keeps(photo));
    return true;
  });
  const value = (item) => (item.score === null ? -Infinity : item.score);
  if (filter.sort === "up") found.sort((a, b) => value(a) - value(b));
  if (filter.sort === "down") found.sort((a, b) => value(b) - value(a));
  if (filter.sort === "path") {
    const path = (item) => photos.path[item.photos[0]];
    found.sort((a, b) => (path(a) < path(b) ? -1 : path(a) > path(b) ? 1 : 0));
  }
  return found;
}

// Lists of items with about PAGE_PHOTOS photos each.
function paged(items) {
  const pages = [];
  let current = [];
  let weight = 0;
  for (const item of items) {
    const own = Math.min(item.photos.length, GROUP_PHOTOS);
    if (current.length && weight + own > PAGE_PHOTOS) {
      pages.push(current);
      current = [];
      weight = 0;
    }
    current.push(item);
    weight += own;
  }
  if (current.length) pages.push(current);
  return pages;
}

// Photos a class has before, after the proposal, and after the decisions of this page.
function classTable() {
  const change = new Map();
  for (let photo = 0; photo < PHOTOS; photo++) {
    if (findingsOf[photo].some((finding) => methodOf(finding) === "unreadable")) continue; // never counted
    const by = keeps(photo) - proposedKeep[photo];
    const name = folderOf(photo) || data.withoutLabel;
    if (by) change.set(name, (change.get(name) || 0) + by);
  }
  return data.classes.map(([name, before, after]) => ({ name, before, after, yours: after + (change.get(name) || 0) }));
}
