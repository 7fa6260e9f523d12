// Where the page's answers come from: the model in this folder, run by this browser.
export const where = "Photos never leave this device: they are judged here, in the browser.";
export async function about() {
  const known = (await settings).subjects.map(({ subject, threshold }) => [subject, { threshold }]);
  return { subjects: Object.fromEntries(known), feedback: false };
}
export const correct = () => Promise.reject(new Error("this page keeps nothing"));

const settings = fetch(new URL("model.json", import.meta.url)).then((answer) => answer.json());
settings.catch(() => {});  // `about` says it

const waiting = new Map();
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
worker.addEventListener("message", ({ data: { id, told, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) { reject(new Error(error)); return; }
  for (const one of Object.values(told.subjects)) one.heat &&= URL.createObjectURL(one.heat);
  resolve(told);
});
worker.addEventListener("error", () => {
  for (const { reject } of waiting.values()) reject(new Error("this browser is too old for it, or the page is incomplete"));
  waiting.clear();
});

let count = 0;
const asked = (photo, heatOf) => new Promise((resolve, reject) => {
  waiting.set(++count, { resolve, reject });
  worker.postMessage({ id: count, photo, heatOf });
});

export const answer = (photo) => asked(photo, "");
export const explain = async (photo, subject) => (await asked(photo, subject)).subjects[subject];

navigator.serviceWorker?.register(new URL("service.js", import.meta.url)).catch(() => {});  // without it: online only
