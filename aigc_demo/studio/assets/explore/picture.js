// -- the picture: pixels onto a canvas

function decode(picture) {
  const { width, height, channels } = picture;
  const bytes = Uint8Array.from(atob(picture.raw), (c) => c.charCodeAt(0));
  const image = new ImageData(width, height), colours = channels === 1 && about.palette.length ? about.palette : null;
  for (let i = 0, n = width * height; i < n; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = colours ? colours[bytes[i]][c] : bytes[channels * i + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = channels === 4 ? bytes[4 * i + 3] : 255;
  }
  return image;
}

function lay(canvas, image) {
  const { width, height } = image;
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

function paint(canvas, picture) {
  canvas.classList.toggle('clear', picture.channels === 4);
  lay(canvas, decode(picture));
}

const hero = $('.hero');

function show(picture, of) {
  paint(hero, picture);
  hear(picture);
  shown = of;
  pad.dataset.drawn = JSON.stringify(of);
  pad.dataset.count = 1 + Number(pad.dataset.count);
  const drawn = classOf(of), name = drawn === null ? '' : `, ${about.classes[drawn]}`;
  hero.setAttribute('aria-label', say('picture', { name: about.name, seed: of.seed }) + name);
}
