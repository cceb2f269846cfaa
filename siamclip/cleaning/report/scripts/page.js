// What the pages of cleaning share: the language, names on the screen, elements. TEXTS is the page's own.
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

// -- images -------------------------------------------------------------------------------------------------------

const blocks = [...document.querySelectorAll("script.images")];
const parsedBlocks = new Map();
const IMAGES_A_BLOCK = 128; // as in page.py

// The URL of a photo's image: inside the page, or its file where the page holds none.
function imageUrl(photo, photos, base) {
  const place = photos.image[photo];
  if (place < 0) return urlOfPath(photos.path[photo], base);
  const number = Math.floor(place / IMAGES_A_BLOCK);
  if (!parsedBlocks.has(number)) parsedBlocks.set(number, JSON.parse(blocks[number].textContent));
  return "data:image/jpeg;base64," + parsedBlocks.get(number)[place % IMAGES_A_BLOCK];
}

// Bytes that are no UTF-8 come as lone surrogates U+DC80 to U+DCFF (Python's surrogateescape).
function urlOfPath(path, base) {
  const absolute = /^([A-Za-z]:|\/)/.test(path);
  const encoded = [...path].map((c) => {
    const code = c.codePointAt(0);
    if (code >= 0xdc80 && code <= 0xdcff) return "%" + (code - 0xdc00).toString(16);
    if (code >= 0xd800 && code <= 0xdfff) return "%EF%BF%BD";
    return c === "/" || (absolute && c === ":") ? c : encodeURIComponent(c);
  }).join("");
  return absolute ? "file://" + (encoded.startsWith("/") ? "" : "/") + encoded : base + encoded;
}
