// -- the views above the right-hand controls: a tablist (WAI-ARIA Authoring Practices, tabs with automatic activation)

const panels = [];
let current = null;
const chosen = () => panels.find((panel) => panel.id === current);
const section = (panel) => $(`[data-panel="${panel.id}"]`);
const tab = (panel) => $(`[data-tab="${panel.id}"]`);

function choose(id) {
  const before = chosen();
  if (before && before.id === id) return;
  current = id;
  for (const panel of panels) {
    const on = panel.id === id;
    section(panel).hidden = !on;
    tab(panel).setAttribute('aria-selected', on);
    tab(panel).tabIndex = on ? 0 : -1;
  }
  before?.hide?.();
  if (state) chosen().show?.();
}

const fitting = () => panels.filter((panel) => !panel.fits || panel.fits());

function fitTabs() {  // a view that the open checkpoint has no use for has no tab
  const seen = fitting();
  for (const panel of panels) {
    tab(panel).hidden = !seen.includes(panel);
    tab(panel).textContent = say(panel.named?.() ?? panel.word);
  }
  if (!seen.includes(chosen())) choose(panels[0].id);
}

function layTabs() {
  $('.views').replaceChildren(...panels.map((panel) => {
    const button = make('button', { type: 'button', id: `view-${panel.id}`, textContent: say(panel.word) });
    for (const [name, value] of Object.entries({ role: 'tab', 'data-tab': panel.id, 'aria-controls': `panel-${panel.id}` })) button.setAttribute(name, value);
    button.addEventListener('click', () => choose(panel.id));
    return button;
  }));
  $('.views').hidden = panels.length < 2;
  $('.views').setAttribute('aria-label', say('views'));
  $('.views').addEventListener('keydown', (event) => {
    const panels = fitting(), at = panels.indexOf(chosen()), last = panels.length - 1;
    const to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(panels[to].id);
    tab(panels[to]).focus();
  });
  choose(panels[0].id);
}

// -- what views with a sheet of paper share

const LONGEST = 768;                      // pixels of a photo's longer side that are sent

function onCanvas(canvas, event) {        // where on a canvas a finger is, in its own pixels
  const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

async function photoOf(file, smoothing = 'low') {   // a canvas with the photo on white; null, and said, where it cannot be read
  let image;
  try { image = await createImageBitmap(file); } catch { complain(say('invert.unreadable', { name: file.name })); return null; }
  complain('');
  const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
  const photo = make('canvas', { width: Math.max(1, Math.round(image.width * scale)), height: Math.max(1, Math.round(image.height * scale)) });
  const pen = photo.getContext('2d', { alpha: false });
  pen.imageSmoothingQuality = smoothing;
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, photo.width, photo.height);
  pen.drawImage(image, 0, 0, photo.width, photo.height);
  return photo;
}
