import { about, answer, correct, where } from "./answers.js";

const find = (id) => document.getElementById(id);
const say = (text) => { find("live").textContent = text; };
const percent = (p) => `${(100 * p).toFixed(p > 0.001 && p < 0.999 ? 1 : 2)} %`;
let told = { subject: "mila", feedback: false };

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

const name = () => told.subject[0].toUpperCase() + told.subject.slice(1);
const words = (verdict) => verdict === "unsure" ? "Not sure" : verdict === told.subject ? `Yes, ${name()}` : `Not ${name()}`;

// Put something over the part [x0, y0, x1, y1] of the photo, each in [0, 1]. An attribute would be no allowed style.
function place(made, [x0, y0, x1, y1]) {
  Object.assign(made.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`,
    height: `${100 * (y1 - y0)}%` });
  return made;
}

const NEAR_EDGE = 0.12;  // a name does not fit between a box and an edge of the photo that is as near

// A box around an animal. The likeliest one bears the subject's name, with a question mark where that is not sure.
function boxed(animal, isAsked, isSure) {
  const [x0, y0, x1, y1] = animal.box;
  const text = isAsked ? `${name()}${isSure ? "" : "?"} ${percent(animal.probability)}` : animal.name;
  const made = element("div", { class: "animal", title: `${percent(animal.probability)} ${name()}` },
    element("span", { class: "name" }, text));
  made.classList.toggle("asked", isAsked);
  made.classList.toggle("inside", isAsked ? y0 < NEAR_EDGE : y1 > 1 - NEAR_EDGE);
  made.classList.toggle("right", x0 + x1 > 1);
  return place(made, animal.box);
}

function boxes(got) {
  const isSure = got.verdict !== "unsure";
  return got.animals.map((animal, at) =>
    boxed(animal, animal.name === told.subject || (at === 0 && !isSure), isSure));
}

// How probable, with a mark from where on the answer is yes.
function bar(p) {
  const meter = element("meter", { min: 0, max: 1, value: p, "aria-label": `probability of ${name()}` });
  if (told.threshold === undefined) return [meter];
  const mark = element("span", { class: "mark" });
  mark.style.left = `${100 * told.threshold}%`;
  return [element("div", { class: "bar" }, meter, mark),
    element("p", { class: "quiet" }, `The mark: ${name()} from ${percent(told.threshold)} on.`)];
}

// The heat over the photo where it belongs, and the button that shows it.
function heated(frame, got) {
  const heat = place(element("img", { class: "heat", src: got.heat, alt: `what speaks for ${name()}` }), got.heat_box);
  heat.hidden = true;
  frame.querySelector(".photo").after(heat);
  return button("show what speaks for it", (made) => {
    heat.hidden = !heat.hidden;
    made.setAttribute("aria-pressed", !heat.hidden);
    made.textContent = heat.hidden ? "show what speaks for it" : "show the photo";
  });
}

// The heat instead of a photo of a format that this browser can't show: then there is nothing to lay boxes over.
function showHeatAlone(item, got) {
  item.image.onerror = null;
  item.image.src = got.heat;
  item.frame.replaceChildren(item.image);
  const what = got.animals?.length ? "The animal, cut out, with" : "With";
  item.text.prepend(element("p", { class: "quiet" }, `${what} what speaks for ${name()}; this browser cannot show the photo.`));
}

function show(item, photo, got) {
  const { image, frame, text } = item;
  item.className = got.verdict === "unsure" ? "unsure" : got.is_subject ? "yes" : "no";
  text.replaceChildren(element("p", { class: "verdict" }, words(got.verdict)),
    element("p", {}, `${percent(got.probability)} ${name()}`), ...bar(got.probability));
  if (got.animals?.length === 0) {
    text.append(element("p", { class: "quiet" }, "No animal seen; the whole photo was judged."));
  }
  if (got.animals) frame.append(...boxes(got));
  if (got.nearest?.length) {
    const near = element("div", { class: "near" });
    for (const one of got.nearest) {
      near.append(element("figure", {}, element("img", { src: one.src || "data:,", alt: "" }),
        element("figcaption", {}, `${one.kind} ${one.similarity.toFixed(2)}`)));
    }
    text.append(element("p", { class: "quiet" }, "Training photos most like it:"), near);
  }
  const actions = element("div", { class: "actions" });
  if (got.heat && image.complete && !image.naturalWidth) {
    showHeatAlone(item, got);
  } else if (got.heat) {
    const shown = heated(frame, got);
    actions.append(shown);
    image.onerror = () => { shown.remove(); showHeatAlone(item, got); };
  }
  if (told.feedback) {
    const right = got.is_subject ? `not_${told.subject}` : told.subject;
    actions.append(button("that's wrong", async (made) => {
      made.disabled = true;
      try {
        await correct(photo, right);
        made.textContent = `kept: ${right === told.subject ? name() : `not ${name()}`}`;
        say(`${photo.name}: kept for the next training.`);
      } catch (error) { made.disabled = false; say(`Not written: ${error.message}`); }
    }));
  }
  text.append(actions);
  say(`${photo.name}: ${words(got.verdict)}, ${percent(got.probability)}`);
}

async function judge(item, photo) {
  item.className = "waiting";
  item.text.replaceChildren(element("p", { class: "quiet" }, "Looking …"));
  try {
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
    image.addEventListener("load", () => frame.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight));
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
  document.title = `Is it ${name()}?`;
  document.querySelector(".subject").textContent = told.subject;
} catch (error) { say(error.message); }
