// From a decoded photo to the image that the network gets: what photos/images.py does with Pillow, number for number.

const BITS = 22;  // Pillow's fixed point for 8-bit channels (its Resample.c)

// A JPEG of at least twice the size is halved (or 1/4, 1/8) first: Pillow lets the decoder do that.
export function reducedBy(width, height, size) {
  const scale = Math.min(Math.floor(width / size), Math.floor(height / size));
  return [8, 4, 2, 1].find((one) => scale >= one) ?? 1;
}

// Weights of the triangle filter for each of `size` outputs from the stretch [from, to) of a line of `length`.
export function triangle(length, from, to, size) {
  const scale = (to - from) / size, wide = Math.max(scale, 1);
  return Array.from({ length: size }, (_, at) => {
    const middle = from + (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(middle - wide + 0.5));
    const end = Math.min(length, Math.trunc(middle + wide + 0.5));
    const weights = [];
    for (let i = start; i < end; i++) weights.push(Math.max(0, 1 - Math.abs((i - middle + 0.5) / wide)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

const fixed = (filters) => filters.map(({ start, weights }) =>
  ({ start, weights: Int32Array.from(weights, (weight) => Math.floor(0.5 + weight * (1 << BITS))) }));

const clip = (sum) => Math.min(255, Math.max(0, sum >> BITS));

// The part of the photo that is looked at: all of it, or its middle square.
function box(width, height, fit) {
  const side = Math.min(width, height);
  if (fit !== "crop") return [0, 0, width, height];
  return [(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2];
}

// RGBA rows -> RGB rows, each the mean of `by` x `by` pixels.
function shrink(rgba, width, height, by) {
  const w = Math.ceil(width / by), h = Math.ceil(height / by), out = new Uint8Array(3 * w * h);
  for (let y = 0; y < h; y++) {
    const bottom = Math.min(height, (y + 1) * by);
    for (let x = 0; x < w; x++) {
      const right = Math.min(width, (x + 1) * by);
      let r = 0, g = 0, b = 0;
      for (let j = y * by; j < bottom; j++) {
        for (let i = 4 * (j * width + x * by), end = 4 * (j * width + right); i < end; i += 4) {
          r += rgba[i]; g += rgba[i + 1]; b += rgba[i + 2];
        }
      }
      const n = (bottom - y * by) * (right - x * by);
      out.set([r / n + 0.5, g / n + 0.5, b / n + 0.5], 3 * (y * w + x));
    }
  }
  return out;
}

const STRIP = 256;  // rows at once: a phone's canvas may hold 16 megapixels, its camera more

// `read(y, rows)` gives RGBA rows of a photo of `width` x `height`; returns [size, size, 3] in 0..255.
export function fit(read, width, height, spec, isJpeg) {
  const size = spec.size_px, by = isJpeg ? reducedBy(width, height, size) : 1;
  const w = Math.ceil(width / by), h = Math.ceil(height / by);
  const [left, top, right, bottom] = box(w, h, spec.fit);
  const across = fixed(triangle(w, left, right, size)), down = fixed(triangle(h, top, bottom, size));
  const narrow = new Uint8Array(3 * size * h);
  for (let y = 0; y < height; y += STRIP) {
    const rows = Math.min(STRIP, height - y), pixels = shrink(read(y, rows), width, rows, by);
    for (let j = 0; j < Math.ceil(rows / by); j++) {
      across.forEach(({ start, weights }, x) => {
        for (let c = 0; c < 3; c++) {
          let sum = 1 << (BITS - 1);
          for (let i = 0; i < weights.length; i++) sum += pixels[3 * (j * w + start + i) + c] * weights[i];
          narrow[3 * ((y / by + j) * size + x) + c] = clip(sum);
        }
      });
    }
  }
  const out = new Uint8Array(3 * size * size);
  down.forEach(({ start, weights }, y) => {
    for (let at = 0; at < 3 * size; at++) {
      let sum = 1 << (BITS - 1);
      for (let i = 0; i < weights.length; i++) sum += narrow[3 * size * (start + i) + at] * weights[i];
      out[3 * size * y + at] = clip(sum);
    }
  });
  return out;
}

// The image [size, size, 3] with its heat [h, w] over it, as RGBA; what evidence/heat.py does.
export function overlay(image, size, heat, h, w, { colours, strength }) {
  const peak = heat.reduce((a, b) => Math.max(a, b), 0), across = triangle(w, 0, w, size), down = triangle(h, 0, h, size);
  const out = new Uint8ClampedArray(4 * size * size).fill(255);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let hot = 0;
      down[y].weights.forEach((a, j) => across[x].weights.forEach((b, i) => {
        hot += a * b * heat[(down[y].start + j) * w + across[x].start + i];
      }));
      hot = peak > 1e-12 ? hot / peak : 0;
      const step = hot * (colours.length - 1), at = Math.min(Math.floor(step), colours.length - 2), share = step - at;
      for (let c = 0; c < 3; c++) {
        const colour = colours[at][c] * (1 - share) + colours[at + 1][c] * share;
        out[4 * (y * size + x) + c] = image[3 * (y * size + x) + c] * (1 - strength * hot) + colour * strength * hot;
      }
    }
  }
  return out;
}
