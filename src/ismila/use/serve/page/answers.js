// Where the page's answers come from: this server.
async function asked(address, options) {
  const answer = await fetch(address, options).catch(() => null);
  if (answer === null) throw new Error("The server is gone: start `ismila serve` again, then try again.");
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `The server said ${answer.status}`);
  return told;
}

const send = (photo) => ({ method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream" } });

export const about = () => asked("api");
export const where = "Photos go to the machine that serves this page, and are not kept.";
export const answer = async (photo) => (await asked("api/predict?heat=1&nearest=4", send(photo))).photos[0];
export const correct = (photo, label) => asked(`api/feedback?label=${encodeURIComponent(label)}`, send(photo));
