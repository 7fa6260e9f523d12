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

// Of one pet also why; of several `explain` says it of the one that is chosen.
export async function answer(photo) {
  const { subject } = await served();
  if (subject === undefined) return predicted(photo, "");
  const got = await predicted(photo, "heat=1&nearest=4");
  return { subjects: { [subject]: got }, animals: got.animals };
}

export const explain = async (photo, subject) =>
  (await predicted(photo, `heat=1&nearest=4&subject=${encodeURIComponent(subject)}`)).subjects[subject];

export const correct = (photo, label) => asked(`api/feedback?label=${encodeURIComponent(label)}`, send(photo));
