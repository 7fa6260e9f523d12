import { about, answer, correct, explain, where } from "./answers.js";

const find = (id) => document.getElementById(id);
const say = (text) => { find("live").textContent = text; };
const percent = (p) => `${(100 * p).toFixed(p > 0.001 && p < 0.999 ? 1 : 2)} %`;
let told = { subjects: { mila: {} }, feedback: false };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, act) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", () => act(made));
  return made;
}

const pets = () => Object.keys(told.subjects);
const isSeveral = () => pets().length > 1;
const title = (subject) => subject[0].toUpperCase() + subject.slice(1);
const listed = (names, last) => names.map(title).join(", ").replace(/, ([^,]*)$/, ` ${last} $1`);

// Who is in the photo or may be.
function words({ subjects }) {
  const saying = (what) => pets().filter((name) => subjects[name].verdict === what(name));
  const sure = saying((name) => name), doubtful = saying(() => "unsure");
  if (!isSeveral()) return sure.length ? `Yes, ${title(sure[0])}` : doubtful.length ? "Not sure" : `Not ${title(pets()[0])}`;
  const parts = [sure.length && `yes, ${listed(sure, "and")}`, doubtful.length && `perhaps ${listed(doubtful, "and")}`];
  return title(parts.filter(Boolean).join("; ") || "none of them");
}

const verdictClass = (verdict) => verdict === "unsure" ? "unsure" : verdict.startsWith("not ") ? "no" : "yes";

