// A picture as a PNG file with the recipe that draws it again and the label that says a model made it, as the program itself writes them.
import { blake2b } from './draw.js';

const CRC = Uint32Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n; });
const utf8 = (text) => new TextEncoder().encode(text);
const escaped = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

function chunk(kind, body) {
  const data = new Uint8Array(12 + body.length), view = new DataView(data.buffer);
  view.setUint32(0, body.length);
  data.set(utf8(kind), 4);
  data.set(body, 8);
  view.setUint32(8 + body.length, crc(data.subarray(4, 8 + body.length)));
  return data;
}

/** PNG's tEXt holds Latin-1 and JSON can say the rest in ASCII. */
const ascii = (text) => text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The packet of provenance/label.py: its template and its label, for what `recipe` (JSON) made. */
export function xmp(template, aigc, recipe) {
  const id = [...blake2b(recipe, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const label = JSON.stringify({ ...aigc, ProduceID: id });
  return template.replace('%(aigc)s', () => escaped(label)).replace('%(recipe)s', () => escaped(recipe));
}

/** The pixels of `image` (ImageData) as a PNG (W3C PNG, 3rd edition) of `channels` 1, 3 or 4, losslessly, with the texts inside. */
export async function png(image, channels, recipe, packet) {
  const { width, height, data } = image;
  const rows = new Uint8Array(height * (1 + channels * width));  // each row begins with its filter: 0 is none
  for (let y = 0, to = 0; y < height; y++) {
    to++;
    for (let x = 0; x < width; x++) for (let c = 0; c < channels; c++) rows[to++] = data[4 * (y * width + x) + c];
  }
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, { 1: 0, 3: 2, 4: 6 }[channels], 0, 0, 0], 8);
  const packed = await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'))).arrayBuffer();
  return new Blob([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), chunk('IHDR', head), chunk('iTXt', utf8(`XML:com.adobe.xmp\0\0\0\0\0${packet}`)),
    chunk('tEXt', utf8(`aigc_demo\0${recipe}`)), chunk('IDAT', new Uint8Array(packed)), chunk('IEND', new Uint8Array(0)),
  ], { type: 'image/png' });
}

/** A recipe as the JSON text that goes into the file. */
export const text = (recipe) => ascii(JSON.stringify(recipe));
