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

async function enterPair() {
  const before = other(), name = about.name;
  const choices = [...$('[name=checkpoint]').options].map((one) => [one.value, one.textContent]).filter(([value]) => value !== name);
  // the sliders that one moves here are the picture's own
  $('.pair-sliders').replaceChildren(...about.effects.map((_, k) => slider(
    called(k), state.sliders[k] || 0, -about.reach, about.reach, 0.01, { 'data-pair': k }, (v) => { state.sliders[k] = v; }, `sliders.${k}`)));
  const answer = await server.pair_marks(name).catch(() => ({}));
  if (about.name !== name) return;
  choices.unshift(...(answer.marks || []).map((mark) => [mark.name, say('pair.mark', { step: mark.step.toLocaleString() })]));
  $('[name=pair]').replaceChildren(...choices.map(([value, textContent]) => make('option', { value, textContent })));
  if (choices.some(([value]) => value === before)) $('[name=pair]').value = before;
  if (choices.length) follow(copy()); else $('.pair-says').textContent = say('pair.none');
}

$('.pair-name').textContent = say('pair.other');
$('[name=pair]').addEventListener('change', () => follow(copy()));
panels.push({ id: 'pair', word: 'pair', show: enterPair, opened: enterPair, hide: build, moved: follow, settled: follow });