// Put something over the part [x0, y0, x1, y1] of the photo, each in [0, 1]. An attribute would be no allowed style.
function place(made, [x0, y0, x1, y1]) {
  Object.assign(made.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`,
    height: `${100 * (y1 - y0)}%` });
  return made;
}

const NEAR_EDGE = 0.12;  // a name does not fit between a box and an edge of the photo that is as near

// A box around an animal. One that is a pet, or may be `pet`, bears its name, with a question mark where that is not sure.
function boxed(animal, pet, isSure) {
  const [x0, y0, x1, y1] = animal.box;
  const text = pet ? `${title(pet)}${isSure ? "" : "?"} ${percent(animal.probability)}` : animal.name;
  const likely = pet || !isSeveral() ? ` ${title(pet || pets()[0])}` : "";
  const made = element("div", { class: "animal", title: `${percent(animal.probability)}${likely}` },
    element("span", { class: "name" }, text));
  made.classList.toggle("asked", Boolean(pet));
  made.classList.toggle("doubtful", !isSure);
  made.classList.toggle("inside", pet ? y0 < NEAR_EDGE : y1 > 1 - NEAR_EDGE);
  made.classList.toggle("right", x0 + x1 > 1);
  return place(made, animal.box);
}

function boxes({ animals, subjects }) {
  return animals.map((animal) => {
    // below its threshold a doubtful pet has no name to give: it is meant where it is as likely as anywhere
    const may = (name) => subjects[name].verdict === "unsure" && subjects[name].probability === animal.probability;
    const pet = animal.name in subjects ? animal.name : pets().find(may);
    return boxed(animal, pet, subjects[pet]?.verdict !== "unsure");
  });
}

// What a probability means: 93.3 % is a "no" where the answer is yes from 97.6 % on.
function meaning(name, { probability, verdict }) {
  const { threshold } = told.subjects[name];
  const from = `${title(name)} from ${percent(threshold)} on`;
  if (verdict === "unsure") return `Near the mark, so not sure: ${from}.`;
  if (verdict === name) return `Above the mark: ${from}.`;
  return probability < threshold ? `Below the mark, so no: ${from}.` : `Above the mark (${from}), but more so another pet.`;
}

// How probable a pet is, with a mark from where on the answer is yes.
function line(name, said) {
  const { probability } = said, { threshold } = told.subjects[name];
  const meter = element("meter", { min: 0, max: 1, low: threshold, high: threshold, optimum: 1, value: probability,
    "aria-label": `probability of ${title(name)}` });
  const mark = element("span", { class: "mark" });
  mark.style.left = `${100 * threshold}%`;
  const head = element("div", { class: "head" }, element("p", {}, `${percent(probability)} ${title(name)}`));
  return element("div", { class: "pet" }, head, element("div", { class: "bar" }, meter, mark),
    element("p", { class: "quiet" }, meaning(name, said)));
}

const keepRatio = (frame, image) => frame.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);

const canShow = ({ image }) => !image.complete || image.naturalWidth > 0;

// The heat over the photo where it belongs, or instead of a photo of a format that this browser can't show: then there
// is nothing to lay boxes over.
function showHeat(item, name, got, { heat, heat_box }) {
  const { image, frame, text } = item;
  const alt = `what speaks for ${title(name)}`;
  if (canShow(item)) {
    image.after(place(element("img", { class: "heat", src: heat, alt }), heat_box));
    return;
  }
  image.onerror = null;
  const what = got.animals?.length ? "The animal, cut out, with" : "With";
  text.prepend(element("p", { class: "quiet heat-words" }, `${what} ${alt}; this browser cannot show the photo.`));
  const shown = element("img", { class: "photo heat", src: heat, alt });
  shown.addEventListener("load", () => keepRatio(frame, shown));
  frame.replaceChildren(shown);
}

function showNear(item, nearest) {
  if (!nearest?.length) return;
  const near = element("div", { class: "near" });
  for (const one of nearest) {
    near.append(element("figure", {}, element("img", { src: one.src || "data:,", alt: "" }),
      element("figcaption", {}, `${one.kind} ${one.similarity.toFixed(2)}`)));
  }
  item.near.replaceChildren(element("p", { class: "quiet" }, "Training photos most like it:"), near);
}

// A button for each pet, which asks what speaks for it and shows that instead of another pet's. Only then: it takes the
// server longer than the answer.
function why(item, photo, got) {
  const known = {};
  async function choose(name) {
    try {
      known[name] ??= await explain(photo, name);
    } catch (error) { say(`No answer: ${error.message}`); return; }
    const isShown = item.chosen === name;
    item.frame.querySelector(".heat")?.remove();
    item.text.querySelector(".heat-words")?.remove();
    item.near.replaceChildren();
    item.chosen = isShown ? "" : name;
    if (isShown && !canShow(item)) unshowable();
    if (!isShown) {
      const { heat, nearest } = known[name];
      if (heat) showHeat(item, name, got, known[name]);
      showNear(item, nearest);
      say(heat || nearest?.length ? `${photo.name}: what speaks for ${title(name)}` : "This model cannot say why.");
    }
    for (const [other, made] of buttons) made.setAttribute("aria-pressed", other === item.chosen);
  }
  const text = isSeveral() ? "why?" : "show what speaks for it";
  const buttons = pets().map((name) => [name, button(text, async (made) => {
    if (made.ariaBusy === "true") return;
    made.ariaBusy = "true";
    await choose(name);
    made.ariaBusy = "false";
  })]);
  for (const [name, made] of buttons) {
    if (isSeveral()) made.setAttribute("aria-label", `why? what speaks for ${title(name)}`);
    made.setAttribute("aria-pressed", false);
  }
  const unshowable = () => {
    item.frame.replaceChildren(element("p", { class: "quiet" }, "This browser cannot show the photo."));
  };
  if (canShow(item)) item.image.onerror = unshowable; else unshowable();
  return buttons.map(([, made]) => made);
}

async function keep(photo, label, made, kept) {
  made.disabled = true;
  try {
    await correct(photo, label);
    made.textContent = kept;
    say(`${photo.name}: kept for the next training.`);
  } catch (error) { made.disabled = false; say(`Not written: ${error.message}`); }
}

function wrong(photo, got) {
  const [name] = pets(), isSubject = got.subjects[name].is_subject;
  const kept = `kept: ${isSubject ? "not " : ""}${title(name)}`;
  return button("that's wrong", (made) => keep(photo, isSubject ? `not_${name}` : name, made, kept));
}

// A photo gets one label: the pet it shows, another animal, or none.
function wrongOfSeveral(photo) {
  const labels = [...pets().map((name) => [name, title(name)]), ["pets/other", "another animal"],
    [`not_${pets()[0]}`, "no animal"]];
  const buttons = labels.map(([label, text]) => button(text, async (made) => {
    for (const one of buttons) one.textContent = one.dataset.text;
    await keep(photo, label, made, `kept: ${text}`);
    for (const one of buttons) one.disabled = one === made && made.disabled;
  }));
  for (const one of buttons) one.dataset.text = one.textContent;
  return element("details", {}, element("summary", {}, "that's wrong"),
    element("p", { class: "quiet" }, "It shows:"), element("div", { class: "actions" }, ...buttons));
}

function show(item, photo, got) {
  const { frame, text } = item, said = pets().map((name) => got.subjects[name]);
  const classes = said.map(({ verdict }) => verdictClass(verdict));
  item.className = ["yes", "unsure"].find((one) => classes.includes(one)) ?? "no";
  item.near = element("div");
  text.replaceChildren(element("p", { class: "verdict" }, words(got)), ...pets().map((name) => line(name, got.subjects[name])));
  if (got.animals?.length === 0) {
    text.append(element("p", { class: "quiet" }, "No animal seen; the whole photo was judged."));
  }
  if (got.animals) frame.append(...boxes(got));
  const actions = element("div", { class: "actions" });
  text.append(item.near, actions);
  const whys = why(item, photo, got), heads = item.text.querySelectorAll(".head");
  if (isSeveral()) whys.forEach((made, at) => heads[at].append(made)); else actions.append(...whys);
  if (told.feedback) {
    if (isSeveral()) text.append(wrongOfSeveral(photo)); else actions.append(wrong(photo, got));
  }
  const sure = pets().map((name) => isSeveral() ? `${title(name)} ${percent(got.subjects[name].probability)}`
    : percent(got.subjects[name].probability));
  say(`${photo.name}: ${[words(got), ...sure].join(", ")}`);
}

async function judge(item, photo) {
  item.className = "waiting";
  item.text.replaceChildren(element("p", { class: "quiet" }, "Looking …"));
  try {
    told = await about();
    show(item, photo, await answer(photo));
  } catch (error) {
    item.className = "failed";
    item.text.replaceChildren(element("p", { class: "verdict" }, "No answer"), element("p", {}, error.message),
      button("try again", () => judge(item, photo)));
    say(`${photo.name}: ${error.message}`);
  }
}

let last = Promise.resolve();
function add(photos) {
  for (const photo of photos) {
    const image = element("img", { class: "photo", alt: photo.name || "pasted photo", src: URL.createObjectURL(photo) });
    const frame = element("div", { class: "frame" }, image);
    image.addEventListener("load", () => keepRatio(frame, image));
    const text = element("div", { class: "words" }, element("p", { class: "quiet" }, "Waiting …"));
    const item = Object.assign(element("li", {}, element("div", { class: "stage" }, frame), text), { image, frame, text });
    find("photos").prepend(item);
    last = last.then(() => judge(item, photo));
  }
}

for (const id of ["choose", "camera"]) {
  find(id).addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
}
document.addEventListener("paste", (event) => {
  const photos = [...event.clipboardData.files];
  if (photos.length) add(photos); else say("There is no photo in the clipboard.");
});
document.addEventListener("dragover", (event) => { event.preventDefault(); find("drop").classList.add("over"); });
document.addEventListener("dragleave", () => find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  add(event.dataTransfer.files);
});

find("where").textContent = where;
try {
  told = await about();
  const asked = listed(pets(), "or");
  document.title = `Is it ${asked}?`;
  document.querySelector(".subject").textContent = asked;
} catch (error) { say(error.message); }
