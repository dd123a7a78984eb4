// -- the view "Sliders": classes, directions, sampling, neighbours, single numbers, the command

function slider(label, value, low, high, step, attributes, changed) {
  const box = make('label', { className: 'slider' });
  const name = make('span', { textContent: label }), output = make('output'), range = make('input', { type: 'range' });
  Object.assign(range, { min: low, max: high, step });
  for (const [key, v] of Object.entries(attributes)) range.setAttribute(key, v);
  range.value = value;
  const tell = () => {
    output.textContent = Number(range.value).toFixed(2);
    const at = 100 * (range.value - low) / (high - low), zero = low < 0 ? 50 : 0;
    range.style.setProperty('--from', `${Math.min(at, zero)}%`);
    range.style.setProperty('--to', `${Math.max(at, zero)}%`);
  };
  tell();
  range.addEventListener('input', () => { tell(); changed(Number(range.value)); moved(false); });
  range.addEventListener('change', () => moved(true));
  range.addEventListener('dblclick', () => { range.value = low < 0 ? 0 : 1; tell(); changed(Number(range.value)); moved(true); });
  box.append(name, output, range);
  box.set = (v) => { range.value = v; tell(); };
  return box;
}

const lattice = channel((s) => server.neighbours(s), (answer, s) => { if (s.checkpoint === about.name) neighbours(answer); });
const raw = channel((s) => server.numbers(s), (answer) => fill(answer.numbers));
const code = channel((s) => server.command(s), (answer) => { $('.shell').textContent = answer.command; $('.python').textContent = answer.python; });

function around() {
  lattice(copy());
  if ($('.raw').open) raw(copy());
  if ($('.code').open) code(copy());
}

panels.push({ id: 'sliders', word: 'sliders', show: around, settled: around });

function build() {
  const sliders = about.effects.map((effect, k) => slider(
    say('direction', { k: k + 1 }), state.sliders[k] || 0, -about.reach, about.reach, 0.01, { 'data-slider': k },
    (v) => { state.sliders[k] = v; }));
  $('.sliders').replaceChildren(...sliders);
  $('.sampling').replaceChildren(...about.sampling.filter((s) => s.kind === 'float').map((s) => slider(
    say(s.name), state.sampling[s.name] ?? s.default, s.low, s.high, 0.01, { 'data-sampling': s.name, title: s.help },
    (v) => { state.sampling[s.name] = v; })));
  $('.classes').hidden = about.classes.length === 0;
  $('.chips').replaceChildren(...about.classes.map((name, k) => {
    const chip = make('button', { type: 'button', textContent: name });
    chip.setAttribute('aria-pressed', state.label === k);
    chip.addEventListener('click', () => {
      state.label = k;
      [...$('.chips').children].forEach((c, i) => c.setAttribute('aria-pressed', i === k));
      moved(true);
    });
    return chip;
  }));
  $('[name=seed]').value = state.seed;
  $('[name=checkpoint]').value = about.name;
  $('.numbers').replaceChildren();
  $('.raw summary').textContent = say('numbers', { n: about.latent });
  const facts = { preset: about.preset, data: about.data, items: about.items.toLocaleString(), steps: about.steps.toLocaleString(), minutes: Math.max(1, Math.round(about.seconds / 60)), licence: about.licence || say('unknown') };
  $('.about').textContent = say('about', facts);
}

function neighbours(answer) {
  $('.lattice').style.setProperty('--columns', answer.columns);
  const middle = (answer.items.length - 1) / 2;
  const old = $('.lattice').children;
  const cells = answer.items.map((picture, i) => {
    const button = old[i] || make('button', { type: 'button' }, make('canvas'));
    paint(button.firstChild, picture);
    button.setAttribute('aria-label', i === middle ? say('here') : say('neighbour', { a: answer.sliders[i][0].toFixed(2), b: (answer.sliders[i][1] ?? 0).toFixed(2) }));
    button.setAttribute('aria-current', i === middle);
    button.onclick = () => { state.sliders = [...answer.sliders[i]]; [...$('.sliders').children].forEach((s, k) => s.set(state.sliders[k] || 0)); moved(true); };
    return button;
  });
  if (old.length !== cells.length) $('.lattice').replaceChildren(...cells);
}

function fill(numbers) {
  const box = $('.numbers');
  if (box.children.length !== numbers.length) {
    box.replaceChildren(...numbers.map((v, k) => slider(`z${k + 1}`, v, -4, 4, 0.01, { 'data-number': k }, (now) => { state.numbers[k] = now; })));
  } else numbers.forEach((v, k) => box.children[k].set(v));
}

function shelf(list, current) {
  $('[name=checkpoint]').replaceChildren(...list.map(({ name, title }) => make('option', { value: name, textContent: title })));
  if (current) $('[name=checkpoint]').value = current;
}
