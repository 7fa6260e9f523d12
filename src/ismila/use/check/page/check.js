// The page of `ismila check` and `ismila scan --review`. window.ALBUM is there in the still page; the served one asks for
// it and may write.
const still = window.ALBUM !== undefined;
const album = still ? window.ALBUM : await (await fetch("album.json")).json();
const isScan = album.threshold !== null;  // photos that a scan found, none of which is in the album yet
const command = isScan ? "ismila scan --review" : "ismila check --serve";
const names = { label: "probable label errors", duplicate: "near-duplicates",
  animal: "which animal?", far: "far away", blurred: "blurred", tiny: "small", unreadable: "unreadable",
  found: "found", doubtful: "doubtful", confusion: "likely confusions" };
const CHECK_KEYS = [["m", album.subject], ["n", `not ${album.subject}`], ["p", "other animal"], ["c", "close-up or not"],
  ["x", "drop"]];
const KINDS = { d: "dog", c: "cat" };  // that have a key of their own
const SCAN_KEYS = [["m", album.subject], ["n", `not ${album.subject}`],
  ...Object.entries(KINDS).filter(([, kind]) => album.kinds.includes(kind)), ["p", "other animal"], ["x", "leave it out"]];
const keys = isScan ? SCAN_KEYS : CHECK_KEYS;
const find = (id) => document.getElementById(id);
const list = find("photos");
const say = (text) => { find("live").textContent = text; };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const word = (label) => label === album.subject ? album.subject : label === `not_${album.subject}`
  ? `not ${album.subject}` : label === "drop" ? isScan ? "left out" : "dropped" : label.replace("pets/", "");
const percent = (p) => `${(100 * p).toFixed(p > 0.001 && p < 0.999 ? 1 : 2)} %`;
const shown = (photo) => photo.label === "subject" ? album.subject : photo.label === "things"
  ? `not ${album.subject}` : photo.kind;

function card(photo, at) {
  const image = element("img", { alt: "", loading: "lazy", draggable: "false", src: source(photo, false) });
  const frame = element("div", { class: "frame" }, image);
  image.addEventListener("load", () => {
    if (image.naturalHeight) frame.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
  });
  const now = element("p", { class: "now" });
  const about = isScan ? photo.path : `${photo.path} · ${shown(photo) || "no label"}`;
  const words = element("div", { class: "words" }, element("p", { class: "reason" }, reason(photo)),
    ...isScan ? [bar(photo.probability)] : [], element("p", { class: "path" }, about), now);
  const item = element("li", { tabindex: at === 0 ? "0" : "-1", "aria-label": `${photo.path}: ${reason(photo)}` },
    element("div", { class: "picture" }, frame), words);
  Object.assign(item, { photo, now, frame, image, said: [] });
  if (!still) item.append(buttons(item));
  drawBoxes(item);
  if (!still && mayHaveBox(photo)) listenToDrags(item);
  item.addEventListener("focus", () => {
    for (const other of list.children) other.tabIndex = other === item ? 0 : -1;
  });
  return item;
}

const source = (photo, large) => still ? photo.src || "data:,"
  : `photo?path=${encodeURIComponent(photo.path)}${large ? "&large=true" : ""}`;
// Where she is can be said of photos of hers, and of those that may be.
const mayHaveBox = (photo) => isScan || photo.label === "subject";

// What a probability means: 93.3 % is a "no" where the threshold is higher.
function reason(photo) {
  if (!isScan) return photo.reason;
  const [p, from] = [percent(photo.probability), percent(album.threshold)];
  return { found: `${p}: found, ${album.subject} from ${from} on`,
    doubtful: `${p}: doubtful, so near to the ${from} from which it is ${album.subject}`,
    confusion: `${p}: not ${album.subject}, which it is from ${from} on` }[photo.sort];
}

// The probability, with a mark at the threshold.
function bar(probability) {
  const mark = element("span", { class: "mark" });
  mark.style.left = `${100 * album.threshold}%`;
  return element("div", { class: "bar" }, element("meter", { min: 0, max: 1, low: album.threshold,
    high: album.threshold, optimum: 1, value: probability, "aria-label": `probability of ${album.subject}` }), mark);
}

function buttons(item) {
  const { photo } = item;
  const own = [...keys];
  if (mayHaveBox(photo) && (isScan || photo.sort === "animal" || photo.boxes.length > 1)) {
    if (photo.boxes.length > 1) own.push(...photo.boxes.map((_, at) => [`${at + 1}`, `animal ${at + 1}`]));
    own.push(["w", "whole photo"], ["b", "draw a box"]);
  }
  const row = element("div", { class: "buttons" });
  for (const [key, text] of own) {
    const button = element("button", { type: "button", tabindex: "-1" }, text);
    button.addEventListener("click", () => press(item, key));
    row.append(button);
  }
  return row;
}

// What was said last of a column, since the page is open.
const latest = (item, column) => (isScan ? item.said.slice(-1) : item.said).findLast((change) => column in change)?.[column];

