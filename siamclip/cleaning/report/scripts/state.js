// The data of the run, and what people decided about it.
const data = JSON.parse(document.getElementById("data").textContent);
const { photos, findings, pairs } = data;
const PHOTOS = photos.path.length;
const CLONE_AUDIT = "cloned_plate";

// The class of a photo: the first folder of its path, or the second where the first one is train, val or test.
const folderOf = (photo) => {
  const folders = photos.path[photo].split("/").slice(0, -1);
  return folders[data.layout === "sides" ? 1 : 0] ?? "";
};
const methodOf = (finding) => findings.methods[findings.method[finding]];
const viewOf = (finding) => data.methods[methodOf(finding)].view; // one for all methods that look for copies

const findingsOf = Array.from({ length: PHOTOS }, () => []);
findings.photo.forEach((photo, finding) => findingsOf[photo].push(finding));

// -- groups of copies ---------------------------------------------------------------------------------------------

const groupKey = (finding) => (findings.group[finding] < 0 ? null : `${viewOf(finding)}:${findings.group[finding]}`);
const groups = new Map(); // key -> {view, own: Map(photo -> its findings in the group), photos: keeper first, keeper}
findings.photo.forEach((photo, finding) => {
  const key = groupKey(finding);
  if (key === null || viewOf(finding) === CLONE_AUDIT) return;
  if (!groups.has(key)) groups.set(key, { view: viewOf(finding), own: new Map() });
  const { own } = groups.get(key);
  if (!own.has(photo)) own.set(photo, []);
  own.get(photo).push(finding);
});
for (const group of groups.values()) {
  const all = [...group.own.values()].flat();
  const named = all.map((finding) => findings.related[finding]).filter((photo) => group.own.has(photo));
  const first = all.find((finding) => findings.keep[finding]) ?? all[0];
  group.keeper = named.length ? mostFrequent(named) : findings.photo[first];
  group.photos = [group.keeper, ...[...group.own.keys()].filter((photo) => photo !== group.keeper)];
}

