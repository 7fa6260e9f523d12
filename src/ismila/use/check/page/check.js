// The page of `ismila check`. window.ALBUM is there in the still page; the served one asks for it and may write.
const still = window.ALBUM !== undefined;
const album = still ? window.ALBUM : await (await fetch("album.json")).json();
const names = { label: "probable label errors", duplicate: "near-duplicates", far: "far away", blurred: "blurred",
  tiny: "small", unreadable: "unreadable" };
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
  ? `not ${album.subject}` : label === "drop" ? "dropped" : label.replace("pets/", "");
const shown = (photo) => photo.label === "subject" ? album.subject : photo.label === "things"
  ? `not ${album.subject}` : photo.kind;

function card(photo, at) {
  const image = element("img", { alt: "", loading: "lazy",
    src: still ? photo.src || "data:," : `photo?path=${encodeURIComponent(photo.path)}` });
  const now = element("p", { class: "now" });
  const words = element("div", { class: "words" }, element("p", { class: "reason" }, photo.reason),
    element("p", { class: "path" }, `${photo.path} · ${shown(photo) || "no label"}`), now);
  const item = element("li", { tabindex: at === 0 ? "0" : "-1", "aria-label": `${photo.path}: ${photo.reason}` },
    image, words);
  Object.assign(item, { photo, now });
  if (!still) {
    const buttons = element("div", { class: "buttons" });
    for (const [key, text] of [["m", album.subject], ["n", `not ${album.subject}`], ["p", "other animal"],
      ["c", "close-up or not"], ["x", "drop"]]) {
      const button = element("button", { type: "button", tabindex: "-1" }, text);
      button.addEventListener("click", () => act(item, key));
      buttons.append(button);
    }
    item.append(buttons);
  }
  item.addEventListener("focus", () => {
    for (const other of list.children) other.tabIndex = other === item ? 0 : -1;
  });
  return item;
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
  if (answer === null) { say("The server is gone: start `ismila check --serve` again. Nothing was lost."); return null; }
  const told = await answer.json();
  if (!answer.ok) { say(`Not written: ${told.error ?? answer.status}`); return null; }
  return told;
}

async function act(item, key) {
  const photo = item.photo;
  const label = { m: album.subject, n: `not_${album.subject}`, p: `pets/${find("kind").value}`, x: "drop" }[key];
  const body = { path: photo.path };
  if (key === "c") body.closeup = !(item.closeup ?? photo.closeup ?? false);
  else body.label = label;
  if (await post("correction", body) === null) return;
  if (key === "c") item.closeup = body.closeup;
  const text = key === "c" ? (body.closeup ? "close-up" : "not a close-up") : word(label);
  item.now.textContent = `now: ${text}`;
  item.classList.add("settled");
  say(`${photo.path}: ${text}`);
  move(item, 1);
}

async function undo() {
  const told = await post("undo", {});
  if (told === null) return;
  if (told.path === null) { say("Nothing to undo."); return; }
  const item = [...list.children].find((one) => one.photo.path === told.path);
  item.now.textContent = "";
  item.closeup = undefined;
  item.classList.remove("settled");
  item.hidden = false;
  item.focus();
  say(`${told.path}: undone`);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
  const current = document.activeElement?.closest?.("li") ?? visible()[0];
  const steps = { j: 1, ArrowRight: 1, ArrowDown: 1, k: -1, ArrowLeft: -1, ArrowUp: -1 };
  if (event.key in steps && current) { event.preventDefault(); move(current, steps[event.key]); }
  else if (!still && event.key === "u") undo();
  else if (!still && current && "mnpcx".includes(event.key) && event.key.length === 1) act(current, event.key);
});

const counts = {};
for (const photo of album.photos) counts[photo.sort] = (counts[photo.sort] ?? 0) + 1;
find("sort").append(element("option", { value: "" }, `everything (${album.photos.length})`),
  ...Object.keys(counts).map((sort) => element("option", { value: sort }, `${names[sort]} (${counts[sort]})`)));
find("sort").addEventListener("change", (event) => {
  for (const item of list.children) item.hidden = event.target.value !== "" && item.photo.sort !== event.target.value;
});
find("kind").append(...album.kinds.map((kind) => element("option", { value: kind }, kind)));
for (const span of document.querySelectorAll(".subject")) span.textContent = album.subject;
find("summary").textContent = album.photos.length === 0 ? `Nothing in ${album.root} looks wrong.`
  : `${album.photos.length} photos of ${album.root} look wrong, the worst first.`
    + (still ? " `ismila check --serve` settles them." : " What you settle is written to labels.csv at once.");
find("keys").hidden = find("kindlabel").hidden = still;
list.append(...album.photos.map(card));
if (!still) list.firstElementChild?.focus();