// Which animal is taken, and the box that is none of them.
function taken(item) {
  const { photo } = item;
  const box = latest(item, "box");
  if (box === undefined && photo.chosen !== null) return { chosen: photo.chosen };
  const text = box ?? photo.box;
  const chosen = photo.boxes.indexOf(text);
  return chosen >= 0 ? { chosen } : { own: text === "none" ? "" : text };
}

const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

function place(made, [x0, y0, x1, y1]) {
  for (const [side, value] of [["left", x0], ["top", y0], ["width", x1 - x0], ["height", y1 - y0]])
    made.style[side] = `${value * 100}%`;
}

function drawBoxes(item) {
  for (const old of item.frame.querySelectorAll(".box")) old.remove();
  if (!mayHaveBox(item.photo)) return;
  const { chosen, own } = taken(item);
  const boxes = item.photo.boxes.map((text, at) => [text.split(" ").map(Number), `${at + 1}`, at === chosen]);
  if (own) boxes.push([own.split(" ").map(Number), "", true]);
  boxes.sort(([a], [b]) => area(b) - area(a));  // a small one stays within reach
  for (const [box, number, isTaken] of boxes) {
    const about = `animal ${number || "in a box of yours"}${isTaken ? `, taken for ${album.subject}` : ""}`;
    const made = number ? element("button", { type: "button", tabindex: "-1", "aria-label": about },
      element("span", {}, number)) : element("div");
    made.title = about;
    made.className = isTaken ? "box taken" : "box";
    place(made, box);
    if (number) made.addEventListener("click", () => { if (!item.drew) press(item, number); });
    item.frame.append(made);
  }
}

function listenToDrags(item) {
  const { frame } = item;
  let from = null;
  let made = null;
  const at = (event) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height].map((one) => Math.min(Math.max(one, 0), 1));
  };
  const drawn = (event) => {
    const to = at(event);
    return [0, 1].map((axis) => Math.min(from[axis], to[axis]))
      .concat([0, 1].map((axis) => Math.max(from[axis], to[axis])));
  };
  const end = () => { made?.remove(); from = made = null; };
  frame.addEventListener("pointerdown", (event) => {
    // a finger that moves over a small picture scrolls the page
    if (event.button === 0 && (event.pointerType !== "touch" || item.classList.contains("large"))) from = at(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (from === null) return;
    if (made === null && Math.sqrt(area(drawn(event))) * frame.clientWidth < 8) return;  // a click with a shaking hand
    if (made === null) {
      made = element("div", { class: "box taken" });
      frame.append(made);
      frame.setPointerCapture(event.pointerId);
    }
    place(made, drawn(event));
  });
  frame.addEventListener("pointerup", async (event) => {
    const box = made === null ? null : drawn(event);
    end();
    if (box === null) return;
    item.drew = true;  // what follows is no click on the animal below
    setTimeout(() => { item.drew = false; });
    await correct(item, { box: box.map((side) => Number(side.toFixed(4))).join(" ") });
    item.focus({ preventScroll: true });
  });
  frame.addEventListener("pointercancel", end);
}

function enlarge(item) {
  item.image.src = source(item.photo, item.classList.toggle("large"));
  item.focus();
  item.scrollIntoView({ block: item.classList.contains("large") ? "start" : "nearest" });
  if (item.classList.contains("large")) say(`Draw a box around ${album.subject}; b makes it small again.`);
}

const visible = () => [...list.children].filter((item) => !item.hidden);

function move(from, step) {
  const items = visible();
  const to = items[items.indexOf(from) + step];
  if (to) { to.focus(); to.scrollIntoView({ block: "nearest" }); }
}

async function post(where, body) {
  const answer = await fetch(where, { method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body) }).catch(() => null);
  if (answer === null) { say(`The server is gone: start \`${command}\` again. Nothing was lost.`); return null; }
  const told = await answer.json();
  if (!answer.ok) { say(`Not written: ${told.error ?? answer.status}`); return null; }
  return told;
}

// A key, or its button.
async function press(item, key) {
  const box = key === "w" ? "none" : item.photo.boxes[key - 1];
  if ("w123456789".includes(key)) {
    if (!mayHaveBox(item.photo) || box === undefined) return;
    if (still) { say(lineFor(item.photo, box)); return; }
  }
  if (key === "b") { if (mayHaveBox(item.photo)) enlarge(item); return; }
  const kind = isScan && KINDS[key] ? KINDS[key] : find("kind").value;
  const label = { m: album.subject, n: `not_${album.subject}`, p: `pets/${kind}`, x: "drop",
    ...isScan ? { d: `pets/${kind}`, c: `pets/${kind}` } : {} }[key];
  const change = key === "c" && !isScan ? { closeup: !(latest(item, "closeup") ?? item.photo.closeup ?? false) }
    : label ? { label } : { box };
  if (await correct(item, change)) next(item);
}

// Of what a scan found, the next photo is the next that nobody has answered.
function next(item) {
  const items = visible();
  const open = items.slice(items.indexOf(item) + 1).find((other) => !isScan || !other.said.length);
  if (open) { open.focus(); open.scrollIntoView({ block: "nearest" }); } else if (isScan) sayWhatIsLeft();
}

