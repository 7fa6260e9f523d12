// Where the page's answers come from: this server. It says less where it serves one pet: here both become alike.
async function asked(address, options) {
  const answer = await fetch(address, options).catch(() => null);
  if (answer === null) throw new Error("The server is gone: start `ismila serve` again, then try again.");
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `The server said ${answer.status}`);
  return told;
}

const send = (photo) => ({ method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream" } });

export const where = "Photos go to the machine that serves this page, and are not kept.";

let known;
const served = () => known ??= asked("api").catch((error) => { known = undefined; throw error; });

export async function about() {
  const told = await served();
  return told.subjects ? told : { ...told, subjects: { [told.subject]: { threshold: told.threshold } } };
}

const predicted = async (photo, query) => (await asked(`api/predict?${query}`, send(photo))).photos[0];

export async function answer(photo) {
  const { subject } = await served();
  const got = await predicted(photo, "");
  return subject === undefined ? got : { subjects: { [subject]: got }, animals: got.animals };
}

// What speaks for a pet, and the training photos most like it: asked for when a person wants to know.
export async function explain(photo, subject) {
  const isOnly = (await served()).subject !== undefined;
  const got = await predicted(photo, `heat=1&nearest=4${isOnly ? "" : `&subject=${encodeURIComponent(subject)}`}`);
  return isOnly ? got : got.subjects[subject];
}

export const correct = (photo, label) => asked(`api/feedback?label=${encodeURIComponent(label)}`, send(photo));
