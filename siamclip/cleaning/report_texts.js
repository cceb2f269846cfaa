// Every text of the page in both languages. {name} is filled in. Reasons and notes come from the run, in English.
const TEXTS = {
  en: {
    language: "中文", title: "Cleaning report", overview: "Overview", allPhotos: "All photos with findings",
    created: "made {when}", run: "run {run}",
    cardPhotos: "photos", cardUnreadable: "unreadable", cardRemove: "to remove", cardGroups: "groups of copies",
    cardConflicts: "label conflicts", cardClones: "suspected cloned plates",
    proposed: "proposed: {n}",
    questioned: "Thresholds in question", questionedLead: "Look at these before you apply anything.",
    classes: "Photos of each class", classesLead: "Before, after what the run proposes, and with your decisions. Click a class to see its photos.",
    class_: "class", before: "before", after: "proposed", yours: "with your decisions", change: "change",
    onlyChanged: "only classes that change", noChange: "No class loses a photo.", emptyClass: "loses all its photos",
    flat: "The collection has no classes.", methods: "Methods", methodsLead: "What each method found. A photo can be found by several.",
    method: "method", sees: "sees", findings: "findings", removals: "proposed for removal", notes: "notes",
    settings: "Settings of this run", nothing: "Nothing found: there is nothing to decide.",
    noMatch: "Nothing matches the filters.", clearFilters: "Clear filters",
    search: "Search by path", classFilter: "Class", show: "Show", showAll: "everything",
    showUndecided: "only undecided", showRemoved: "only to remove", showKept: "only to keep", sort: "Sort",
    sortFound: "as found", sortUp: "score, lowest first", sortDown: "score, highest first", sortPath: "by path",
    page: "page {page} of {pages}", items: "{n} entries", previous: "previous page", next: "next page",
    keep: "keep", remove: "remove", undo: "back to the proposal", decided: "decided by you",
    keeper: "keeper", score: "score {score}", notDuplicates: "not duplicates",
    notDuplicateOfKeeper: "not a duplicate", areNotDuplicates: "none of these are duplicates",
    group: "group of {n}", allPairs: "all {n} pairs",
    inliers: "{n} matching points", distance: "distance {distance}",
    noneKept: "No photo of this group stays.", more: "show {n} more", betterLabel: "nearest photo of {label}",
    own: "in {label}", side: "group {n}: {count} photos", clone: "photos of {label}",
    unreadable: "cannot be read", missing: "The file cannot be shown here.",
    referenced: "{embedded} thumbnails are inside this page; {rest} more photos are shown from their own files in {root}, and only where these are at hand.",
    exportDecisions: "Export decisions", importDecisions: "Import", none: "no decisions yet",
    count: "{n} decided", unsaved: "not exported yet", exported: "Exported: python clean.py apply RUN --decisions decisions.json",
    imported: "{n} decisions read.", importedOther: "{n} are of photos that this report does not show; they stay in the export.",
    importedChanged: "{n} are of photos whose content has changed since; left out.",
    importedRun: "They were made for another run ({run}).", importFailed: "This is not a decisions file: {why}.",
    noStorage: "This browser does not remember decisions: export them before you close the page.",
    resetAll: "Forget all", resetSure: "Forget all {n} decisions?", confirmPage: "Accept proposals of this page",
    confirmed: "{n} photos accepted as proposed.", close: "close", openFile: "open the file",
    pairsOmitted: "{n} pairs between members of large groups are left out of this page; pairs.parquet has them.",
    keys: "Keys", keysText: "Arrow keys move between photos · K keep · R remove · U undo · D not a duplicate · Enter enlarges · , and . turn the page · / searches",
    enlargedKeys: "← → other photos of this entry · K keep · R remove · Esc closes",
    pairsWords: "A photo is removed by apply only; until then nothing changes on the disk.",
    anyMethod: "any", sortSmall: "smallest groups first", sortLarge: "largest groups first",
    morePairs: "{n} more pairs are not listed; the button above covers them.",
    morePhotos: "{n} more photos", moreClasses: "{n} more classes are not listed.",
    family_integrity: "Files", family_size: "Size", family_sharpness: "Sharpness", family_exposure: "Exposure",
    family_iqa: "Quality", family_duplicates: "Copies", family_strangers: "Strangers", family_labels: "Labels",
    family_: "Decisions",
  },
  zh: {
    language: "English", title: "清理报告", overview: "概览", allPhotos: "所有有问题的照片",
    created: "生成于 {when}", run: "运行 {run}",
    cardPhotos: "张照片", cardUnreadable: "张无法读取", cardRemove: "张将移除", cardGroups: "组重复照片",
    cardConflicts: "处标签冲突", cardClones: "个疑似套牌",
    proposed: "建议:{n}",
    questioned: "值得怀疑的阈值", questionedLead: "在执行 apply 之前请先看这里。",
    classes: "各类照片数", classesLead: "清理前、按建议清理后、按您的决定清理后。点击类别可查看其照片。",
    class_: "类别", before: "清理前", after: "按建议", yours: "按您的决定", change: "变化",
    onlyChanged: "只显示有变化的类别", noChange: "没有类别减少照片。", emptyClass: "将失去全部照片",
    flat: "该图库没有类别。", methods: "方法", methodsLead: "各方法的发现。同一张照片可能被多种方法发现。",
    method: "方法", sees: "检查内容", findings: "发现", removals: "建议移除", notes: "说明",
    settings: "本次运行的设置", nothing: "没有发现问题,无需决定。",
    noMatch: "没有符合筛选条件的内容。", clearFilters: "清除筛选",
    search: "按路径搜索", classFilter: "类别", show: "显示", showAll: "全部",
    showUndecided: "只看未决定的", showRemoved: "只看将移除的", showKept: "只看将保留的", sort: "排序",
    sortFound: "原顺序", sortUp: "分数从低到高", sortDown: "分数从高到低", sortPath: "按路径",
    page: "第 {page} 页,共 {pages} 页", items: "{n} 项", previous: "上一页", next: "下一页",
    keep: "保留", remove: "移除", undo: "恢复为建议", decided: "您已决定",
    keeper: "保留者", score: "分数 {score}", notDuplicates: "不是重复",
    notDuplicateOfKeeper: "不是重复", areNotDuplicates: "这些都不是重复照片",
    group: "{n} 张一组", allPairs: "全部 {n} 对",
    inliers: "{n} 个匹配点", distance: "距离 {distance}",
    noneKept: "这一组没有照片会保留。", more: "再显示 {n} 张", betterLabel: "{label} 中最近的照片",
    own: "位于 {label}", side: "第 {n} 组:{count} 张", clone: "{label} 的照片",
    unreadable: "无法读取", missing: "此处无法显示该文件。",
    referenced: "页面内含 {embedded} 张缩略图;另有 {rest} 张照片直接从 {root} 中的原文件显示,需要原文件在手边。",
    exportDecisions: "导出决定", importDecisions: "导入", none: "尚未做决定",
    count: "已决定 {n} 项", unsaved: "尚未导出", exported: "已导出:python clean.py apply RUN --decisions decisions.json",
    imported: "已读入 {n} 项决定。", importedOther: "其中 {n} 项的照片不在本报告中,导出时仍会保留。",
    importedChanged: "{n} 项的照片内容已改变,未采用。",
    importedRun: "这些决定来自另一次运行({run})。", importFailed: "这不是决定文件:{why}。",
    noStorage: "此浏览器不会记住决定:关闭页面前请先导出。",
    resetAll: "全部清除", resetSure: "清除全部 {n} 项决定?", confirmPage: "接受本页的建议",
    confirmed: "已按建议接受 {n} 张照片。", close: "关闭", openFile: "打开原文件",
    pairsOmitted: "大组成员之间的 {n} 对未放入本页;见 pairs.parquet。",
    keys: "按键", keysText: "方向键在照片间移动 · K 保留 · R 移除 · U 撤销 · D 不是重复 · Enter 放大 · , 和 . 翻页 · / 搜索",
    enlargedKeys: "← → 本项的其他照片 · K 保留 · R 移除 · Esc 关闭",
    pairsWords: "只有 apply 会移除照片;在此之前磁盘上没有任何改变。",
    anyMethod: "不限", sortSmall: "先看小组", sortLarge: "先看大组",
    morePairs: "还有 {n} 对未列出;上方按钮对它们同样有效。",
    morePhotos: "还有 {n} 张", moreClasses: "还有 {n} 个类别未列出。",
    family_integrity: "文件", family_size: "尺寸", family_sharpness: "清晰度", family_exposure: "曝光",
    family_iqa: "画质", family_duplicates: "重复", family_strangers: "异类", family_labels: "标签",
    family_: "决定",
  },
};

