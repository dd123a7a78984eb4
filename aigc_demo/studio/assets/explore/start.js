// -- words, then events, then what the server sent along

for (const [selector, key] of Object.entries({ '.dice': 'dice', '.reset': 'reset', '.save': 'save', '.checkpoint-name': 'checkpoint', '.seed-name': 'seed', '.class-name': 'class', '.near-name': 'near', '.code summary': 'code' })) $(selector).textContent = say(key);
$('.lattice').setAttribute('aria-label', say('near'));
pad.querySelectorAll('.snippet').forEach((box, i) => {
  box.querySelector('.name').textContent = say(i ? 'python' : 'command');
  const button = box.querySelector('.copy');
  button.textContent = say('copy');
  button.setAttribute('aria-label', `${say('copy')}: ${say(i ? 'python' : 'command')}`);
  button.addEventListener('click', async () => { await navigator.clipboard.writeText(box.querySelector('code').textContent); button.textContent = say('copied'); setTimeout(() => { button.textContent = say('copy'); }, 1500); });
});
layTabs();

const seed = (value) => put({ ...state, seed: value, index: 0, numbers: {}, place: null });
$('.dice').addEventListener('click', () => seed(Math.floor(Math.random() * 100000)));
$('.reset').addEventListener('click', () => put({ ...state, sliders: [], numbers: {}, sampling: {}, place: null }));
$('[name=seed]').addEventListener('change', (e) => seed(Math.min(2147483647, Math.max(0, Math.trunc(Number(e.target.value)) || 0))));
$('[name=checkpoint]').addEventListener('change', (e) => open(e.target.value));
$('.raw').addEventListener('toggle', () => { if ($('.raw').open) raw(copy()); });
$('.code').addEventListener('toggle', () => { if ($('.code').open) code(copy()); });
$('.save').addEventListener('click', async () => {
  const answer = await server.save(copy());
  if (answer.error) return complain(answer.error);
  make('a', { href: `data:image/png;base64,${answer.png}`, download: answer.name }).click();
});

const start = props.start;
if (start.open) {
  about = start.open;
  state = { index: 0, numbers: {}, label: null, ...start.state, sliders: about.effects.map(() => 0), session };
  shelf(start.shelf, about.name);
  build();
  neighbours(start.neighbours);
  show(start.picture, copy());
  server.shelf({ opened: remembered() }).then((answer) => { if (answer.shelf) shelf(answer.shelf, about.name); }).catch(() => {});
} else complain(say('none'));

watch('value', async () => {
  const name = props.value && props.value.open;
  if (!name || (about && name === about.name && !props.value.again)) return;
  keep('aigc.opened', [name, ...remembered().filter((n) => n !== name)].slice(0, 20));
  const answer = await server.shelf({ opened: remembered() });
  if (answer.shelf) shelf(answer.shelf, name);
  open(name);
});
