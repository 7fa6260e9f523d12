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

function show(item, photo, got) {
  const { image, text } = item;
  item.className = got.verdict === "unsure" ? "unsure" : got.is_subject ? "yes" : "no";
  const meter = element("meter", { min: 0, max: 1, value: got.probability, "aria-label": `probability of ${name()}` });
  text.replaceChildren(element("p", { class: "verdict" }, words(got.verdict)),
    element("p", {}, `${percent(got.probability)} ${name()}`), meter);
  if (got.nearest?.length) {
    const near = element("div", { class: "near" });
    for (const one of got.nearest) {
      near.append(element("figure", {}, element("img", { src: one.src || "data:,", alt: "" }),
        element("figcaption", {}, `${one.kind} ${one.similarity.toFixed(2)}`)));
    }
    text.append(element("p", { class: "quiet" }, "Training photos most like it:"), near);
  }
  const actions = element("div", { class: "actions" });
  if (got.heat) {
    const plain = image.src;
    image.onerror = () => { image.onerror = null; image.src = got.heat; };  // a format that this browser can't show
    actions.append(button("show what speaks for it", (made) => {
      const on = made.getAttribute("aria-pressed") !== "true";
      made.setAttribute("aria-pressed", on);
      made.textContent = on ? "show the photo" : "show what speaks for it";
      image.src = on ? got.heat : plain;
    }));
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
    const text = element("div", { class: "words" }, element("p", { class: "quiet" }, "Waiting …"));
    const item = Object.assign(element("li", {}, image, text), { image, text });
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
