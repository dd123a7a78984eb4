// -- the view "Side by side": what another checkpoint makes of the state, whenever the state moves

const second = $('canvas.pair-hero');
const other = () => $('[name=pair]').value;
const both = channel((p) => server.pair(p), (answer, p) => {
  if (p.other !== other() || p.state.checkpoint !== about.name) return;
  paint(second, answer.picture);
  second.dataset.drawn = JSON.stringify(p.state);
  second.setAttribute('aria-label', say('picture', { name: p.other, seed: p.state.seed }));
  const shared = answer.shared.map((part) => say(`pair.${part}`));
  $('.pair-says').textContent = `${say('pair.shared', { parts: [say('pair.seed'), ...shared].join(say('pair.and')) })} ${answer.shared.includes('latent') ? '' : say('pair.apart')}`;
});

function follow(now) { if (other()) both({ state: now, other: other() }); }

function enterPair() {
  const before = other(), choices = [...$('[name=checkpoint]').options].filter((one) => one.value !== about.name);
  $('[name=pair]').replaceChildren(...choices.map((one) => make('option', { value: one.value, textContent: one.textContent })));
  if (choices.some((one) => one.value === before)) $('[name=pair]').value = before;
  // the sliders that one moves here are the picture's own
  $('.pair-sliders').replaceChildren(...about.effects.map((_, k) => slider(
    called(k), state.sliders[k] || 0, -about.reach, about.reach, 0.01, { 'data-pair': k }, (v) => { state.sliders[k] = v; }, `sliders.${k}`)));
  if (choices.length) follow(copy()); else $('.pair-says').textContent = say('pair.none');
}

$('.pair-name').textContent = say('pair.other');
$('[name=pair]').addEventListener('change', () => follow(copy()));
panels.push({ id: 'pair', word: 'pair', show: enterPair, opened: enterPair, hide: build, moved: follow, settled: follow });
