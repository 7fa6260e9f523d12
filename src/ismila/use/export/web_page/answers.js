// Where the page's answers come from: the model in this folder, run by this browser.
export const where = "Photos never leave this device: they are judged here, in the browser.";
export const about = async () => ({ ...(await settings), feedback: false });
export const correct = () => Promise.reject(new Error("this page keeps nothing"));

const settings = fetch(new URL("model.json", import.meta.url)).then((answer) => answer.json());
settings.catch(() => {});  // `about` says it

const waiting = new Map();
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
worker.addEventListener("message", ({ data: { id, told, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error)); else resolve(told);
});
worker.addEventListener("error", () => {
  for (const { reject } of waiting.values()) reject(new Error("this browser is too old for it, or the page is incomplete"));
  waiting.clear();
});

let count = 0;
const asked = (photo) => new Promise((resolve, reject) => {
  waiting.set(++count, { resolve, reject });
  worker.postMessage({ id: count, photo });
});

const logit = (p) => { const q = Math.min(1 - 1e-7, Math.max(1e-7, p)); return Math.log(q / (1 - q)); };

// As learning/decision.py says it.
function verdict(p, { threshold, unsure, subject }) {
  if (Math.abs(logit(p) - logit(threshold)) < unsure) return "unsure";
  return p > threshold ? subject : `not ${subject}`;
}

// The subject is in a photo once at most. As learning/judgement.py says it.
function named(animals, isSubject, { subject, detector }) {
  return animals.map((animal, at) => ({ ...animal, name: isSubject && at === 0 ? subject : detector.other }));
}

export async function answer(photo) {
  const { probability, animals, heat, heatBox } = await asked(photo), known = await settings;
  const isSubject = probability >= known.threshold;
  return { probability, verdict: verdict(probability, known), is_subject: isSubject,
    animals: animals && named(animals, isSubject, known), heat: heat && URL.createObjectURL(heat), heat_box: heatBox };
}

navigator.serviceWorker?.register(new URL("service.js", import.meta.url)).catch(() => {});  // without it: online only