function mostFrequent(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

const pairPlace = (a, b) => Math.min(a, b) * PHOTOS + Math.max(a, b);
const evidence = new Map(); // place of a pair -> rows of `pairs`
pairs.first.forEach((first, row) => {
  const place = pairPlace(first, pairs.second[row]);
  if (!evidence.has(place)) evidence.set(place, []);
  evidence.get(place).push(row);
});
const evidenceOf = (a, b) => evidence.get(pairPlace(a, b)) || [];

function pairsOf(group) {
  if (group.pairs) return group.pairs;
  const members = group.photos;
  const found = [];
  for (let i = 0; i < members.length; i++) {
    for (let j = i + 1; j < members.length; j++) {
      if (evidence.has(pairPlace(members[i], members[j]))) found.push([members[i], members[j]]);
    }
  }
  group.pairs = found;
  return found;
}

// -- decisions ----------------------------------------------------------------------------------------------------

const STORE = "siamclip.decisions." + data.run;
const explicit = new Map(); // photo -> keep
const refuted = new Map(); // "content content" -> [content, content]
let elsewhere = { photos: [], pairs: new Map() }; // imported, of photos that this page does not show
let unsaved = false;
let storageWorks = true;
let restoreError = ""; // why what this browser remembered could not be taken

function contentPair(a, b) {
  const [x, y] = [photos.content[a], photos.content[b]].sort();
  return x && y && x !== y ? [x, y] : null; // the same bytes are the same photo, whatever anyone says
}
const isRefuted = (a, b) => {
  const pair = contentPair(a, b);
  return pair !== null && refuted.has(pair.join(" "));
};

const proposedKeep = findingsOf.map((own) => own.every((finding) => findings.keep[finding] === 1));

// What is not a duplicate of its keeper is not removed for that any more.
function keeps(photo) {
  if (explicit.has(photo)) return explicit.get(photo);
  return findingsOf[photo].every((finding) => {
    if (findings.keep[finding]) return true;
    const group = groups.get(groupKey(finding));
    return group !== undefined && group.keeper !== photo && isRefuted(photo, group.keeper);
  });
}
const isDecided = (photo) => explicit.has(photo) || keeps(photo) !== proposedKeep[photo];

function decide(photo, keep) {
  if (keep === null) explicit.delete(photo);
  else explicit.set(photo, keep);
  changed();
}

function refute(list, yes) {
  for (const [a, b] of list) {
    const pair = contentPair(a, b);
    if (pair === null) continue;
    if (yes) refuted.set(pair.join(" "), pair);
    else refuted.delete(pair.join(" "));
  }
  changed();
}

// A group that is none: each member against the keeper, and the pairs that some method saw.
function groupPairs(group) {
  const others = group.photos.slice(1);
  return [...others.map((photo) => [group.keeper, photo]), ...pairsOf(group)].filter(([a, b]) => contentPair(a, b));
}
const isRefutedGroup = (group) => {
  const list = groupPairs(group);
  return list.length > 0 && list.every(([a, b]) => isRefuted(a, b));
};

function exported() {
  const decided = [];
  for (let photo = 0; photo < PHOTOS; photo++) {
    if (isDecided(photo)) decided.push({ path: photos.path[photo], content: photos.content[photo], keep: keeps(photo) });
  }
  const apart = [...refuted.values(), ...elsewhere.pairs.values()];
  return { format: 1, run: data.run, photos: [...decided, ...elsewhere.photos], not_duplicates: apart };
}

const decisionCount = () => {
  let number = refuted.size;
  for (let photo = 0; photo < PHOTOS; photo++) number += isDecided(photo);
  return number;
};

// Takes a decisions.json; throws Error where it is none. What is not of this page is kept for the next export.
function take(decisions) {
  if (decisions === null || typeof decisions !== "object" || decisions.format !== 1) throw new Error("format");
  if (!Array.isArray(decisions.photos) || !Array.isArray(decisions.not_duplicates)) throw new Error("photos, not_duplicates");
  for (const row of decisions.photos) {
    if (typeof row?.path !== "string" || typeof row.content !== "string" || typeof row.keep !== "boolean") throw new Error("photos");
  }
  for (const pair of decisions.not_duplicates) {
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((c) => typeof c === "string")) throw new Error("not_duplicates");
  }
  const places = new Map(photos.path.map((path, photo) => [path, photo]));
  const known = new Set(photos.content);
  const result = { taken: 0, changed: 0, elsewhere: 0 };
  for (const row of decisions.photos) {
    const photo = places.get(row.path);
    if (photo === undefined) {
      elsewhere.photos = [...elsewhere.photos.filter((other) => other.path !== row.path),
                          { path: row.path, content: row.content, keep: row.keep }];
      result.elsewhere++;
    } else if (photos.content[photo] !== row.content) result.changed++;
    else { explicit.set(photo, row.keep); result.taken++; }
  }
  for (const pair of decisions.not_duplicates) {
    const sorted = [...pair].sort();
    if (known.has(sorted[0]) && known.has(sorted[1])) { refuted.set(sorted.join(" "), sorted); result.taken++; }
    else { elsewhere.pairs.set(sorted.join(" "), sorted); result.elsewhere++; }
  }
  changed();
  return result;
}

function forgetAll() {
  explicit.clear();
  refuted.clear();
  elsewhere = { photos: [], pairs: new Map() };
  changed();
}

function changed() {
  unsaved = true;
  scheduleStore();
  document.dispatchEvent(new Event("decisions"));
}

// Only what was decided by hand: what follows from a pair is found again from the pair.
let storeTimer = 0;
function scheduleStore() {
  clearTimeout(storeTimer);
  storeTimer = setTimeout(store, 150);
}
function store() {
  clearTimeout(storeTimer);
  const own = [...explicit].map(([photo, keep]) => ({ path: photos.path[photo], content: photos.content[photo], keep }));
  const text = JSON.stringify({
    format: 1, run: data.run, unsaved, photos: [...own, ...elsewhere.photos],
    not_duplicates: [...refuted.values(), ...elsewhere.pairs.values()],
  });
  try { localStorage.setItem(STORE, text); storageWorks = true; } catch { storageWorks = false; }
}

function restore() {
  let text = null;
  try { text = localStorage.getItem(STORE); } catch { storageWorks = false; }
  if (text === null) return;
  try {
    const stored = JSON.parse(text);
    take(stored);
    unsaved = stored.unsaved === true;
  } catch (error) { restoreError = error.message; }
}
addEventListener("pagehide", store);

const thumbnailUrl = (photo) => imageUrl(photo, photos, data.base);
const fileUrl = (photo) => urlOfPath(photos.path[photo], data.base);
