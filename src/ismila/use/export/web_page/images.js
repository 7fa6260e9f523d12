// From a decoded photo to the image that the network gets: what photos/images.py does with Pillow, number for number.

const BITS = 22;  // Pillow's fixed point for 8-bit channels (its Resample.c)

// A JPEG of at least twice the size is halved (or 1/4, 1/8) first: Pillow lets the decoder do that.
export function reducedBy(width, height, size) {
  const scale = Math.min(Math.floor(width / size), Math.floor(height / size));
  return [8, 4, 2, 1].find((one) => scale >= one) ?? 1;
}

// Weights of the triangle filter for each of `size` outputs from the stretch [begin, end) of a line of `length`.
export function triangle(length, begin, end, size) {
  const from = Math.fround(begin);  // Pillow keeps a box in single precision
  const scale = Math.fround(Math.fround(end) - from) / size, wide = Math.max(scale, 1);
  return Array.from({ length: size }, (_, at) => {
    const middle = from + (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(middle - wide + 0.5));
    const stop = Math.min(length, Math.trunc(middle + wide + 0.5));
    const weights = [];
    for (let i = start; i < stop; i++) weights.push(Math.max(0, 1 - Math.abs((i - middle + 0.5) / wide)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

const fixed = (filters) => filters.map(({ start, weights }) =>
  ({ start, weights: Int32Array.from(weights, (weight) => Math.floor(0.5 + weight * (1 << BITS))) }));

const HALF = 1 << (BITS - 1);
const clip = (sum) => Math.min(255, Math.max(0, sum >> BITS));

// The part of the photo that is looked at where no animal is cut out, in pixels: all of it, or its middle square.
export function wholeBox({ width, height }, fit) {
  const side = Math.min(width, height);
  if (fit !== "crop") return [0, 0, width, height];
  return [(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2];
}

// RGBA rows -> RGB rows, each pixel the mean of `by` x `by`.
function shrink(rgba, width, height, by) {
  const w = Math.ceil(width / by), h = Math.ceil(height / by), out = new Uint8Array(3 * w * h);
  for (let y = 0, at = 0; y < h; y++) {
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
      out[at++] = r / n + 0.5; out[at++] = g / n + 0.5; out[at++] = b / n + 0.5;
    }
  }
  return out;
}

const STRIP = 256;  // rows at once: a phone's canvas may hold 16 megapixels, its camera more

// `read(y, rows)` gives RGBA rows of a photo of `width` x `height`; returns it as RGB { pixels, width, height },
// a large JPEG at a scale that still has `atLeast` pixels a side.
export function reduced(read, width, height, atLeast, isJpeg) {
  const by = isJpeg ? reducedBy(width, height, atLeast) : 1;
  const w = Math.ceil(width / by), h = Math.ceil(height / by), pixels = new Uint8Array(3 * w * h);
  for (let y = 0; y < height; y += STRIP) {
    const rows = Math.min(STRIP, height - y);
    pixels.set(shrink(read(y, rows), width, rows, by), 3 * w * (y / by));
  }
  return { pixels, width: w, height: h };
}

// RGB rows of `width` pixels -> rows of as many pixels as there are filters.
function resizeRows(pixels, width, filters) {
  const height = pixels.length / (3 * width), out = new Uint8Array(3 * filters.length * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (const { start, weights } of filters) {
      let r = HALF, g = HALF, b = HALF, from = 3 * (y * width + start);
      for (let i = 0; i < weights.length; i++) {
        r += pixels[from++] * weights[i]; g += pixels[from++] * weights[i]; b += pixels[from++] * weights[i];
      }
      out[at++] = clip(r); out[at++] = clip(g); out[at++] = clip(b);
    }
  }
  return out;
}

// RGB rows of `width` pixels -> as many rows as there are filters.
function resizeColumns(pixels, width, filters) {
  const line = 3 * width, out = new Uint8Array(line * filters.length);
  filters.forEach(({ start, weights }, y) => {
    for (let at = 0; at < line; at++) {
      let sum = HALF;
      for (let i = 0; i < weights.length; i++) sum += pixels[line * (start + i) + at] * weights[i];
      out[line * y + at] = clip(sum);
    }
  });
  return out;
}

// What a box in pixels, fractions of them too, shows of a photo; returns [size, size, 3] in 0..255.
export function fit({ pixels, width, height }, size, [left, top, right, bottom]) {
  const across = fixed(triangle(width, left, right, size)), down = fixed(triangle(height, top, bottom, size));
  // Pillow 13 takes the columns of a tall photo first, which rounds otherwise; by trial, its rule is this
  if (height > 2 * Math.max(width, size) - size) return resizeRows(resizeColumns(pixels, width, down), width, across);
  const first = down[0].start, end = down[size - 1].start + down[size - 1].weights.length;
  const used = pixels.subarray(3 * width * first, 3 * width * end);
  const below = down.map(({ start, weights }) => ({ start: start - first, weights }));
  return resizeColumns(resizeRows(used, width, across), size, below);
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
