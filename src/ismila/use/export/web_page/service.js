// Keeps the page, so that it opens without a network. VERSION comes from the content of all files: a new export is
// fetched beside the old one and takes its place when the last window of the old one has closed.
const VERSION = "@VERSION@";
const FILES = ["@FILES@"];
const ours = `ismila ${self.registration.scope} `;  // another export may live on the same host
const name = ours + VERSION;

self.addEventListener("install", (event) => {
  const files = FILES.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => {
  const old = (names) => names.filter((one) => one.startsWith(ours) && one !== name);
  event.waitUntil(caches.keys().then((names) => Promise.all(old(names).map((one) => caches.delete(one)))));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const asked = event.request.mode === "navigate" ? "./" : event.request;
  event.respondWith(caches.open(name).then((cache) => cache.match(asked, { ignoreSearch: true }))
    .then((found) => found ?? fetch(event.request)));
});
