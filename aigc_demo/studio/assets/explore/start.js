// -- words, then events, then what the server sent along

for (const one of pad.querySelectorAll('[data-say]')) one.textContent = say(one.dataset.say);
pad.querySelectorAll('.snippet').forEach((box, i) => {
  box.querySelector('.name').textContent = say(i ? 'python' : 'command');
  const button = box.querySelector('.copy');
  button.textContent = say('copy');
  button.setAttribute('aria-label', `${say('copy')}: ${say(i ? 'python' : 'command')}`);
  button.addEventListener('click', () => toClipboard(box.querySelector('code').textContent, button));
});
layTabs();
tellPlayer();
$('.waveform').setAttribute('aria-label', say('sound.wave'));

$('.dice').addEventListener('click', another);
$('.reset').addEventListener('click', () => put({ ...state, sliders: [], numbers: {}, sampling: {}, place: null }));
$('[name=seed]').addEventListener('change', (e) => seed(Math.min(2147483647, Math.max(0, Math.trunc(Number(e.target.value)) || 0))));
$('[name=checkpoint]').addEventListener('change', (e) => open(e.target.value));
document.addEventListener('aigc:draw', (e) => { $('[name=checkpoint]').value = e.detail; open(e.detail); });
$('.raw').addEventListener('toggle', () => { if ($('.raw').open) raw(copy()); });
$('.code').addEventListener('toggle', () => { if ($('.code').open) code(copy()); });
$('.save').addEventListener('click', async () => {
  const answer = await server.save(copy());
  if (answer.error) return complain(answer.error);
  make('a', { href: `data:${about.kind}/${about.suffix};base64,${answer.file}`, download: answer.name }).click();
});

const start = props.start;
if (start.open) {
  about = start.open;
  state = { index: 0, numbers: {}, label: null, ...start.state, sliders: about.effects.map(() => 0), session };
  shelf(start.shelf, about.name);
  films = start.travels;
  build();
  neighbours(start.neighbours);
  show(start.picture, copy());
  server.shelf({ opened: remembered() }).then((answer) => { if (answer.shelf) shelf(answer.shelf, about.name); }).catch(() => {});
  const asked = new URLSearchParams(location.search);
  const arrived = asked.has('model') ? arrive({ link: location.search }) : Promise.resolve();
  if (asked.has('show')) arrived.then(() => present(false));
} else complain(say('none'));

watch('value', async () => {
  const name = props.value && props.value.open;
  if (!name || (about && name === about.name && !props.value.again)) return;
  keep('aigc.opened', [name, ...remembered().filter((n) => n !== name)].slice(0, 20));
  const answer = await server.shelf({ opened: remembered() });
  if (answer.shelf) shelf(answer.shelf, name);
  open(name);
});
