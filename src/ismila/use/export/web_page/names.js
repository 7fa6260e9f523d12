// Which pet is which, and what that is called: what learning/judgement.py and learning/decision.py do. A pet is
// { subject, threshold }; probabilities are [pets][images].
const NEAREST = 1e-7;
const logit = (p) => { const q = Math.min(1 - NEAREST, Math.max(NEAREST, p)); return Math.log(q / (1 - q)); };

// A name for each image, empty where it is none of the pets; a pet is in a photo once at most.
export function assignNames(pets, probabilities) {
  const claims = pets.flatMap(({ subject, threshold }, pet) => probabilities[pet]
    .map((p, image) => ({ subject, p, image, pet, margin: logit(p) - logit(threshold) }))
    .filter(({ p }) => p >= threshold));
  claims.sort((a, b) => b.margin - a.margin || b.p - a.p || a.pet - b.pet || a.image - b.image);
  const names = probabilities[0].map(() => "");
  for (const { subject, image } of claims) {
    if (!names[image] && !names.includes(subject)) names[image] = subject;
  }
  return names;
}

// A pet's answer in words; one whose animal another pet got is not in the photo, whatever its probability.
export function verdict(p, { subject, threshold }, isNamed, unsure) {
  if (p >= threshold && !isNamed) return `not ${subject}`;
  if (Math.abs(logit(p) - logit(threshold)) < unsure) return "unsure";
  return p > threshold ? subject : `not ${subject}`;
}

// What is said of each pet in a photo: `image` is the one with its name, or the likeliest.
export function together(pets, probabilities, unsure) {
  const names = assignNames(pets, probabilities), subjects = {};
  pets.forEach((pet, at) => {
    const p = Math.max(...probabilities[at]), isNamed = names.includes(pet.subject);
    subjects[pet.subject] = { probability: p, is_subject: isNamed, verdict: verdict(p, pet, isNamed, unsure),
      image: isNamed ? names.indexOf(pet.subject) : probabilities[at].indexOf(p) };
  });
  return { names, subjects };
}

// The animals by name, the likeliest first; the probability of another animal is the highest of any pet.
export function named(animals, pets, probabilities, names, other) {
  return animals.map(({ box, kind }, at) => {
    const pet = pets.findIndex(({ subject }) => subject === names[at]);
    const probability = pet < 0 ? Math.max(...probabilities.map((of) => of[at])) : probabilities[pet][at];
    return { box, kind, name: names[at] || other, probability };
  }).sort((a, b) => b.probability - a.probability);
}