// Names of methods for people; a method that is not here is shown by its own name.
const METHOD_NAMES = {
  en: {
    duplicates: "Duplicates", label_conflict: "Label conflicts", wrong_label: "Wrong labels",
    cloned_plate: "Cloned plates", unreadable: "Unreadable", wrong_extension: "Wrong extension",
    too_small: "Too small", aspect_ratio: "Aspect ratio", object_area: "Object area", laplacian: "Blur (Laplacian)",
    fft_ratio: "Blur (FFT)", spectrum_entropy: "Blur (spectrum)", sobel: "Blur (Sobel)", canny: "Edges (Canny)",
    roberts: "Edges (Roberts)", prewitt: "Edges (Prewitt)", under_exposed: "Under-exposed",
    over_exposed: "Over-exposed", intensity: "Dark or light", low_contrast: "Low contrast", kmeans: "Strangers (K-Means)",
    dbscan: "Strangers (DBSCAN)", knn: "Strangers (k-NN)", iqa: "Quality (IQA)", animated: "Animated",
    alpha: "Transparency", colour_space: "Colour space", orientation: "Orientation", leak: "Leaks between splits",
    exact: "Exact copies", pixels: "Same pixels", semantic: "Same content", phash: "pHash", ahash: "aHash",
    dhash: "dHash", whash: "wHash", phash16: "pHash 16x16", ahash16: "aHash 16x16", dhash16: "dHash 16x16", whash16: "wHash 16x16",
  },
  zh: {
    duplicates: "重复照片", label_conflict: "标签冲突", wrong_label: "标签错误", cloned_plate: "疑似套牌",
    unreadable: "无法读取", wrong_extension: "扩展名错误", too_small: "尺寸过小", aspect_ratio: "长宽比",
    object_area: "目标面积", laplacian: "模糊(Laplacian)", fft_ratio: "模糊(FFT)", spectrum_entropy: "模糊(频谱)",
    sobel: "模糊(Sobel)", canny: "边缘(Canny)", roberts: "边缘(Roberts)", prewitt: "边缘(Prewitt)",
    under_exposed: "曝光不足", over_exposed: "曝光过度", intensity: "过暗或过亮", low_contrast: "对比度低",
    kmeans: "异类(K-Means)", dbscan: "异类(DBSCAN)", knn: "异类(k-NN)", iqa: "画质(IQA)", animated: "动图",
    alpha: "透明通道", colour_space: "色彩空间", orientation: "方向", leak: "数据集间泄漏",
    exact: "完全相同", pixels: "像素相同", semantic: "内容相同", phash: "pHash", ahash: "aHash",
    dhash: "dHash", whash: "wHash", phash16: "pHash 16x16", ahash16: "aHash 16x16", dhash16: "dHash 16x16", whash16: "wHash 16x16",
  },
};

const LANGUAGE_KEY = "siamclip.language";
let language = remembered(LANGUAGE_KEY) || (navigator.language.startsWith("zh") ? "zh" : "en");
if (!(language in TEXTS)) language = "en";

function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function t(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? values[name].toLocaleString(language) : String(values[name]));
}

function methodName(method) {
  return METHOD_NAMES[language][method] || method;
}

function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  try { localStorage.setItem(LANGUAGE_KEY, language); } catch { /* it then holds until the page is closed */ }
}

// A name as one line: whatever is not printable becomes its escape, as siamclip.errors.printable does.
function printable(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => {
    const code = c.codePointAt(0);
    if (c === "\n") return "\\n";
    if (c === "\t") return "\\t";
    if (c === "\r") return "\\r";
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    return code < 0x10000 ? "\\u" + code.toString(16).padStart(4, "0") : "\\U" + code.toString(16).padStart(8, "0");
  });
}

// An element; children are nodes or text, and text stays text.
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
