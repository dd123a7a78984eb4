// -- the view "Words": what is kept out, several prompts with one seed, and the way from the prompt to another

const LINES = 16;  // prompts that the page draws at once
const negative = $('[name=negative]'), lines = $('[name=several]'), goal = $('[name=toward]');
const goalOf = () => goal.value.trim();

function cell(item, name, go) {
  if (item.error) return make('p', { className: 'prompt-error', textContent: `${name}: ${item.error}` });
  const button = make('button', { type: 'button', title: name }, make('canvas'), make('span', { textContent: name }));
  paint(button.firstChild, item.picture);
  button.setAttribute('aria-label', name);
  button.addEventListener('click', () => go(item.state));
  return button;
}

const taken = (part) => ({ ...copy(), sampling: { ...state.sampling, ...part } });
const several = channel((p) => server.prompt_several(p), (answer, p) => {
  if (p.state.checkpoint !== about.name) return;
  complain('');
  $('.prompt-grid').replaceChildren(...answer.items.map((item, i) => cell(item, p.prompts[i], () => setState(taken({ prompt: p.prompts[i], mix: 0 })))));
});
const between = channel((p) => server.prompt_between(p), (answer, p) => {
  if (p.state.checkpoint !== about.name) return;
  complain('');
  $('.prompt-way').replaceChildren(...answer.items.map((item) => {
    const { mix } = item.state.sampling;
    return cell(item, `${Math.round(100 * mix)}%`, () => setState(taken({ toward: p.toward, mix })));
  }));
});

function drawSeveral() {
  const prompts = lines.value.split('\n').map((line) => line.trim()).filter(Boolean);
  if (prompts.length > LINES) complain(say('prompt.many', { n: prompts.length, most: LINES }));
  else if (prompts.length) several({ state: copy(), prompts });
}

function refresh() {
  if (document.activeElement !== negative) negative.value = state.sampling.negative || '';
  if (!goal.value && state.sampling.toward) goal.value = state.sampling.toward;
}

function enter() {
  if (!lines.value) lines.value = about.examples.join('\n');
  refresh();
}

function opened() {
  for (const box of pad.querySelectorAll('.prompt-grid, .prompt-way')) box.replaceChildren();
  lines.value = goal.value = '';
  enter();
}

negative.addEventListener('change', () => { state.sampling.negative = negative.value.trim(); moved(true); });
$('.prompt-draw').addEventListener('click', drawSeveral);
const way = () => { if (goalOf()) between({ state: copy(), toward: goalOf() }); };
$('.prompt-go').addEventListener('click', way);
goal.addEventListener('keydown', (event) => { if (event.key === 'Enter') way(); });
panels.push({ id: 'prompt', word: 'prompt.view', show: enter, opened, settled: refresh, fits: () => about?.reads });