async function correct(item, change) {
  if (isScan && change.box !== undefined) change.label = album.subject;  // whoever says where she is says that she is
  if (await post("correction", { path: item.photo.path, ...change }) === null) return false;
  item.said.push(change);
  show(item);
  say(`${item.photo.path}: ${inWords(item, change)}`);
  countAnswers();
  return true;
}

const open = () => [...list.children].filter((item) => !item.said.length).length;

function countAnswers() {
  if (isScan) find("summary").textContent = scanSummary();
}

function sayWhatIsLeft() {
  say(open() ? `${open()} photos have no answer yet.` : "All answered. Ctrl-C in the terminal ends it and says how to train again.");
}

function inWords(item, { label, closeup, box }) {
  const at = item.photo.boxes.indexOf(box);
  const where = box === undefined ? "" : box === "none" ? "the whole photo" : at < 0 ? "the box that was drawn" : `animal ${at + 1}`;
  if (label !== undefined) return where ? `${word(label)}, ${where}` : word(label);
  return closeup === undefined ? where : closeup ? "close-up" : "not a close-up";
}

// What stands in labels.csv now, as far as it was said here.
function show(item) {
  // of what a scan found, each answer takes the place of the one before
  const said = isScan ? item.said.slice(-1) : item.said;
  const columns = ["label", "closeup", "box"].filter((column) => said.some((change) => column in change));
  const words = columns.map((column) => inWords(item, { [column]: latest(item, column) }));
  item.now.textContent = words.length ? `now: ${words.join(", ")}` : "";
  item.classList.toggle("settled", words.length > 0);
  drawBoxes(item);
}

const quoted = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const lineFor = (photo, box) => `A line for labels.csv (path,label,closeup,box,note): ${quoted(photo.path)},,,${box},`;

async function undo() {
  const told = await post("undo", {});
  if (told === null) return;
  if (told.path === null) { say("Nothing to undo."); return; }
  const item = [...list.children].find((one) => one.photo.path === told.path);
  item.said.pop();
  show(item);
  item.hidden = false;
  item.focus();
  countAnswers();
  say(`${told.path}: undone`);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
  const current = document.activeElement?.closest?.("li") ?? visible()[0];
  const steps = { j: 1, ArrowRight: 1, ArrowDown: 1, k: -1, ArrowLeft: -1, ArrowUp: -1 };
  if (event.key in steps && current) { event.preventDefault(); move(current, steps[event.key]); }
  else if (!still && event.key === "u") undo();
  else if (current && (still ? "w123456789" : `${keys.map(([key]) => key).join("")}bw123456789`).includes(event.key)
    && event.key.length === 1)
    press(current, event.key);
});

const counts = {};
for (const photo of album.photos) counts[photo.sort] = (counts[photo.sort] ?? 0) + 1;
find("sort").append(element("option", { value: "" }, `everything (${album.photos.length})`),
  ...Object.keys(counts).map((sort) => element("option", { value: sort }, `${names[sort]} (${counts[sort]})`)));
find("sort").addEventListener("change", (event) => {
  for (const item of list.children) item.hidden = event.target.value !== "" && item.photo.sort !== event.target.value;
});
find("kind").append(...album.kinds.map((kind) => element("option", { value: kind }, kind)));
if (isScan) find("kind").value = "other";
const key = (letter) => element("kbd", {}, letter);
const explained = [...keys.map(([letter, text]) => [[letter], text]), [["1", "2"], `… that animal is ${album.subject}`],
  [["w"], "the whole photo"], [["b"], "larger, to draw a box"], [["u"], "undo"], [["j", "k"], "next, previous"]];
find("keys").append(...explained.flatMap(([letters, text]) =>
  [element("span", {}, ...letters.flatMap((letter) => [key(letter), " "]), text), " "]));

function scanSummary() {
  if (!album.photos.length) return `Nothing new in ${album.root} to ask about.`;
  const answered = album.photos.length - open();
  return `${answered} of ${album.photos.length} photos of ${album.root} answered: is it ${album.subject}? What you say is kept at `
    + "once; photos join the album by link, and the next training uses them.";
}

function checkSummary() {
  if (!album.photos.length) return `Nothing in ${album.root} looks wrong.`;
  return `${album.photos.length} photos of ${album.root} look wrong, the worst first.`
    + (still ? " `ismila check --serve` settles them; here a click on an animal gives its line for labels.csv."
      : " What you settle is written to labels.csv at once.");
}

if (isScan) find("title").textContent = document.title = `Is it ${album.subject[0].toUpperCase()}${album.subject.slice(1)}?`;
list.setAttribute("aria-label", isScan ? "Photos that were found" : "Photos that look wrong, the worst first");
find("keys").hidden = find("kindlabel").hidden = find("undo").hidden = still;
find("undo").addEventListener("click", undo);
list.append(...album.photos.map(card));
find("summary").textContent = isScan ? scanSummary() : checkSummary();
if (!still) list.firstElementChild?.focus();
